"""What unmodified clients always send beside what a call needs (docs/clients.md)."""

from __future__ import annotations

from typing import Any

import pytest

from signer.errors import Refused
from signer.venues.kraken.endpoints import ENDPOINTS
from signer.venues.kraken.models import MOST_EXTRAS
from tests.unit.venues.kraken.asking import KRAKEN, LIMIT, as_json, form, named, says

ROW = {name: value for name, value in LIMIT.items() if name != "pair"}
TXID = "OQCLML-BW3P3-BUCMWZ"


@pytest.mark.parametrize("endpoint", ["AddOrder", "AddOrderBatch"])
def test_the_trading_agreement_is_sent_on(endpoint: str) -> None:
    """Kraken refuses the orders of residents of Germany without it; freqtrade, krakipy and Kraken.Net send it."""
    fields: dict[str, Any] = LIMIT if endpoint == "AddOrder" else {"pair": "XBTUSD", "orders": [ROW, ROW]}
    call = as_json(endpoint, {**fields, "trading_agreement": "agree"})
    assert call.fields["trading_agreement"] == "agree"
    assert b"trading_agreement" in KRAKEN.encode(named(call), 5, "KEY")[0].body
    assert call.dropped == ()


def test_a_row_may_have_the_trading_agreement() -> None:
    """ccxt puts what the caller adds to an order into the order's own row."""
    call = as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": [ROW, {**ROW, "trading_agreement": "agree"}]})
    assert b'"trading_agreement":"agree"' in KRAKEN.encode(named(call), 5, "KEY")[0].body


@pytest.mark.parametrize(
    ("extra", "dropped"),
    [
        ({"close": "{}", "position": "0"}, ("position",)),
        ({"broker": "AA00 N84G 5DFX 6D3Q"}, ("broker",)),
        ({"https[rejectUnauthorized]": "false"}, ("https",)),
        ({"oflags": "", "price2": ""}, ()),
    ],
)
def test_what_means_nothing_in_an_order_is_dropped_by_name(extra: dict[str, str], dropped: tuple[str, ...]) -> None:
    """The order is the one without it, and the record names what it lost."""
    call = form("AddOrder", {**LIMIT, **extra})
    assert (call.orders, call.fields) == (form("AddOrder", LIMIT).orders, form("AddOrder", LIMIT).fields)
    assert call.dropped == dropped


@pytest.mark.parametrize(
    "extra",
    [
        {"position": "1"}, {"position": ["0"]}, {"broker": {"id": "A"}}, {"broker": ["A"]},
        {"https": {"rejectUnauthorized": "false", "volume": "5"}}, {"https": "false"}, {"http": {"agent": "x"}},
        {"close": "{ }"}, {"close": "null"}, {"kwargs": "{}"}, {"trading_agreement": "disagree"},
    ],
)  # fmt: skip
def test_what_only_resembles_it_is_refused(extra: dict[str, Any]) -> None:
    """A name alone is no pass, and nor is a name on another client's list."""
    with pytest.raises(Refused, check=says("EGeneral:Invalid arguments")):
        as_json("AddOrder", {**LIMIT, **extra})


def test_the_rows_of_a_batch_lose_the_same() -> None:
    """Each dropped parameter is named with its row."""
    rows = [{**ROW, "broker": "AA00"}, {"type": "buy", "ordertype": "market", "volume": "1", "price": "9"}]
    call = as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": rows})
    assert call.dropped == ("orders[0][broker]", "orders[1][price]")
    assert [order.price for order in call.orders][1] is None
    assert b"broker" not in KRAKEN.encode(named(call), 5, "KEY")[0].body
    assert b'"9"' not in KRAKEN.encode(named(call), 5, "KEY")[0].body


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        ("AddOrder", {**LIMIT, "price2": None, "close": None, "oflags": None, "userref": None, "deadline": None}),
        ("AddOrder", {**LIMIT, "close": {"ordertype": None, "price": None}}),
        ("AddOrder", {**LIMIT, "close": {}}),
        ("AddOrder", {**LIMIT, "trading_agreement": None}),
        ("AmendOrder", {"txid": TXID, "order_qty": "2", "cl_ord_id": None, "limit_price": None, "post_only": None}),
        ("CancelOrder", {"txid": TXID, "cl_ord_id": None}),
        ("ClosedOrders", {"start": None, "ofs": None}),
    ],
)
def test_null_means_absent(endpoint: str, fields: dict[str, Any]) -> None:
    """kraken-async-rs writes every option that it does not use as null."""
    bare = {name: value for name, value in fields.items() if value not in (None, {}) and name != "close"}
    assert as_json(endpoint, fields) == as_json(endpoint, bare)


@pytest.mark.parametrize("blank", ["", None])
def test_a_blank_that_means_nothing_is_dropped_too(blank: Any) -> None:
    """A blank value of a meaningless parameter is dropped like any other value."""
    call = as_json("AddOrder", {**LIMIT, "position": blank, "broker": blank})
    assert (call.fields, call.dropped) == (as_json("AddOrder", LIMIT).fields, ("broker", "position"))
    amend = as_json("AmendOrder", {"txid": TXID, "order_qty": "2", "trading_agreement": blank})
    assert amend.dropped == ("trading_agreement",)


@pytest.mark.parametrize(
    ("endpoint", "fields", "named"),
    [
        ("AddOrder", {**LIMIT, "volume": None}, "volume is missing"),
        ("AddOrder", {**LIMIT, "surprise": None}, "surprise"),
        ("AddOrderBatch", {"pair": "XBTUSD", "orders": [ROW, None]}, "must be an object"),
        ("CancelOrderBatch", {"orders": [TXID, None]}, "orders must be"),
    ],
)
def test_null_is_no_value(endpoint: str, fields: dict[str, Any], named: str) -> None:
    """A null fills no gap, hides no unknown name, and stands for no order."""
    with pytest.raises(Refused, check=says("EGeneral:Invalid arguments")) as caught:
        as_json(endpoint, fields)
    assert named in str(caught.value)


