"""After a lost answer: which reads list orders, what their answers show, and whether a listed order is one of ours."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from signer.model import Call, Intent, Order, OrderRef, Price, WireAnswer
from signer.model.sightings import Listing, Sighting
from signer.policy.orders import changed
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.venue import Kraken
from tests.unit.policy.examples import ETH_USD
from tests.unit.venues.kraken.asking import KRAKEN, LIMIT, form, numbered

AT_S = 1_700_000_000
TARGET = Order("XXBTZUSD", "buy", "limit", Decimal("1.25"), Price(Decimal(37500)))


def intent(call: Call, orders: tuple[Order, ...] | None = None) -> Intent:
    """What the gateway would have recorded for ``call``."""
    return Intent(
        client="bot", account="main", endpoint=call.endpoint, orders=call.orders if orders is None else orders,
        targets=call.targets, charges=(), record="r", at_us=AT_S * 1_000_000,
    )  # fmt: skip


def shown(**fields: Any) -> dict[str, Any]:
    """A row of OpenOrders as Kraken shows the order LIMIT with userref 1."""
    descr = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "37500.0", "price2": "0"}
    descr |= {name: fields.pop(name) for name in list(fields) if name in descr}
    return {"userref": 1, "cl_ord_id": None, "opentm": AT_S + 0.25, "vol": "1.25000000", "descr": descr, **fields}


def envelope(result: Any, *errors: str) -> WireAnswer:
    """Return one answer."""
    return WireAnswer(200, "application/json", json.dumps({"error": list(errors), "result": result}).encode())


PLACED = KRAKEN.with_own_names(form("AddOrder", LIMIT), numbered(), lambda _: False)


def listed(rows: dict[str, Any]) -> Listing:
    """What an answer of OpenOrders shows."""
    read = KRAKEN.read_orders(envelope({"open": rows}))
    assert read is not None
    return read


def sighting(**fields: Any) -> Sighting:
    """Return one listed order."""
    return listed({"OA": shown(**fields)}).sightings["OA"]


def alike(call: Call, **fields: Any) -> bool | None:
    """Whether a row is what ``call`` placed."""
    return KRAKEN.is_alike(intent(call), call.orders[0], sighting(**fields))


def test_the_reads_that_list_orders() -> None:
    """All open ones at once; closed ones by the time at which they were opened, page by page; some by their ids."""
    assert (KRAKEN.open_orders().endpoint, KRAKEN.open_orders().fields) == ("OpenOrders", {})
    first, second = KRAKEN.closed_orders(AT_S * 1_000_000 + 5, 0), KRAKEN.closed_orders(AT_S * 1_000_000, 50)
    assert (first.endpoint, first.fields) == ("ClosedOrders", {"start": str(AT_S - 1), "closetime": "open"})
    assert second.fields == {"start": str(AT_S - 1), "closetime": "open", "ofs": "50"}
    assert KRAKEN.orders_by_id(["OA", "OB"]).fields == {"txid": "OA,OB"}
    assert {call.endpoint for call in KRAKEN.lookup_reach()} == {"OpenOrders", "ClosedOrders", "QueryOrders"}


def test_a_row_is_read_whole() -> None:
    """Pairs by our id, times in microseconds, no reference as empty text."""
    assert sighting() == Sighting(
        "OA", "XXBTZUSD", "buy", "limit", Decimal("1.25"), Price(Decimal(37500)), Price(Decimal(0)), "1", "",
        AT_S * 1_000_000 + 250_000,
    )  # fmt: skip
    other = sighting(userref=0, cl_ord_id="bot-1", closetm=AT_S + 9, pair="NEWUSD")
    assert (other.client_tag, other.client_id, other.pair) == ("", "bot-1", "NEWUSD")
    assert other.closed_us == (AT_S + 9) * 1_000_000
    assert sighting(closetm=0).closed_us is None


def test_a_page_of_closed_orders_says_how_many_there_are() -> None:
    """The venue's own count, where it gives one."""
    rows = {"OA": shown(closetm=AT_S + 1)}
    counted = KRAKEN.read_orders(envelope({"closed": rows, "count": 51}))
    assert (counted and counted.total, counted and list(counted.sightings)) == (51, ["OA"])
    uncounted = KRAKEN.read_orders(envelope({"closed": rows}))
    assert uncounted is not None
    assert uncounted.total is None
    assert KRAKEN.read_orders(envelope({"OA": shown()})) == listed({"OA": shown()})


@pytest.mark.parametrize(
    "answer",
    [
        envelope({}, "EAPI:Rate limit exceeded"),
        WireAnswer(502, "text/html", b""),
        WireAnswer(200, "application/json", b'{"error":[],"result":{"closed":{'),
        WireAnswer(200, "application/json", b'{"error":[]}'),
        envelope([]),
        envelope({"closed": {"OA": shown()}, "count": 0}),
        envelope({"closed": {"OA": shown()}, "count": "many"}),
        envelope({"open": ["OA"]}),
        envelope({"open": {"OA": "x"}}),
        envelope({"open": {"OA": {"userref": 1}}}),
        envelope({"open": {"OA": shown(opentm="soon")}}),
        envelope({"open": {"OA": shown(vol="much")}}),
        envelope({"open": {"OA": shown(price="")}}),
        envelope({"open": {"OA": shown(), "OB": {**shown(), "descr": None}}}),
    ],
    ids=lambda answer: answer.body.decode()[:60] or str(answer.status),
)
def test_what_is_not_a_whole_list_is_none(answer: WireAnswer) -> None:
    """A list with a row that does not read is no list, since that row may be the one that is looked for."""
    assert KRAKEN.read_orders(answer) is None


