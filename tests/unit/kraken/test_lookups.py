"""After a lost answer: which reads are made, and what their answers say of each order."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from signer.model import Call, Found, Intent, Order, OrderRef, Price, WireAnswer
from signer.policy.targets import changed
from signer.venues.kraken.pairs import PairTable
from signer.venues.kraken.venue import Kraken
from tests.unit.kraken.asking import KRAKEN, LIMIT, as_json, form
from tests.unit.policy.examples import ETH_USD

AT_S = 1_700_000_000
ROW = {"type": "buy", "ordertype": "limit", "price": "1", "volume": "2"}
TARGET = Order("XXBTZUSD", "buy", "limit", Decimal("1.25"), Price(Decimal(37500)))


def numbered(start: int = 1) -> Any:
    """A source of references 1, 2, 3 …"""
    return iter(range(start, 100)).__next__


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


def answers(opened: dict[str, Any], closed: dict[str, Any] | None = None) -> list[WireAnswer]:
    """The answers of an OpenOrders and a ClosedOrders read."""
    rows = closed or {}
    return [envelope({"open": opened}), envelope({"closed": rows, "count": len(rows)})]


def envelope(result: Any, *errors: str) -> WireAnswer:
    """One answer."""
    return WireAnswer(200, "application/json", json.dumps({"error": list(errors), "result": result}).encode())


PLACED = KRAKEN.with_own_refs(form("AddOrder", LIMIT), numbered())


def test_an_order_without_reference_gets_one_of_ours() -> None:
    """In the order that is reserved and in the fields that are sent, alike."""
    assert PLACED.orders[0].userref == PLACED.fields["userref"] == 1
    assert list(PLACED.fields)[-1] == "userref"


@pytest.mark.parametrize("own", [{"userref": "7"}, {"cl_ord_id": "bot-1"}])
def test_a_client_s_own_reference_stays(own: dict[str, str]) -> None:
    """It is the client's to choose."""
    call = form("AddOrder", {**LIMIT, **own})
    assert KRAKEN.with_own_refs(call, numbered()) is call


def test_a_dry_run_and_a_call_without_orders_stay() -> None:
    """There will be nothing to look up."""
    for call in (form("AddOrder", {**LIMIT, "validate": "true"}), form("CancelAll", {}), form("Balance", {})):
        assert KRAKEN.with_own_refs(call, numbered()) is call


def test_each_order_of_a_batch_gets_its_own() -> None:
    """But for those that have one."""
    call = as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": [ROW, {**ROW, "userref": 70}, ROW]})
    named = KRAKEN.with_own_refs(call, numbered())
    assert [order.userref for order in named.orders] == [1, 70, 2]
    rows = json.loads(KRAKEN.encode(named, 5)[0].body)["orders"]
    assert [row["userref"] for row in rows] == [1, 70, 2]
    assert "userref" not in json.loads(KRAKEN.encode(call, 5)[0].body)["orders"][0]


def test_an_edit_gets_one_for_its_replacement() -> None:
    """In the change, from which the order to come is made."""
    call = form("EditOrder", {"pair": "XBTUSD", "txid": "OLD", "volume": "1"})
    named = KRAKEN.with_own_refs(call, numbered())
    assert named.change is not None
    assert named.change.userref == named.fields["userref"] == 1
    stated = form("EditOrder", {"pair": "XBTUSD", "txid": "OLD", "volume": "1", "userref": "9"})
    assert KRAKEN.with_own_refs(stated, numbered()) is stated


def test_an_order_is_looked_up_open_and_then_closed() -> None:
    """In that order, so that one which closes in between is seen; closed ones since shortly before the intent."""
    opened, closed = KRAKEN.lookups(intent(PLACED))
    assert (opened.endpoint, opened.fields) == ("OpenOrders", {"userref": 1})
    assert (closed.endpoint, closed.fields) == ("ClosedOrders", {"userref": 1, "start": str(AT_S - 3600)})


def test_a_client_order_id_is_looked_up_as_such() -> None:
    """Each kind of reference by its own parameter."""
    call = form("AddOrder", {**LIMIT, "cl_ord_id": "bot-1"})
    assert [read.fields["cl_ord_id"] for read in KRAKEN.lookups(intent(call))] == ["bot-1", "bot-1"]


def test_orders_of_one_reference_share_their_reads() -> None:
    """A batch under one userref is looked up once."""
    call = as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": [{**ROW, "userref": 7}] * 2})
    assert len(KRAKEN.lookups(intent(call))) == 2


