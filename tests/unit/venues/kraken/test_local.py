"""The answer to GetApiKeyInfo is about the virtual key."""

from __future__ import annotations

import json
from ipaddress import ip_network

from signer.model import ClientInfo
from tests.unit.venues.kraken.asking import KRAKEN, form


def client(expires_us: int | None) -> ClientInfo:
    """A client as the key store lists it."""
    return ClientInfo(
        name="grid-bot", account="main", policy="trader", api_key="VIRTUAL", fingerprint="f",
        sources=(ip_network("10.0.0.0/8"),), expires_us=expires_us, nonces="window", revoked=False,
        created_us=1_700_000_000_000_000,
    )  # fmt: skip


def test_it_tells_the_policy_s_permissions_and_the_virtual_key() -> None:
    """The answer has Kraken's shape and order of words (docs/kraken.md §1b, §1i)."""
    permissions = frozenset({"query-open-trades", "query-funds"})
    response = KRAKEN.own_answer(form("GetApiKeyInfo", {}), client(1_800_000_000_000_000), permissions)
    answer = json.loads(response.body)
    assert answer["error"] == []
    assert answer["result"] == {
        "apiKeyName": "grid-bot", "apiKey": "VIRTUAL", "nonce": "0", "nonceWindow": "0",
        "permissions": ["query-funds", "query-open-trades"], "iban": "", "validUntil": "1800000000", "queryFrom": "0",
        "queryTo": "0", "createdTime": "1700000000", "modifiedTime": "1700000000", "ipAllowlist": ["10.0.0.0/8"],
        "lastUsed": None,
    }  # fmt: skip


def test_a_key_that_does_not_expire_says_zero() -> None:
    """A key without an end says 0, as Kraken does."""
    answer = json.loads(KRAKEN.own_answer(form("GetApiKeyInfo", {}), client(None), frozenset()).body)
    assert answer["result"]["validUntil"] == "0"
    assert answer["result"]["permissions"] == []
