"""The line: how one call goes, step by step (`line`)."""
