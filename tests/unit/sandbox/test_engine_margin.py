"""Orders with leverage open positions, and orders of the other side close them."""

from __future__ import annotations

from tests.unit.sandbox.desk import Desk, order


def test_a_leveraged_order_opens_a_position_and_moves_no_coins(desk: Desk) -> None:
    """Only the fee is paid; margin is bound and the position shows."""
    txid = desk.add("buy", "market", "1", leverage="5")
    assert desk.money() == {"ZUSD": ("99759.9996", "0.0000"), "XXBT": ("2.0000000000", "0.0000000000")}
    (position,) = desk.ask("OpenPositions", docalcs=True).values()
    assert (position["ordertxid"], position["type"], position["vol"]) == (txid, "buy", "1.00000000")
    assert (position["cost"], position["margin"], position["net"]) == ("60000.10000", "12000.02000", "-0.1000")
    balance = desk.ask("TradeBalance")
    assert (balance["m"], balance["n"], balance["ml"]) == ("12000.0200", "-0.1000", "1831.33")
    assert balance["mf"] == "207759.8796"


def test_volume_zero_closes_the_position_at_its_profit(desk: Desk) -> None:
    """The difference is paid in the quote currency."""
    desk.add("buy", "market", "1", leverage="5:1")
    desk.price("61000")
    desk.add("sell", "market", "0", leverage="5")
    assert desk.ask("OpenPositions") == {}
    # 999.8 of profit, less fees of 240.0004 and 243.9996.
    assert desk.money()["ZUSD"][0] == "100515.8000"
    (closing,) = desk.ask("TradesHistory", type="closed position")["trades"].values()
    assert (closing["misc"], closing["leverage"]) == ("closing", "5")


def test_a_short_loses_when_the_price_rises(desk: Desk) -> None:
    """Half of it closed pays half of the loss; what the closing order has left over opens the other side."""
    desk.add("sell", "market", "1", leverage="2")
    desk.price("61000")
    desk.add("buy", "market", "1.5", leverage="2")
    (position,) = desk.ask("OpenPositions", consolidation="market")
    assert (position["type"], position["vol"], position["positions"]) == ("buy", "0.50000000", "1")
    # Fees of 239.9996 and 366.0006, and a loss of 1,000.2.
    assert desk.money()["ZUSD"][0] == "98393.7998"


def test_reduce_only_is_cut_down_to_the_position(desk: Desk) -> None:
    """A reduce-only order needs a position and never turns it."""
    fields = {"pair": "XBTUSD", "leverage": "2", "reduce_only": True}
    refused = desk.refused("AddOrder", **fields, **order("sell", "market", "1"))
    assert refused == "EOrder:Reduce only:No position exists"
    desk.add("buy", "market", "0.5", leverage="2")
    txid = desk.add("sell", "market", "1", leverage="2", reduce_only=True)
    assert desk.look(txid)["vol"] == "0.50000000"
    assert desk.ask("OpenPositions") == {}


def test_settling_pays_with_own_money(desk: Desk) -> None:
    """A long is settled by paying its cost and keeping the coins."""
    assert desk.refused("AddOrder", pair="XBTUSD", leverage="2", **order("sell", "settle-position", "0")) == (
        "EOrder:Unknown position"
    )
    desk.add("buy", "market", "1", leverage="2")
    txid = desk.add("sell", "settle-position", "0", leverage="2")
    assert desk.look(txid)["status"] == "closed"
    assert desk.money() == {"ZUSD": ("39759.8996", "0.0000"), "XXBT": ("3.0000000000", "0.0000000000")}
    assert desk.ask("OpenPositions") == {}


def test_settling_a_short_hands_over_the_coins(desk: Desk) -> None:
    """What was sold is delivered, and its price received."""
    desk.add("sell", "market", "1", leverage="2")
    desk.add("buy", "settle-position", "0.4", leverage="2")
    (position,) = desk.ask("OpenPositions").values()
    assert position["vol_closed"] == "0.40000000"
    assert desk.money()["XXBT"][0] == "1.6000000000"


def test_settling_needs_the_money(desk: Desk) -> None:
    """A long beyond the account's means stays open."""
    desk.add("buy", "market", "2", leverage="2")
    assert desk.refused("AddOrder", pair="XBTUSD", leverage="2", **order("sell", "settle-position", "0")) == (
        "EOrder:Insufficient funds"
    )


def test_margin_is_limited_by_equity(desk: Desk) -> None:
    """Positions and open orders bind margin, and what is bound is not free for another."""
    fields = {"pair": "XBTUSD", "leverage": "2", **order("buy", "limit", "4", "50000")}
    desk.ask("AddOrder", **fields)
    desk.ask("AddOrder", **fields)
    assert desk.refused("AddOrder", **fields) == "EOrder:Insufficient initial margin"
    desk.ask("CancelAll")
    assert desk.ask("AddOrder", **fields)["txid"]
