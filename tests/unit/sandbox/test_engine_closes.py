"""Close orders, which each fill of an order with a ``close[…]`` makes, and fills of a part."""

from __future__ import annotations

from decimal import Decimal

import pytest

from signer.sandbox.exchange import Rejected
from tests.unit.sandbox.desk import Desk


def test_each_fill_spawns_the_close_order(desk: Desk) -> None:
    """The close order is of the other side, of the fill's volume, and refers to its parent."""
    parent = desk.add(
        "buy", "limit", "0.1", "50000", close={"ordertype": "stop-loss-limit", "price": "-5%", "price2": "#1%"}
    )
    assert desk.look(parent)["descr"]["close"] == "close position @ stop loss -5.0000% -> limit #1.0000%"
    desk.price("49000")
    (child,) = desk.ask("OpenOrders")["open"].values()
    assert child["refid"] == parent
    assert child["descr"]["order"] == "sell 0.10000000 XBTUSD @ stop loss 46550.0 -> limit 46084.5"


def test_a_fill_in_part_spawns_a_close_order_of_its_own(desk: Desk) -> None:
    """Kraken opens a close order for each fill: they all refer to the parent, which goes on."""
    parent = desk.add("buy", "limit", "0.1", "50000", close={"ordertype": "limit", "price": "70000"}, userref="7")
    desk.exchange.fill("bot", parent, Decimal("0.04"))
    assert (desk.look(parent)["status"], desk.look(parent)["vol_exec"]) == ("open", "0.04000000")
    desk.exchange.fill("bot", parent)
    assert desk.look(parent)["status"] == "closed"
    children = desk.ask("OpenOrders")["open"].values()
    assert [(row["refid"], row["vol"]) for row in children] == [(parent, "0.04000000"), (parent, "0.06000000")]


@pytest.mark.parametrize("keep", [False, True])
def test_a_close_order_has_its_parents_userref_or_not(desk: Desk, keep: bool) -> None:
    """Kraken's pages do not say which, so a test chooses; lists by userref follow it, in every state."""
    desk.exchange.set_close_userref(keep=keep)
    parent = desk.add("buy", "limit", "0.1", "50000", close={"ordertype": "limit", "price": "70000"}, userref="7")
    desk.exchange.fill("bot", parent)
    ((child, row),) = desk.ask("OpenOrders")["open"].items()
    assert (row["refid"], row["userref"]) == (parent, 7 if keep else None)
    assert "cl_ord_id" not in row
    assert set(desk.ask("OpenOrders", userref="7")["open"]) == ({child} if keep else set())
    desk.time += 1
    desk.ask("CancelAll")
    assert desk.ask("ClosedOrders")["closed"][child]["refid"] == parent
    assert set(desk.ask("ClosedOrders", userref="7")["closed"]) == ({child, parent} if keep else {parent})


def test_a_fill_moves_the_money_of_that_part(desk: Desk) -> None:
    """The filled part is paid at the limit with the maker's fee, and the rest stays held."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    desk.exchange.fill("bot", txid, Decimal("0.05"))
    assert desk.money() == {"ZUSD": ("97493.7500", "2510.0000"), "XXBT": ("2.0500000000", "0.0000000000")}
    stop = desk.add("sell", "stop-loss", "0.1", "50000")
    for name, volume, error in (
        (txid, "0.06", "EGeneral:Invalid arguments:volume"),
        (txid, "0.000000001", "EGeneral:Invalid arguments:volume"),
        (stop, "0.1", "EOrder:Unknown order"),
        ("OAAAAA-AAAAA-AAAAAA", "0.1", "EOrder:Unknown order"),
    ):
        with pytest.raises(Rejected, match=error):
            desk.exchange.fill("bot", name, Decimal(volume))
    assert desk.look(txid)["vol_exec"] == "0.05000000"
