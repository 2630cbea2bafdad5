"""Faults of the exchange: lists that are late, out of order or moved, while the books are right."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from signer.sandbox.conditions import Conditions, conditions
from signer.sandbox.engine_faults import LateRows, LateTrades, MovedRows, ShuffledRows, StaleRows
from signer.sandbox.faults import FAULT, Errors, Faults
from tests.unit.sandbox.desk import Desk
from tests.unit.sandbox.edge import Edge, errors


def _closed(desk: Desk, number: int) -> list[str]:
    """So many market orders, one a second, newest first."""
    txids = []
    for _ in range(number):
        desk.time += 1
        txids.append(desk.add("buy", "market", "0.001"))
    return txids[::-1]


def test_a_closed_order_is_nowhere_for_a_while(desk: Desk) -> None:
    """OpenOrders lacks it at once, ClosedOrders and TradesHistory have it late, and the count says nothing of it."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    desk.time += 100
    desk.price("49000")
    late = conditions([LateRows(endpoint="ClosedOrders", seconds=30)])
    assert desk.ask("OpenOrders") == {"open": {}}
    assert desk.ask_under(late, "ClosedOrders") == {"closed": {}, "count": 0}
    assert desk.ask_under(late, "TradesHistory") == {"trades": {}, "count": 0}
    assert desk.ask_under(late, "Ledgers", type="trade") == {"ledger": {}, "count": 0}
    assert desk.ask("ClosedOrders")["count"] == 1
    desk.time += 30
    assert list(desk.ask_under(late, "ClosedOrders")["closed"]) == [txid]
    assert desk.ask_under(late, "TradesHistory")["count"] == 1


def test_what_is_not_listed_yet_cannot_be_queried(desk: Desk) -> None:
    """A late order, trade or ledger entry gets the answer of an unknown one."""
    old = desk.add("buy", "market", "0.1")
    desk.time += 100
    new = desk.add("buy", "market", "0.1")
    trade, entry = desk.look(new)["trades"][0], next(iter(desk.ask("Ledgers")["ledger"]))
    late = conditions([LateRows(seconds=30)])
    assert desk.refused_under(late, "QueryOrders", txid=f"{old},{new}") == "EOrder:Unknown order"
    assert desk.refused_under(late, "QueryTrades", txid=trade) == "EGeneral:Invalid arguments:txid"
    assert desk.refused_under(late, "QueryLedgers", id=entry) == "EGeneral:Invalid arguments:id"
    assert list(desk.ask_under(late, "QueryOrders", txid=old)) == [old]
    assert desk.ask_under(late, "OpenOrders") == {"open": {}}


def test_an_orders_volume_runs_ahead_of_its_trades(desk: Desk) -> None:
    """The row has the whole executed volume, and lists only the fills that are old enough."""
    desk.price("10000")
    txid = desk.add("buy", "limit", "4", "10000.5")
    desk.time += 100
    desk.price("9000")
    late = conditions([LateTrades(seconds=30)])
    first, last = desk.look(txid)["trades"]
    row = desk.ask_under(late, "QueryOrders", txid=txid, trades=True)[txid]
    assert (row["vol_exec"], row["trades"]) == ("4.00000000", [first])
    assert desk.ask_under(late, "ClosedOrders", trades=True)["closed"][txid]["trades"] == [first]
    desk.time += 30
    assert desk.ask_under(late, "QueryOrders", txid=txid, trades=True)[txid]["trades"] == [first, last]


