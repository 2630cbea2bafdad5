"""Orders that fill around a call, and cancels that come too late: what a bot cannot know when it is answered."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest

from signer.sandbox.conditions import Conditions, conditions
from signer.sandbox.engine_faults import Filled, LateCancel
from signer.sandbox.faults import LateAnswer
from tests.unit.sandbox.desk import Desk, order
from tests.unit.sandbox.edge import Edge, errors

HALF = Decimal("0.5")


def _before(share: Decimal = Decimal(1)) -> Conditions:
    return conditions([Filled(moment="before", share=share)])


def _after(share: Decimal = Decimal(1)) -> Conditions:
    return conditions([Filled(moment="after", share=share)])


def test_a_fill_comes_before_the_cancel(desk: Desk) -> None:
    """An order that filled whole is unknown to the cancel; of one that filled in part the rest is cancelled."""
    whole, half = desk.add("buy", "limit", "0.1", "50000"), desk.add("buy", "limit", "0.1", "50000", userref="7")
    assert desk.refused_under(_before(), "CancelOrder", txid=whole) == "EOrder:Unknown order"
    assert desk.ask_under(_before(HALF), "CancelOrder", txid="7") == {"count": 1}
    assert [(desk.look(txid)["status"], desk.look(txid)["vol_exec"]) for txid in (whole, half)] == [
        ("closed", "0.10000000"),
        ("canceled", "0.05000000"),
    ]


def test_only_the_orders_that_a_call_names_fill(desk: Desk) -> None:
    """By txid or client id, one or many; a call that names none concerns them all, but no stop."""
    txids = [desk.add("buy", "limit", "0.01", "50000", cl_ord_id=name) for name in "abcd"]
    stop = desk.add("sell", "stop-loss-limit", "0.1", "55000", price2="54000")
    desk.refused_under(_before(), "CancelOrder", cl_ord_id="a")
    assert list(desk.ask("OpenOrders")["open"]) == [*txids[1:], stop]
    desk.refused_under(_before(), "CancelOrderBatch", orders=[txids[1]], cl_ord_ids=["c"])
    assert list(desk.ask("OpenOrders")["open"]) == [txids[3], stop]
    assert desk.ask_under(_before(), "CancelAll") == {"count": 1}
    assert desk.look(txids[3])["status"] == "closed"


def test_an_order_fills_before_its_answer_leaves(desk: Desk) -> None:
    """AddOrder, each row of a batch and EditOrder answer the txid of an order that has traded already."""
    fields = {"pair": "XBTUSD", **order("buy", "limit", "0.01", "50000")}
    (one,) = desk.ask_under(_after(HALF), "AddOrder", **fields)["txid"]
    rows = desk.ask_under(
        _after(HALF), "AddOrderBatch", pair="XBTUSD", orders=[order("buy", "limit", "0.01", "50000")] * 2
    )
    edited = desk.ask_under(_after(), "EditOrder", pair="XBTUSD", txid=one, price="51000")["txid"]
    states = [desk.look(txid) for txid in (one, *(row["txid"] for row in rows["orders"]), edited)]
    assert [(row["status"], row["vol_exec"]) for row in states] == [
        ("canceled", "0.00500000"),
        ("open", "0.00500000"),
        ("open", "0.00500000"),
        ("closed", "0.00500000"),
    ]
    assert desk.ask_under(_after(), "AddOrder", **fields, validate=True)["descr"]


def test_an_order_fills_across_an_amend(desk: Desk) -> None:
    """A fill before the amend is in its new total, or makes it too small; one after it is at the new price."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    assert (
        desk.refused_under(_before(HALF), "AmendOrder", txid=txid, order_qty="0.05") == "EOrder:Not enough leaves qty"
    )
    desk.ask_under(_after(HALF), "AmendOrder", txid=txid, order_qty="0.15", limit_price="40000")
    row = desk.look(txid)
    assert (row["vol"], row["vol_exec"]) == ("0.15000000", "0.10000000")
    assert [desk.ask("QueryTrades", txid=trade)[trade]["price"] for trade in row["trades"]] == [
        "50000.00000",
        "40000.00000",
    ]
    assert desk.refused_under(_before(), "AmendOrder", txid=txid, order_qty="0.3") == "EOrder:Unknown order"


def test_orders_fill_between_two_lists(desk: Desk) -> None:
    """An order that OpenOrders has just listed is closed before the next call."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    assert list(desk.ask_under(_after(), "OpenOrders")["open"]) == [txid]
    assert list(desk.ask("ClosedOrders")["closed"]) == [txid]


def test_a_cancel_that_is_pending_lets_orders_trade(desk: Desk) -> None:
    """The answer says so; until the cancel is done the order is open, fills, and takes no other change."""
    late = conditions([LateCancel(seconds=5)])
    kept, filled = desk.add("buy", "limit", "0.1", "50000"), desk.add("buy", "limit", "0.1", "55000")
    assert desk.ask_under(late, "CancelOrder", txid=kept) == {"count": 1, "pending": True}
    assert desk.ask_under(late, "CancelAll") == {"count": 1, "pending": True}
    assert set(desk.ask("OpenOrders")["open"]) == {kept, filled}
    for method, fields in (
        ("CancelOrder", {}),
        ("AmendOrder", {"order_qty": "0.2"}),
        ("EditOrder", {"pair": "XBTUSD", "volume": "0.2"}),
    ):
        assert desk.refused(method, txid=kept, **fields) == "EOrder:Cancel pending"
    desk.price("54000")
    desk.time += 5
    assert desk.ask("OpenOrders") == {"open": {}}
    assert [desk.look(txid)["status"] for txid in (kept, filled)] == ["canceled", "closed"]


def test_an_answer_leaves_late() -> None:
    """The exchange has acted while the caller still waits, and others are served."""
    edge = Edge()
    edge.simulation.faults.add(LateAnswer(endpoint="AddOrder", seconds=3600))
    answers: list[list[str]] = []
    thread = threading.Thread(target=lambda: answers.append(errors(edge.call("AddOrder"))))
    thread.start()
    assert edge.engine.acted.wait(10)
    assert errors(edge.call("Balance")) == []
    assert answers == []
    edge.simulation.faults.clear()
    thread.join(10)
    assert answers == [[]]


@pytest.mark.parametrize("share", ["0", "1.1", "-1"])
def test_a_share_is_a_part(share: str) -> None:
    """More than the whole, or nothing, cannot fill."""
    edge = Edge()
    wrong = {"kind": "filled", "moment": "before", "share": share}
    assert edge.control.post("/faults", json=wrong).status_code == 400
    assert edge.control.post("/faults", json=wrong | {"share": "0.5"}).status_code == 200
