"""Takes a bot's call through the numbered steps of `line`."""

from signer.gateway.accounts import open_account as open_account