def test_orders_are_listed_as_they_were(desk: Desk) -> None:
    """A stale list shows an ended order as open, without its late fills, its amend and its newer neighbours."""
    txid = desk.add("buy", "limit", "0.1", "50000", oflags="post")
    desk.time += 10
    desk.exchange.fill("bot", txid, Decimal("0.02"))
    before = desk.look(txid)
    desk.time += 10
    desk.ask("AmendOrder", txid=txid, order_qty="0.2", limit_price="49000")
    desk.exchange.fill("bot", txid)
    new = desk.add("buy", "limit", "0.1", "50000")
    stale = conditions([StaleRows(seconds=5)])
    assert desk.ask_under(stale, "OpenOrders", trades=True)["open"] == {txid: before}
    assert desk.ask_under(stale, "QueryOrders", txid=txid, trades=True) == {txid: before}
    assert desk.ask_under(stale, "ClosedOrders") == {"closed": {}, "count": 0}
    assert desk.refused_under(stale, "QueryOrders", txid=new) == "EOrder:Unknown order"
    desk.time += 5
    assert desk.ask_under(stale, "QueryOrders", txid=txid, trades=True)[txid] == desk.look(txid)
    assert list(desk.ask_under(stale, "ClosedOrders")["closed"]) == [txid]
    assert list(desk.ask_under(stale, "OpenOrders")["open"]) == [new]


def test_rows_come_in_the_order_of_the_seed(desk: Desk) -> None:
    """A page has the same rows in another order, the same for one seed."""
    closed = _closed(desk, 60)
    shown = [
        list(desk.ask_under(conditions([ShuffledRows(seed=seed)]), "ClosedOrders")["closed"]) for seed in (1, 1, 2)
    ]
    assert shown[0] == shown[1] != shown[2]
    assert shown[0] != closed[:50]
    assert all(sorted(rows) == sorted(closed[:50]) for rows in shown)


@pytest.mark.parametrize(("rows", "second", "count"), [(1, slice(49, 60), 61), (-1, slice(51, 60), 59)])
def test_rows_move_between_pages(desk: Desk, rows: int, second: slice, count: int) -> None:
    """A list that grew shows the end of the page before again; one that shrank shows a row on neither page."""
    closed = _closed(desk, 60)
    moved = conditions([MovedRows(rows=rows)])
    assert list(desk.ask_under(moved, "ClosedOrders")["closed"]) == closed[:50]
    page = desk.ask_under(moved, "ClosedOrders", ofs="50")
    assert (list(page["closed"]), page["count"]) == (closed[second], count)


def test_the_faults_of_one_call_add_up() -> None:
    """A request meets one fault of the wire and each of the exchange that is due."""
    faults = Faults()
    for fault in (
        LateRows(seconds=5, count=9),
        Errors(errors=("EService:Busy",)),
        Errors(errors=("EService:Unavailable",)),
        MovedRows(rows=2, skip=1),
    ):
        faults.add(fault)
    first, second, third = (faults.take("ClosedOrders") for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.fault, conditions(first.engine)) == (Errors(errors=("EService:Busy",)), Conditions(rows_late_s=5))
    assert second.kinds == "errors, late-rows, moved-rows"
    assert conditions(second.engine) == Conditions(rows_late_s=5, moved=2)
    assert third.kinds == "late-rows"
    assert faults.take("AddOrder") is None
    assert [row["met"] for row in faults.listed()] == [3, 1, 1, 1]


def test_the_edge_tells_the_engine_what_a_call_meets() -> None:
    """A call of a bot meets the fault, one of the control interface sees the truth."""
    edge = Edge()
    assert edge.control.post("/faults", json={"kind": "late-rows", "seconds": 3}).status_code == 200
    assert errors(edge.call("ClosedOrders")) == []
    assert edge.simulation.arrivals.listed()[-1].fault == "late-rows"
    assert edge.control.get("/accounts/demo/ClosedOrders").status_code == 200
    assert edge.engine.met == [Conditions(rows_late_s=3), Conditions()]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "late-rows"},
        {"kind": "late-rows", "seconds": 0},
        {"kind": "late-rows", "seconds": 1, "endpoint": "AddOrder"},
        {"kind": "late-trades", "seconds": 1, "endpoint": "TradesHistory"},
        {"kind": "shuffled-rows", "endpoint": "QueryOrders"},
        {"kind": "moved-rows", "rows": 0},
        {"kind": "moved-rows", "acts": False},
    ],
)
def test_a_fault_without_effect_is_refused(wrong: dict[str, Any]) -> None:
    """A fault that could change nothing would make a test pass for nothing."""
    with pytest.raises(ValidationError):
        FAULT.validate_python(wrong)
