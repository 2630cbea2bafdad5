"""Measures the gateway beside other programs that could do its work (docs/performance.md)."""