@pytest.mark.parametrize("endpoint", ["EditOrder", "AmendOrder"])
def test_a_change_needs_no_agreement(endpoint: str) -> None:
    """The order that it changes was placed with it."""
    fields = {"txid": TXID} | ({"pair": "XBTUSD"} if endpoint == "EditOrder" else {})
    call = form(endpoint, {**fields, "trading_agreement": "agree"})
    assert "trading_agreement" not in call.fields
    assert call.dropped == ("trading_agreement",)


@pytest.mark.parametrize("name", ["type", "ordertype", "leverage", "timeinforce", "starttm", "cl_ord_id", "trigger"])
def test_an_edit_of_what_no_edit_changes_is_refused(name: str) -> None:
    """Were it dropped, the bot would believe in an order that is not there."""
    with pytest.raises(Refused, match=f'"{name}" is not known'):
        form("EditOrder", {"pair": "XBTUSD", "txid": TXID, "volume": "1", name: "1"})


@pytest.mark.parametrize("endpoint", ["CancelOrder", "CancelAll", "Balance", "AddExport", "Withdraw", "OpenOrders"])
def test_a_client_s_own_http_options_are_dropped_everywhere(endpoint: str) -> None:
    """node-kraken-rest-api writes them into every body."""
    needed = {"CancelOrder": {"txid": TXID}, "AddExport": {"report": "trades"}}.get(endpoint, {})
    call = form(endpoint, {**needed, "https[rejectUnauthorized]": "false"})
    assert "https" not in call.fields
    assert call.dropped == ("https",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kwargs", "{}"), ("docals", "true"), ("offset", "5"), ("ticker_pair", "XBTUSD"), ("assetVersion", "1"),
        ("pair", "not a pair"), ("start", "1616663618"),
    ],
)  # fmt: skip
def test_a_plain_unknown_parameter_of_a_read_is_sent_on(name: str, value: str) -> None:
    """The parameter is written anew behind the known ones, and recorded with them."""
    call = form("OpenOrders", {name: value, "trades": "true"})
    assert call.fields == {"trades": True, name: value}
    assert list(call.fields) == ["trades", name]
    wire, _ = KRAKEN.encode(named(call), 5, "KEY")
    assert wire.body.startswith(b"nonce=5&trades=true&" + name.encode())


@pytest.mark.parametrize(
    "odd",
    [
        {"kwargs": {}}, {"kwargs": {"a": "b"}}, {"list": ["1"]}, {"a-b": "1"}, {"a.b": "1"}, {"a b": "1"}, {"a[": "1"},
        {"a[]": "1"}, {"x" * 41: "1"}, {"long": "x" * 129}, {"accent": "\u00e9"}, {"Trades": "true"}, {"tra_des": "1"},
        {"note": "two\nlines"}, {"note": "\x00"}, {"half": "\ud800"}, {"kwargs": {"a": ["b\r"]}}, {"a b": "\t"},
    ],
)  # fmt: skip
def test_an_odd_unknown_parameter_of_a_read_is_dropped(odd: dict[str, Any]) -> None:
    """What two readers could take differently goes nowhere, and the bot gets its answer."""
    call = as_json("OpenOrders", odd)
    assert call.fields == {}
    assert call.dropped == tuple(odd)


@pytest.mark.parametrize("value", ["two\nlines", "\x00", "\x7f"])
def test_a_control_character_is_dropped_only_with_an_unknown_parameter_of_a_read(value: str) -> None:
    """A known parameter, a nonce, a second factor, a name, or a call that changes something is refused for it."""
    call = form("OpenOrders", {"note": value, "trades": "true"})
    assert (call.fields, call.dropped) == ({"trades": True}, ("note",))
    known: list[dict[str, Any]] = [{"trades": value}, {"otp": value}, {"nonce": value}, {"trades[a]": value}]
    bad = [*(("OpenOrders", fields) for fields in known), ("OpenOrders", {value: "1"}), ("Withdraw", {"note": value})]
    for endpoint, fields in [*bad, ("AddOrder", {**LIMIT, "note": value})]:
        for ask in (form, as_json):
            with pytest.raises(Refused, check=says("EGeneral:Invalid arguments")):
                ask(endpoint, fields)


@pytest.mark.parametrize("name", ["userref[]", "userref[", "userref[a]b"])
def test_a_filter_that_cannot_be_read_is_refused(name: str) -> None:
    """A filter that cannot be read is refused, since the read would tell of everything without it."""
    with pytest.raises(Refused, match="no spelling of a parameter"):
        form("OpenOrders", {name: "5"})


def test_unknown_parameters_of_a_read_are_bounded() -> None:
    """A read carries a few, not hundreds."""
    call = form("Balance", {f"x{number}": "1" for number in range(MOST_EXTRAS + 5)})
    assert len(call.fields) == MOST_EXTRAS
    assert len(call.dropped) == 5


def test_blank_and_null_unknowns_of_a_read_say_nothing() -> None:
    """Unknown parameters without a value are neither sent on nor counted."""
    call = as_json("Balance", {"a": "", "b": None})
    assert (call.fields, call.dropped) == ({}, ())


def test_every_read_that_is_forwarded_takes_a_plain_unknown_parameter() -> None:
    """A new endpoint in the table cannot forget it."""
    for endpoint in ENDPOINTS.values():
        if endpoint.action == "read" and not endpoint.local:
            assert form(endpoint.name, {"surprise": "1"}).fields == {"surprise": "1"}, endpoint.name
