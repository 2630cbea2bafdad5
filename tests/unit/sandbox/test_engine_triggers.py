"""Orders that wait: for a price, for a time, for a dead man's switch."""

from __future__ import annotations

import pytest

from tests.unit.sandbox.desk import START, Desk


@pytest.mark.parametrize(
    ("side", "ordertype", "price", "quiet", "trigger"),
    [
        ("sell", "stop-loss", "55000", "55000.1", "55000"),
        ("buy", "stop-loss", "65000", "64999.9", "65000"),
        ("sell", "take-profit", "65000", "64999.9", "65000"),
        ("buy", "take-profit", "55000", "55000.1", "55000"),
        ("sell", "trailing-stop", "+5000", "55000.1", "55000"),
        ("buy", "trailing-stop", "+10%", "65999.9", "66000"),
    ],
)
def test_a_trigger_goes_off_at_its_price_and_not_before(
    desk: Desk, side: str, ordertype: str, price: str, quiet: str, trigger: str
) -> None:
    """The trigger waits one tick away, and becomes a market order at its price."""
    txid = desk.add(side, ordertype, "0.1", price)
    desk.price(quiet)
    assert desk.look(txid)["status"] == "open"
    desk.price(trigger)
    assert desk.look(txid)["status"] == "closed"


def test_a_trailing_stop_follows_and_never_gives_way(desk: Desk) -> None:
    """The trigger rises with the price and stays when it falls."""
    txid = desk.add("sell", "trailing-stop", "0.1", "+1000")
    desk.price("62000")
    desk.price("61500")
    assert desk.look(txid)["stopprice"] == "61000.00000"
    assert desk.look(txid)["descr"]["price"] == "+1000.0"
    desk.price("61000")
    assert desk.look(txid)["status"] == "closed"


def test_a_trailing_stop_limit_draws_its_limit_along(desk: Desk) -> None:
    """Triggered, it rests at its limit beyond the stop, above which the market left it."""
    txid = desk.add("sell", "trailing-stop-limit", "0.1", "+1000", price2="+500")
    desk.price("62000")
    desk.price("60500")
    seen = desk.look(txid)
    assert (seen["status"], seen["limitprice"], seen["stopprice"]) == ("open", "61500.00000", "61000.00000")


def test_a_stop_limit_rests_at_its_limit_once_triggered(desk: Desk) -> None:
    """The triggered order fills as a maker when the market comes back to its limit."""
    txid = desk.add("sell", "stop-loss-limit", "0.1", "55000", price2="54900")
    desk.price("54000")
    assert desk.look(txid)["limitprice"] == "54900.00000"
    desk.price("55000")
    assert desk.look(txid)["price"] == "54900.00000"


def test_a_triggered_buy_that_money_no_longer_covers_is_canceled(desk: Desk) -> None:
    """The market ran past the stop by more than the account owns."""
    txid = desk.add("buy", "stop-loss", "1.5", "65000")
    desk.price("80000")
    seen = desk.look(txid)
    assert (seen["status"], seen["reason"]) == ("canceled", "EOrder:Insufficient funds")
    assert desk.money()["ZUSD"] == ("100000.0000", "0.0000")


def test_an_order_expires(desk: Desk) -> None:
    """An expired order holds no money any more."""
    txid = desk.add("buy", "limit", "0.1", "50000", timeinforce="GTD", expiretm="+60")
    desk.time += 59
    assert desk.look(txid)["status"] == "open"
    desk.time += 1
    assert desk.look(txid)["status"] == "expired"
    assert desk.money()["ZUSD"][1] == "0.0000"


def test_a_scheduled_order_starts_at_its_time(desk: Desk) -> None:
    """The order is pending and held until its time, and then meets the market."""
    txid = desk.add("buy", "limit", "0.1", "61000", starttm="+60")
    assert desk.look(txid)["status"] == "pending"
    assert desk.look(txid)["starttm"] == START + 60
    desk.price("59000")
    assert desk.look(txid)["status"] == "pending"
    desk.time += 60
    assert desk.look(txid)["price"] == "59000.10000"


def test_a_scheduled_stop_waits_for_its_price_after_its_time(desk: Desk) -> None:
    """The start alone does not trigger it."""
    txid = desk.add("sell", "stop-loss", "0.1", "55000", starttm="+60")
    desk.time += 60
    assert desk.look(txid)["status"] == "open"
    desk.price("54000")
    assert desk.look(txid)["status"] == "closed"


def test_the_dead_mans_switch_cancels_all_unless_it_is_set_again(desk: Desk) -> None:
    """Each call sets it anew, and zero takes it away."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    answer = desk.ask("CancelAllOrdersAfter", timeout="60")
    assert answer == {"currentTime": "2023-11-14T22:13:20Z", "triggerTime": "2023-11-14T22:14:20Z"}
    desk.time += 59
    desk.ask("CancelAllOrdersAfter", timeout="60")
    desk.time += 59
    assert desk.look(txid)["status"] == "open"
    desk.time += 1
    assert desk.look(txid)["status"] == "canceled"
    assert desk.ask("CancelAllOrdersAfter", timeout="0")["triggerTime"] == "0"
    assert desk.refused("CancelAllOrdersAfter", timeout="86401") == "EGeneral:Invalid arguments:timeout"


def test_prices_stand_still_unless_asked_to_walk() -> None:
    """Only an exchange told to walk moves by itself, and the same seed walks the same way."""

    def after_a_minute(*, walk: bool) -> str:
        desk = Desk(walk=walk, seed=3)
        desk.time += 60
        desk.exchange.tick()
        ticker = desk.exchange.public("Ticker", {"pair": "XBTUSD"})
        return str(ticker)

    assert "'60000.0', '0.00005000'" in after_a_minute(walk=False)
    assert after_a_minute(walk=True) == after_a_minute(walk=True) != after_a_minute(walk=False)
