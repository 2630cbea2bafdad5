"""Threat: a parameter that nobody knows makes a read write, or tell somebody else's data, or carry a credential.

Reads take unknown parameters, because real clients send them. These must never be among them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from signer.cli.stage import signer
from signer.errors import Refused
from signer.model import Action
from signer.venues.kraken.endpoints import ENDPOINTS
from tests.harness.rig import Rig
from tests.unit.venues.kraken.asking import KRAKEN, as_json, form, refused, request

READS = sorted(name for name, each in ENDPOINTS.items() if each.action is Action.READ and not each.local)
WRITES = ["AddExport", "RemoveExport", "DepositAddresses"]


@pytest.mark.parametrize("name", WRITES)
def test_a_read_that_can_write_is_a_write(name: str) -> None:
    """Such a read is decided and recorded as a change, and may have no unknown parameters."""
    needed = {"AddExport": {"report": "trades"}, "RemoveExport": {"id": "A", "type": "delete"}}.get(name, {})
    assert form(name, needed).action is Action.WRITE
    with pytest.raises(Refused, match='"surprise" is not known'):
        form(name, {**needed, "surprise": "1"})


@pytest.mark.parametrize("endpoint", READS)
@pytest.mark.parametrize("extra", ["new", "New", "NEW", "validate", "cancel", "delete", "timeout"])
def test_what_could_change_something_is_not_sent_with_a_read(endpoint: str, extra: str) -> None:
    """``new=true`` makes an address of DepositAddresses: no other call gets to try."""
    call = form(endpoint, {extra: "true"})
    assert extra not in call.fields
    assert call.dropped == (extra,)
    assert extra.encode() + b"=" not in KRAKEN.encode(call, 5, "KEY")[0].body


@pytest.mark.parametrize("endpoint", READS)
@pytest.mark.parametrize("extra", ["account_id", "accountId", "users", "user", "subaccount", "sub_account", "IIBAN"])
def test_what_could_choose_whose_data_is_told_is_not_sent_on(endpoint: str, extra: str) -> None:
    """Unless Kraken documents it for the very endpoint, as ``account_id`` for balances."""
    call = form(endpoint, {extra: "all"})
    known = extra in ENDPOINTS[endpoint].model
    assert (extra in call.fields) == known
    assert call.dropped == (() if known else (extra,))


SMUGGLED = [
    "Nonce",
    "NONCE",
    "OTP",
    "Otp",
    "API-Key",
    "api_key",
    "apikey",
    "APIKEY",
    "API-Sign",
    "api-nonce",
    "API_OTP",
]


@pytest.mark.parametrize("extra", SMUGGLED)
def test_a_second_credential_is_refused_in_any_spelling(extra: str) -> None:
    """A second nonce or key is refused in any spelling, since the exchange might believe it. Its value is not
    repeated."""
    for endpoint in ("Balance", "OpenOrders", "Level3", "AddOrder", "CancelAll"):
        answer = refused(endpoint, f"nonce=1&{extra}=SMUGGLED")
        assert answer[0] == "EGeneral:Invalid arguments"
        assert "SMUGGLED" not in "".join(answer)
        answer = refused(endpoint, json.dumps({"nonce": 1, extra: "SMUGGLED"}))
        assert answer[0] == "EGeneral:Invalid arguments"


@pytest.mark.parametrize(
    "body", ["nonce=1&nonce[0]=2", "nonce=1&nonce[]=2", "nonce=1&otp=1&otp[0]=2", "nonce=1&nonce=2"]
)
def test_a_nonce_is_one_scalar(body: str) -> None:
    """A nonce in brackets is refused or dropped, and never sent."""
    try:
        call = KRAKEN.parse(KRAKEN.decode(request("Balance", body)))
    except Refused:
        return
    assert KRAKEN.encode(call, 5, "KEY")[0].body == b"nonce=5"


@pytest.mark.parametrize("extra", ["secret", "password", "token", "passphrase", "signature"])
def test_a_pasted_secret_goes_nowhere(extra: str) -> None:
    """A pasted secret reaches neither the exchange nor the record."""
    call = form("Balance", {extra: "hunter2"})
    assert (call.fields, call.dropped) == ({}, (extra,))


@pytest.mark.parametrize(
    ("known", "alias"), [("txid", "TXID"), ("txid", "tx_id"), ("userref", "UserRef"), ("trades", "tra-des")]
)
def test_another_spelling_of_a_typed_parameter_is_dropped(known: str, alias: str) -> None:
    """Another spelling is dropped, since the exchange might read it and we cannot."""
    assert known in ENDPOINTS["QueryOrders"].model
    call = form("QueryOrders", {alias: "x"})
    assert (call.fields, call.dropped) == ({}, (alias,))


@pytest.mark.parametrize("value", ["a&nonce=9", "a\r\nHost: x", "a%26nonce=9", "x" * 500, "\u2028"])
def test_what_is_sent_on_is_written_anew(value: str) -> None:
    """No value can end its field, its line or the body."""
    fields: dict[str, Any] = {"plain": value}
    try:
        call = form("Balance", fields)
    except Refused:
        return
    body = KRAKEN.encode(call, 5, "KEY")[0].body
    assert body.count(b"nonce=") == 1
    assert b"\n" not in body
    assert body.count(b"&") == len(call.fields)


def test_a_json_read_sends_text_only() -> None:
    """An unknown parameter cannot turn a form into JSON, or carry an object."""
    call = as_json("TradeVolume", {"surprise": [1], "other": {"pair": []}, "flag": True})
    wire, _ = KRAKEN.encode(call, 5, "KEY")
    assert wire.body == b"nonce=5&flag=true"
    assert call.dropped == ("surprise", "other")


def test_the_record_names_what_was_sent_on_and_what_was_dropped(rig: Rig) -> None:
    """Through the whole gateway: the exchange sees the one, the log both, the metric counts the other."""
    bot = rig.bot("wide")
    assert (
        rig.call(bot, "Balance", {"ticker_pair": "XBTUSD", "users": "all", "https[rejectUnauthorized]": "false"}) == []
    )
    (arrival,) = [each for each in rig.arrivals() if b"ticker_pair" in each.body]
    assert b"users" not in arrival.body
    assert b"https" not in arrival.body
    rig.place(rig.bot("wide"))  # what was noted in the background is durable before an order leaves
    lines = signer(rig.home.folder, "audit", "search", "--client", bot.name, "--json").splitlines()
    (record,) = [each for each in map(json.loads, lines) if each.get("fields") == {"ticker_pair": "XBTUSD"}]
    assert sorted(record["dropped"]) == ["https", "users"]
