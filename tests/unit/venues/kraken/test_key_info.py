"""GetApiKeyInfo, as Kraken answers it and as somebody in its place might."""

from __future__ import annotations

import json
from typing import Any

import pytest

from signer.errors import VenueError
from signer.keys.probes import _PROBE, Probe
from signer.model import KeyInfo, WireAnswer
from signer.venues.kraken.key_info import read

GOOD: dict[str, Any] = {
    "apiKeyName": "grid",
    "apiKey": "not looked at",
    "nonce": "1756000000000000",
    "nonceWindow": "0",
    "permissions": ["query-funds", "modify-trades"],
    "validUntil": "1800000000",
    "ipAllowlist": ["192.0.2.1"],
}


def answer(body: str | dict[str, Any], status: int = 200) -> WireAnswer:
    """An answer with this result, or with this whole body."""
    text = body if isinstance(body, str) else json.dumps({"error": [], "result": body})
    return WireAnswer(status, "application/json", text.encode())


def test_what_kraken_says() -> None:
    """Numbers come as text, times in seconds, "0" where there is none."""
    permissions = ("modify-trades", "query-funds")
    window = 0
    expected = KeyInfo("grid", permissions, 1_800_000_000_000_000, 1_756_000_000_000_000, window, ("192.0.2.1",))
    assert read(answer(GOOD)) == expected
    assert read(answer({**GOOD, "validUntil": "0", "nonce": 5})).expires_us is None


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "-1"},
        {"nonce": True},
        {"nonce": 1.5},
        {"nonce": str(2**64)},
        {"nonceWindow": "1" * 5000},
        {"validUntil": "-99999999999999"},
        {"validUntil": "99999999999999"},
        {"validUntil": "\u0663"},
        {"validUntil": None},
        {"apiKeyName": None},
        {"apiKeyName": "\ud800"},
        {"permissions": ["query-funds", "\ud800"]},
        {"permissions": "query-funds"},
        {"permissions": ["x" * 257]},
        {"permissions": ["x"] * 101},
        {"permissions": {"query-funds": True}},
        {"ipAllowlist": [1]},
    ],
    ids=str,
)
def test_what_does_not_read_is_no_answer(change: dict[str, Any]) -> None:
    """Whatever does not read gives one error of ours, and is neither shown nor kept."""
    with pytest.raises(VenueError, match="nothing that says it"):
        read(answer({**GOOD, **change}))


@pytest.mark.parametrize(
    "body",
    ["", "[]", "null", "1e999", '{"error": [], "result": {"nonce": 1e999}}', "[" * 100_000, '{"error": {"0": 1}}'],
    ids=["nothing", "list", "null", "infinite", "infinite nonce", "deep", "odd error"],
)
def test_what_is_no_envelope_is_no_answer(body: str) -> None:
    """An answer that is no envelope gives one error of ours."""
    with pytest.raises(VenueError):
        read(answer(body))


def test_whatever_reads_can_be_kept() -> None:
    """Whatever reads can be kept as text that lists read back."""
    key = read(answer({**GOOD, "apiKeyName": "\u00fc" * 100, "permissions": ["\x1b[2J"]}))
    assert _PROBE.validate_json(_PROBE.dump_json(Probe(1, key))).key == key


@pytest.mark.parametrize(
    ("text", "refused", "hint"),
    [
        ("EAPI:Invalid key", True, "second factor"),
        ("EAPI:Invalid signature", True, "not this key's"),
        ("EAPI:Invalid nonce", True, "larger nonces"),
        ("EGeneral:Permission denied", True, "address"),
        ("EGeneral:Invalid arguments", True, "query start"),
        ("EGeneral:Temporary lockout", False, "without trying"),
        ("EService:Unavailable", False, "try again later"),
        ("EService:Busy", False, "try again later"),
        ("EService: Throttled: 1795000000", False, "try again later"),
        ("EAuth:Account temporary disabled", True, "disabled"),
        ("EOther:What", False, "page of API errors"),
    ],
)
def test_every_error_has_its_hint(text: str, refused: bool, hint: str) -> None:
    """Each error has a hint, and only those about the key count as its refusal."""
    with pytest.raises(VenueError) as caught:
        read(WireAnswer(200, "application/json", json.dumps({"error": [text]}).encode()))
    assert caught.value.what.startswith("the exchange refused the key: ") == refused
    assert text in caught.value.what
    assert hint in caught.value.hint