def test_the_order_as_it_was_placed_is_alike() -> None:
    """The order is recognised with a cl_ord_id too, and however the venue writes its numbers."""
    assert alike(PLACED)
    assert alike(form("AddOrder", {**LIMIT, "cl_ord_id": "bot-1"}), userref=None, cl_ord_id="bot-1", price="37500")


@pytest.mark.parametrize(
    "other",
    [
        {"pair": "ETHUSD"},
        {"pair": "UNKNOWN"},
        {"type": "sell"},
        {"ordertype": "market"},
        {"price": "37500.1"},
        {"vol": "1.26"},
    ],
)
def test_another_order_under_the_same_reference_is_not_alike(other: dict[str, Any]) -> None:
    """A client's own userref may be on many orders."""
    assert not alike(PLACED, **other)


def test_an_order_of_a_pair_that_was_delisted_cannot_be_told() -> None:
    """The exchange may show the pair by another name, even by one that is listed. An order that differs in anything
    else is certainly another one."""
    gone = Kraken(PairTable((ETH_USD,)))

    def is_alike(**fields: Any) -> bool | None:
        listing = gone.read_orders(envelope({"open": {"OA": shown(**fields)}}))
        assert listing is not None
        return gone.is_alike(intent(PLACED), PLACED.orders[0], listing.sightings["OA"])

    assert is_alike() is None
    assert (is_alike(pair="ETHUSD"), is_alike(price="1"), is_alike(pair="ETHUSD", price="1")) == (None, False, False)


def test_an_order_whose_listed_pair_we_do_not_know_cannot_be_told() -> None:
    """The exchange may have given the pair a new name since we read its list of pairs."""
    assert alike(form("AddOrder", {**LIMIT, "userref": "1"}), pair="NEWUSD") is None
    assert alike(form("AddOrder", {**LIMIT, "userref": "1"}), pair="NEWUSD", price="1") is False


@pytest.mark.parametrize(
    ("shown_price", "shown_price2", "same"),
    [("36000", "35900", True), ("36001", "35900", False), ("36000", "35901", False)],
)
def test_both_prices_of_a_triggered_order_count(shown_price: str, shown_price2: str, same: bool) -> None:
    """An order with another trigger or another limit is not alike."""
    stop = {**LIMIT, "ordertype": "stop-loss-limit", "price": "36000", "price2": "35900", "userref": "1"}
    call = form("AddOrder", stop)
    assert alike(call, ordertype="stop-loss-limit", price=shown_price, price2=shown_price2) is same


def test_a_relative_price_is_not_compared() -> None:
    """The venue shows what it became."""
    assert alike(form("AddOrder", {**LIMIT, "price": "+1%", "userref": "1"}), price="37900")


def test_a_volume_is_compared_within_the_venue_s_rounding() -> None:
    """Kraken shows eight decimals; a bot may ask for more."""
    assert alike(replace(PLACED, orders=(replace(PLACED.orders[0], volume=Decimal("1.250000004")),)))


def test_the_volume_of_a_replacement_is_not_compared() -> None:
    """The volume may be what was left of the original's."""
    call = form("EditOrder", {"pair": "XBTUSD", "txid": "OLD", "volume": "2"})
    assert call.change is not None
    order = changed(TARGET, call.change)
    assert KRAKEN.is_alike(intent(call, (order,)), order, sighting(vol="1.5"))
    assert KRAKEN.amended_id(intent(call, (order,))) is None


def test_an_amend_is_looked_for_by_its_order_s_txid() -> None:
    """An intent that names it otherwise leaves nothing to look for."""
    call = form("AmendOrder", {"txid": "OLD", "order_qty": "2"})
    assert KRAKEN.amended_id(intent(call)) == "OLD"
    assert KRAKEN.amended_id(replace(intent(call), targets=(OrderRef("client-id", "bot-1"),))) == ""
    assert KRAKEN.amended_id(intent(PLACED)) is None


@pytest.mark.parametrize(
    ("row", "done"),
    [
        ({"vol": "2", "price": "40000.00"}, True),
        ({"vol": "1.25", "price": "40000.00"}, False),
        ({"vol": "2", "price": "37500"}, False),
    ],
)
def test_an_amend_is_done_if_the_order_shows_it(row: dict[str, Any], done: bool) -> None:
    """Volume and limit as asked for, whenever the order was opened."""
    call = form("AmendOrder", {"txid": "OLD", "order_qty": "2", "limit_price": "40000"})
    assert call.change is not None
    assert KRAKEN.is_amended(changed(TARGET, call.change), sighting(opentm=1, **row)) is done


def test_an_amend_to_a_relative_price_is_told_by_its_volume() -> None:
    """Kraken shows what the price became, which is not what was asked for."""
    call = form("AmendOrder", {"txid": "OLD", "order_qty": "2", "limit_price": "+1%"})
    assert call.change is not None
    assert KRAKEN.is_amended(changed(TARGET, call.change), sighting(vol="2", price="37900"))
    market = replace(TARGET, order_type="market", price=None, volume=Decimal(2))
    assert KRAKEN.is_amended(market, sighting(vol="2", price="0"))
