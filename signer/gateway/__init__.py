"""The line: how one call goes, step by step (`line`)."""

from signer.gateway.accounts import open_account as open_account
