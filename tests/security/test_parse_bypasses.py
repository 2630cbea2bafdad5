"""Threat: a call that the policy reads as harmless and the exchange as something else (docs/kraken.md §11).

One test for each item of the parsing half of that list. What belongs to the HTTP server (transfer encodings, huge and
slow bodies on the socket) is tested with it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from signer.errors import Refused
from signer.model import Action, Moment
from signer.policy.orders import is_absolute
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.venue import Kraken
from tests.harness.arriving import altered
from tests.unit.venues.kraken.asking import (
    FORM,
    JSON,
    KRAKEN,
    LIMIT,
    NONCE,
    as_json,
    form,
    named,
    parse,
    refused,
    request,
    says,
)

INVALID = "EGeneral:Invalid arguments"
UNKNOWN = "EGeneral:Unknown method"


def is_refused(endpoint: str, body: str | bytes, content_type: str = FORM, error: str = INVALID) -> bool:
    """Whether a body is refused with ``error``."""
    return refused(endpoint, body, content_type)[0] == error


def test_pair_aliases_and_case_are_one_pair() -> None:
    """A pair that is not listed cannot be reached by another spelling of it."""
    spellings = ["XBTUSD", "XXBTZUSD", "XBT/USD", "BTC/USD", "BTCUSD", "xbtusd", "Btc/Usd"]
    assert {form("AddOrder", {**LIMIT, "pair": text}).orders[0].pair for text in spellings} == {"XXBTZUSD"}


def test_asset_suffixes_and_dark_pools_are_not_the_plain_pair() -> None:
    """``.S``, ``.M``, ``.F``, ``.d`` and ``:BTNL`` never become the plain pair."""
    for text in ("XBT.S/USD", "XBT.M/USD", "XBT.F/USD", "XBTUSD.d", "XBTUSD.D", "XBTUSD:BTNL"):
        with pytest.raises(Refused, check=says("EQuery:Unknown asset pair")):
            form("AddOrder", {**LIMIT, "pair": text})


def test_a_tokenised_asset_is_only_meant_where_it_is_said() -> None:
    """``asset_class`` chooses the market, so it must agree with the pair, both ways."""
    rows: Any = {
        "AAPLxUSD": {"altname": "AAPLxUSD", "wsname": "AAPLx/USD", "aclass_base": "tokenized_asset"},
        "ADAUSD": {"altname": "ADAUSD", "wsname": "ADA/USD", "aclass_base": "currency"},
    }
    kraken = Kraken(PairTable.from_asset_pairs(rows))
    order = "nonce=1&type=buy&ordertype=limit&price=1&volume=1"
    good = kraken.parse(kraken.decode(request("AddOrder", f"{order}&pair=AAPLx/USD&asset_class=tokenized_asset")))
    assert good.fields["asset_class"] == "tokenized_asset"
    edit = kraken.parse(
        kraken.decode(request("EditOrder", "nonce=1&txid=OA&volume=2&pair=AAPLxUSD&asset_class=tokenized_asset"))
    )
    assert edit.fields["asset_class"] == "tokenized_asset"
    for more in ("pair=AAPLx/USD", "pair=ADA/USD&asset_class=tokenized_asset", "pair=AAPLx/USD&asset_class=currency"):
        with pytest.raises(Refused, check=says("EQuery:Unknown asset pair")):
            kraken.parse(kraken.decode(request("AddOrder", f"{order}&{more}")))


def test_duplicate_keys_are_refused() -> None:
    """A key that stands twice is refused in forms, escaped, in JSON, and at any depth."""
    assert is_refused("AddOrder", "nonce=1&volume=1&volume=100")
    assert is_refused("AddOrder", "nonce=1&volume=1&volum%65=100")
    assert is_refused("AddOrder", '{"nonce":1,"volume":1,"volume":100}', JSON)
    assert is_refused("AddOrder", '{"nonce":1,"close":{"price":1,"price":2}}', JSON)
    assert is_refused("AddOrder", "nonce=1&nonce=2")


def test_keys_in_the_query_are_refused() -> None:
    """A parameter in the query is in nothing that was signed."""
    with pytest.raises(Refused, match="query string"):
        KRAKEN.decode(request("AddOrder", "nonce=1&volume=1", query=b"volume=100"))


def test_json_and_form_are_the_same_call() -> None:
    """The content type chooses no other reading."""
    fields = {**LIMIT, "close": {"ordertype": "limit", "price": "1"}}
    spelled = {**LIMIT, "close[ordertype]": "limit", "close[price]": "1"}
    assert as_json("AddOrder", fields) == as_json("AddOrder", spelled) == form("AddOrder", spelled)


def test_encodings_between_what_is_parsed_and_what_is_signed_do_not_matter() -> None:
    """What is sent on is written from the call, so the client's escapes end here."""
    plain = f"nonce={NONCE}&pair=XBTUSD&type=buy&ordertype=limit&price=1&volume=1"
    odd = f"&volume=%31&nonce={NONCE}&pa%69r=%58BTUSD&type=b%75y&ordertype=limit&price=1"
    assert parse("AddOrder", plain) == parse("AddOrder", odd)
    wire, _ = KRAKEN.encode(named(parse("AddOrder", odd)), 5, "KEY")
    assert wire.body == b"nonce=5&pair=XXBTZUSD&ordertype=limit&type=buy&volume=1&price=1&userref=1"