@pytest.mark.parametrize("reply", [answers({"OA": shown()}), answers({}, {"OA": shown()})], ids=["open", "closed"])
def test_a_placed_order_is_found(reply: list[WireAnswer]) -> None:
    """Wherever it is by now."""
    assert KRAKEN.found(intent(PLACED), reply) == Found(("OA",))


def test_a_venue_clock_a_minute_behind_hides_no_order() -> None:
    """An order that the venue opened up to then before the intent may be it."""
    assert KRAKEN.found(intent(PLACED), answers({"OA": shown(opentm=AT_S - 3600)})) == Found(("OA",))


def test_an_order_that_the_venue_does_not_have_is_none() -> None:
    """Both answers whole, and it is in neither."""
    assert KRAKEN.found(intent(PLACED), answers({})) == Found((None,))


@pytest.mark.parametrize(
    "other",
    [
        {"userref": 2},
        {"userref": None},
        {"pair": "ETHUSD"},
        {"pair": "UNKNOWN"},
        {"type": "sell"},
        {"ordertype": "market"},
        {"price": "37500.1"},
        {"vol": "1.26"},
    ],
)
def test_another_order_under_the_same_reference_is_not_it(other: dict[str, Any]) -> None:
    """A client's own userref may be on many orders."""
    assert KRAKEN.found(intent(PLACED), answers({"OA": shown(**other)})) == Found((None,))


def test_an_order_of_a_pair_that_was_delisted_is_not_given_back() -> None:
    """Its row cannot be compared any more, so what it holds stays held."""
    gone = Kraken(PairTable((ETH_USD,)))
    assert gone.found(intent(PLACED), answers({"OA": shown()})) is None
    assert gone.found(intent(PLACED), answers({})) == Found((None,))


def test_one_that_differs_only_in_being_older_says_nothing() -> None:
    """It may be an earlier order, or this one while our clock is ahead of the venue's: nothing may be given back."""
    assert KRAKEN.found(intent(PLACED), answers({"OA": shown(opentm=AT_S - 3601)})) is None
    both = {"OA": shown(opentm=AT_S - 3601), "OB": shown()}
    assert KRAKEN.found(intent(PLACED), answers(both)) == Found(("OB",))


def test_a_volume_is_compared_within_the_venue_s_rounding() -> None:
    """Kraken shows eight decimals; a bot may ask for more."""
    call = replace(PLACED, orders=(replace(PLACED.orders[0], volume=Decimal("1.250000004")),))
    assert KRAKEN.found(intent(call), answers({"OA": shown()})) == Found(("OA",))


