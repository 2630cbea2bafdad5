"""What we answer ourselves, in the venue's stead: GetApiKeyInfo (docs/kraken.md §1b, §1i)."""

from __future__ import annotations

from collections.abc import Iterable

from signer.model import ClientInfo, Json
from signer.venues.kraken.endpoints import PERMISSIONS


def api_key_info(client: ClientInfo, permissions: Iterable[str]) -> Json:
    """The ``result`` that tells a client of its virtual key: what its policy permits, never what the real key may do.

    Times are Unix seconds as text, "0" where there is none. The highest nonce is not told: it is the account's business
    at Kraken, and ours is a window (docs/kraken.md §8.2).
    """
    held = frozenset(permissions)
    expires = "0" if client.expires_us is None else _seconds(client.expires_us)
    created = _seconds(client.created_us)
    return {
        "apiKeyName": client.name,
        "apiKey": client.api_key,
        "nonce": "0",
        "nonceWindow": "0",
        "permissions": [word for word in PERMISSIONS if word in held],
        "iban": "",
        "validUntil": expires,
        "queryFrom": "0",
        "queryTo": "0",
        "createdTime": created,
        "modifiedTime": created,
        "ipAllowlist": [str(network) for network in client.sources],
        "lastUsed": None,
    }


def _seconds(time_us: int) -> str:
    return str(time_us // 1_000_000)