def test_a_plus_sign_is_a_space_unless_it_is_escaped() -> None:
    """``price=+5`` in a form is `` 5``, which is no price; ``%2B5`` is relative."""
    body = "nonce=1&pair=XBTUSD&type=buy&ordertype=limit&volume=1&price="
    assert is_refused("AddOrder", body + "+5")
    price = parse("AddOrder", body + "%2B5").orders[0].price
    assert price is not None
    assert not is_absolute(price)


def test_other_charsets_are_refused() -> None:
    """UTF-7, UTF-16 and Latin-1 are refused, since they spell other fields with the same bytes."""
    for charset in ("utf-7", "utf-16", "iso-8859-1", "ibm037"):
        assert is_refused("AddOrder", "nonce=1", f"{FORM}; charset={charset}")
    assert is_refused("AddOrder", "nonce=1&pair=XBT\xff".encode("latin-1"))


def test_nested_batch_keys_are_found_wherever_they_are() -> None:
    """No row can bring a pair of its own, in either spelling."""
    row = {"type": "buy", "ordertype": "limit", "price": "1", "volume": "2"}
    flat = {f"orders[{index}][{name}]": value for index in range(2) for name, value in row.items()}
    assert "orders[1][pair]" in str(
        _refusal(lambda: form("AddOrderBatch", {"pair": "XBTUSD", **flat, "orders[1][pair]": "E"}))
    )
    rows = [row, {**row, "pair": "ETHUSD"}]
    assert "orders[1][pair]" in str(_refusal(lambda: as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": rows})))


def test_a_close_order_is_never_overlooked() -> None:
    """A close order is an order of its own to the policy in each spelling; a misspelt one is refused."""
    spelled = {**LIMIT, "close[ordertype]": "limit", "close[price]": "1"}
    for call in (form("AddOrder", spelled), as_json("AddOrder", spelled)):
        assert [(each.side, each.volume) for each in call.orders[0].attached] == [("sell", Decimal("1.25"))]
    for name in ("close.price", "close_price", "Close[price]", "close[Price]", "close[price][0]", "close%5Bprice%5D"):
        with pytest.raises(Refused, check=says(INVALID)):
            form("AddOrder", {**spelled, name: "1"})


def test_a_volume_in_quote_currency_is_told() -> None:
    """The flag is seen among others, in any order."""
    fields = {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "100"}
    for oflags in ("viqc", "viqc,fciq", "fciq,viqc"):
        assert form("AddOrder", {**fields, "oflags": oflags}).orders[0].quote_sized
    for oflags in ("VIQC", "viqc ", "viqc;post", "viqc,viqc", ",viqc"):
        with pytest.raises(Refused, check=says(INVALID)):
            form("AddOrder", {**fields, "oflags": oflags})


def test_relative_prices_are_never_taken_for_absolute_ones() -> None:
    """A relative price is read as one in ``price``, ``price2`` and ``close``."""
    for text in ("+5", "-5", "#5", "+5%", "#0.5%"):
        stop = form("AddOrder", {**LIMIT, "ordertype": "stop-loss-limit", "price": text, "price2": text}).orders[0]
        assert stop.price is not None
        assert stop.price2 is not None
        assert not is_absolute(stop.price)
        assert not is_absolute(stop.price2)
        close = form("AddOrder", {**LIMIT, "close[ordertype]": "limit", "close[price]": text}).orders[0].attached[0]
        assert close.price is not None
        assert not is_absolute(close.price)


def test_margin_is_told_in_each_spelling() -> None:
    """``leverage``, ``reduce_only`` and settling a position reach the policy; ``margin`` is no parameter here."""
    for text in ("5", "5:1", "1"):
        assert form("AddOrder", {**LIMIT, "leverage": text}).orders[0].leverage == Decimal(text[0])
    assert form("AddOrder", {**LIMIT, "reduce_only": "1"}).orders[0].reduce_only
    for name in ("margin", "Leverage", "leverage[0]"):
        with pytest.raises(Refused, check=says(INVALID)):
            form("AddOrder", {**LIMIT, name: "5"})


def test_an_order_without_a_limit_shows_no_price() -> None:
    """A price beside a market order would make it look bounded."""
    assert (
        form("AddOrder", {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "1"}).orders[0].price
        is None
    )
    call = form("AddOrder", {**LIMIT, "ordertype": "market", "price2": "2"})
    assert (call.orders[0].price, call.orders[0].price2) == (None, None)
    assert not call.fields.keys() & {"price", "price2"}
    assert call.dropped == ("price", "price2")
    with pytest.raises(Refused, match="type stop-loss has no price2"):
        form("AddOrder", {**LIMIT, "ordertype": "stop-loss", "price2": "1"})


def test_the_whole_volume_of_an_iceberg_counts() -> None:
    """What it shows is told beside it, never in its place."""
    order = form("AddOrder", {**LIMIT, "ordertype": "iceberg", "displayvol": "0.1"}).orders[0]
    assert (order.volume, order.display_volume) == (Decimal("1.25"), Decimal("0.1"))


def test_times_are_plain() -> None:
    """Scheduled orders are told; a time that two parsers could read differently is none."""
    order = form("AddOrder", {**LIMIT, "starttm": "+60", "expiretm": "1800000000"}).orders[0]
    assert (order.starts, order.ends) == (Moment(60, True), Moment(1800000000, False))
    for name, text in (("starttm", "1e9"), ("expiretm", "-1"), ("starttm", "0x10"), ("deadline", "2026-01-01")):
        with pytest.raises(Refused, match=name):
            form("AddOrder", {**LIMIT, name: text})


@pytest.mark.parametrize("text", ["yes", "", "t", "true,false", "[true]", "2", "on", "null", "TrUe"])
def test_only_a_literal_true_is_a_dry_run(text: str) -> None:
    """Whatever else a client means, it is no free order."""
    with pytest.raises(Refused, match="validate"):
        form("AddOrder", {**LIMIT, "validate": text})
    for no in ("False", "false", "FALSE", "0"):
        assert not form("AddOrder", {**LIMIT, "validate": no}).dry_run


def test_a_dry_run_is_forwarded_as_one() -> None:
    """What spent nothing here must place nothing there."""
    for text in ("true", "True", "TRUE", "1"):
        wire, _ = KRAKEN.encode(named(form("AddOrder", {**LIMIT, "validate": text})), 5, "KEY")
        assert b"&validate=true&" in wire.body


def test_raising_an_order_is_told() -> None:
    """Size and price of an amend or edit reach the policy as numbers."""
    amend = form("AmendOrder", {"txid": "OA", "order_qty": "100", "limit_price": "9"}).change
    edit = form("EditOrder", {"pair": "XBTUSD", "txid": "OA", "volume": "100", "price": "9"}).change
    assert amend is not None
    assert edit is not None
    assert amend.volume == edit.volume == Decimal(100)
    assert amend.price2 == edit.price
    assert (amend.replaces, edit.replaces) == (False, True)


def test_a_batch_has_at_most_fifteen_orders() -> None:
    """Kraken's own limit; all of them are seen."""
    row = {"type": "buy", "ordertype": "limit", "price": "1", "volume": "2"}
    assert len(as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": [row] * 15}).orders) == 15
    with pytest.raises(Refused, match="2 to 15"):
        as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": [row] * 16})


def test_cancelling_everything_is_told() -> None:
    """A call that reaches other clients' orders says so."""
    assert form("CancelAll", {}).whole_account
    assert form("CancelAllOrdersAfter", {"timeout": "1"}).whole_account


@pytest.mark.parametrize(
    "name",
    ["GetWebSocketsToken", "WalletTransfer", "AccountTransfer", "CreateSubaccount", "Withdraw", "WithdrawCancel",
     "Earn/Allocate", "Earn/Deallocate", "Stake", "Unstake", "AddStrategy"],
)  # fmt: skip
def test_what_moves_money_or_bypasses_us_is_on_the_never_list(name: str) -> None:
    """Parsed far enough to be recorded, and it has no bytes."""
    call = form(name, {"amount": "1"})
    assert call.never
    with pytest.raises(Refused, match="never sent"):
        KRAKEN.encode(call, 5, "KEY")


@pytest.mark.parametrize("name", ["WithdrawAddresses", "WithdrawMethods", "WithdrawInfo"])
def test_reading_withdrawal_addresses_needs_the_permission_to_withdraw(name: str) -> None:
    """The addresses are read-only, but they tell where money may go."""
    assert frozenset({"withdraw-funds"}) in form(name, {}).needs


def test_exports_are_what_they_are() -> None:
    """Taking data out needs its own permission; starting and removing one is no read."""
    for name, fields in (("AddExport", {"report": "trades"}), ("RemoveExport", {"id": "A", "type": "delete"})):
        call = form(name, fields)
        assert (call.action, call.needs) == (Action.WRITE, (frozenset({"export-data"}),))
    assert form("RetrieveExport", {"id": "A"}).needs == (frozenset({"export-data"}),)


@pytest.mark.parametrize("name", ["AddOrderV2", "NewEndpoint", "WithdrawV2", "Prime/Withdraw", "addOrder"])
def test_unknown_endpoints_do_not_exist(name: str) -> None:
    """Whatever Kraken adds is refused until we know what it does."""
    assert is_refused(name, "nonce=1", error=UNKNOWN)


@pytest.mark.parametrize(
    "path",
    ["//0/private/AddOrder", "/0/private/../private/AddOrder", "/0/private/%2e%2e/AddOrder", "/0/private/AddOrder/",
     "/0/private/AddOrder;x=1", "/0/private/./AddOrder", "/0/private/AddOrder%00", "/0\\private\\AddOrder",
     "https://api.kraken.com/0/private/AddOrder", "/0/private/AddOrder\u0000", "/0/private/\uff21ddOrder",
     "/funding/v1/withdrawals", "/oauth/fast-api-key"],
)  # fmt: skip
def test_a_path_is_taken_as_it_is_written(path: str) -> None:
    """No dot, escape, slash or parameter is resolved."""
    with pytest.raises(Refused, check=says(UNKNOWN)):
        KRAKEN.parse(KRAKEN.decode(altered(request("AddOrder", "nonce=1"), path=path)))


@pytest.mark.parametrize("method", ["post", "Post", "GET", "PUT", "PATCH", "HEAD", "CONNECT"])
def test_the_method_is_exactly_post(method: str) -> None:
    """Override headers are not even looked at: a `Request` has no other headers."""
    with pytest.raises(Refused, check=says(UNKNOWN)):
        KRAKEN.decode(replace(request("AddOrder", "nonce=1"), method=method))


@pytest.mark.parametrize(
    "number",
    ["NaN", "nan", "sNaN", "Infinity", "-inf", "1e400", "1E2", "-1", "0", "0.000", "\u0661\u0662", "\u00bd", "\uff11",
     "007", "00", "1_000", "1,5", "1 000", "0b1", "0x1f", "1.", ".1", "1" * 30, "0." + "0" * 29 + "1", "+1", "1e-7",
     " 1"],
)  # fmt: skip
def test_numbers_that_two_parsers_read_differently_are_refused(number: str) -> None:
    """Such a number is refused in forms and JSON, as a volume, and inside a batch."""
    with pytest.raises(Refused, check=says(INVALID)):
        form("AddOrder", {**LIMIT, "volume": number})
    row = {"type": "buy", "ordertype": "limit", "price": "1", "volume": "2"}
    with pytest.raises(Refused, check=says(INVALID)):
        as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": [row, {**row, "volume": number}]})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1E+2", "1e-7", "-1", "0", "0.0", "01"])
def test_json_numbers_that_two_parsers_read_differently_are_refused(number: str) -> None:
    """A bare number that two parsers read differently is refused too."""
    body = json.dumps({"nonce": "1", **LIMIT}).replace('"1.25"', number)
    assert is_refused("AddOrder", body, JSON)


def test_a_client_s_nonce_and_password_go_no_further() -> None:
    """Ours are in what is sent, and nothing of the client's head."""
    call = parse("Balance", "nonce=123456&otp=654321")
    wire, _ = KRAKEN.encode(call, 5, "KEY")
    assert wire.body == b"nonce=5"
    headers = dict(wire.headers)
    assert headers.keys() == {"API-Key", "Content-Type", "User-Agent"}
    assert headers["API-Key"] == "KEY"


@pytest.mark.parametrize("name", ["API-Key", "API-Sign", "api_key", "API-Nonce", "API-OTP"])
def test_credentials_among_the_parameters_are_refused(name: str) -> None:
    """A credential is no parameter of any endpoint, and the answer does not repeat its value."""
    answer = refused("Balance", f"nonce=1&{name}=SMUGGLED")
    assert answer[0] == INVALID
    assert "SMUGGLED" not in answer[1]


def test_line_ends_reach_no_answer() -> None:
    """Names and values go into answers and logs on one line."""
    answer = refused("AddOrder", '{"nonce":1,"a\\u2028b\\u0085c":1}', JSON)
    assert all(text.isascii() and text.isprintable() for text in answer)
    assert is_refused("AddOrder", "nonce=1&a%0d%0aSet-Cookie:x=1")


def test_compressed_bodies_are_no_bodies() -> None:
    """Gzip's first bytes are neither a form nor JSON, whatever a Content-Encoding may have said."""
    assert is_refused("Balance", b"\x1f\x8b\x08\x00nonce=1")


def _refusal(ask: Any) -> Refused:
    """The refusal that ``ask`` ends in."""
    with pytest.raises(Refused) as caught:
        ask()
    return caught.value