def test_twins_are_told_apart_by_number() -> None:
    """Two equal orders under one userref need two rows."""
    row = {**ROW, "price": "37500", "volume": "1.25", "userref": 1}
    call = intent(as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": [row, row]}))
    assert KRAKEN.found(call, answers({"OA": shown()})) == Found(("OA", None))
    two = {"OB": shown(opentm=AT_S + 2), "OA": shown()}
    assert KRAKEN.found(call, answers(two)) == Found(("OA", "OB"))


GOOD_OPEN, GOOD_CLOSED = answers({"OA": shown()})
FULL_PAGE = {f"O{index}": shown() for index in range(50)}


@pytest.mark.parametrize(
    "reply",
    [
        [],
        [GOOD_OPEN],
        [GOOD_OPEN, envelope({}, "EAPI:Rate limit exceeded")],
        [GOOD_OPEN, WireAnswer(502, "text/html", b"")],
        [GOOD_OPEN, WireAnswer(200, "application/json", b'{"error":[],"result":{"closed":{')],
        [GOOD_OPEN, WireAnswer(200, "application/json", b'{"error":[]}')],
        [GOOD_OPEN, envelope({"closed": {}, "count": 51})],
        [GOOD_OPEN, envelope({"closed": FULL_PAGE, "count": 50})],
        [GOOD_OPEN, envelope({"closed": {"OB": "x"}, "count": 1})],
        [envelope({"open": {"OA": {"userref": 1}}}), GOOD_CLOSED],
        [envelope({"open": {"OA": shown(opentm="soon")}}), GOOD_CLOSED],
    ],
    ids=["none", "one", "error", "502", "truncated", "no result", "more pages", "full page", "no row", "bare", "time"],
)
def test_what_is_not_the_whole_truth_says_nothing(reply: list[WireAnswer]) -> None:
    """Then the intent stays held, and is asked for again."""
    assert KRAKEN.found(intent(PLACED), reply) is None


def test_an_order_without_reference_can_never_be_found() -> None:
    """One that was sent so (it should not be) stays held for a person to look at."""
    call = form("AddOrder", LIMIT)
    assert KRAKEN.lookups(intent(call)) == []
    assert KRAKEN.found(intent(call), []) is None


def test_a_replacement_is_found_by_its_own_reference() -> None:
    """Its volume may be what was left of the original's."""
    call = KRAKEN.with_own_refs(form("EditOrder", {"pair": "XBTUSD", "txid": "OLD", "volume": "2"}), numbered())
    assert call.change is not None
    edit = intent(call, (changed(TARGET, call.change),))
    assert KRAKEN.found(edit, answers({"ON": shown(vol="1.5")})) == Found(("ON",))
    assert KRAKEN.found(edit, answers({})) == Found((None,))


def test_an_amend_is_looked_up_by_its_target() -> None:
    """By txid in one read; by the client's id among open and closed, however old."""
    call = form("AmendOrder", {"txid": "OLD", "order_qty": "2"})
    assert [(read.endpoint, read.fields) for read in KRAKEN.lookups(intent(call))] == [("QueryOrders", {"txid": "OLD"})]
    named = replace(intent(call), targets=(OrderRef("cl_ord_id", "bot-1"),))
    assert [(read.endpoint, read.fields) for read in KRAKEN.lookups(named)] == [
        ("OpenOrders", {"cl_ord_id": "bot-1"}),
        ("ClosedOrders", {"cl_ord_id": "bot-1"}),
    ]


@pytest.mark.parametrize(
    ("row", "txids"),
    [
        ({"vol": "2", "price": "40000.00"}, ("OLD",)),
        ({"vol": "1.25", "price": "40000.00"}, (None,)),
        ({"vol": "2", "price": "37500"}, (None,)),
    ],
)
def test_an_amend_is_done_if_the_order_shows_it(row: dict[str, Any], txids: tuple[str | None, ...]) -> None:
    """Volume and limit as asked for."""
    call = form("AmendOrder", {"txid": "OLD", "order_qty": "2", "limit_price": "40000"})
    assert call.change is not None
    amend = intent(call, (changed(TARGET, call.change),))
    assert KRAKEN.found(amend, [envelope({"OLD": shown(opentm=1, **row)})]) == Found(txids)


def test_an_amend_to_a_relative_price_is_told_by_its_volume() -> None:
    """Kraken shows what the price became, which is not what was asked for."""
    call = form("AmendOrder", {"txid": "OLD", "order_qty": "2", "limit_price": "+1%"})
    assert call.change is not None
    amend = intent(call, (changed(TARGET, call.change),))
    assert KRAKEN.found(amend, [envelope({"OLD": shown(vol="2", price="37900")})]) == Found(("OLD",))
    market = intent(call, (replace(TARGET, order_type="market", price=None, volume=Decimal(2)),))
    assert KRAKEN.found(market, [envelope({"OLD": shown(vol="2", price="0")})]) == Found(("OLD",))


def test_the_limit_of_a_triggered_order_is_its_second_price() -> None:
    """An amend of it changes ``price2`` only."""
    target = replace(TARGET, order_type="stop-loss-limit", price2=Price(Decimal(37000)))
    call = form("AmendOrder", {"txid": "OLD", "limit_price": "36000"})
    assert call.change is not None
    amend = intent(call, (changed(target, call.change),))
    row = shown(ordertype="stop-loss-limit", price2="36000.0")
    assert KRAKEN.found(amend, [envelope({"OLD": row})]) == Found(("OLD",))
    assert KRAKEN.found(amend, [envelope({"OLD": {**row, "descr": {**row["descr"], "price2": "37000"}}})]) == Found(
        (None,)
    )


@pytest.mark.parametrize("reply", [envelope({}), envelope({"A": shown(), "B": shown()}), envelope({}, "EOrder:x")])
def test_an_amend_of_an_order_that_is_not_shown_says_nothing(reply: WireAnswer) -> None:
    """An order that was amended exists, so its absence is no answer."""
    call = form("AmendOrder", {"txid": "OLD", "order_qty": "1.25"})
    assert KRAKEN.found(intent(call, (TARGET,)), [reply]) is None


def test_an_intent_without_orders_needs_no_look_up() -> None:
    """A cancel holds nothing."""
    cancel = intent(form("CancelOrder", {"txid": "OLD"}))
    assert KRAKEN.lookups(cancel) == ()
    assert KRAKEN.found(cancel, []) == Found(())
