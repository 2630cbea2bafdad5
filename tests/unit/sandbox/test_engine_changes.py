"""Live orders are amended, edited and cancelled as Kraken does it."""

from __future__ import annotations

import pytest

from tests.unit.sandbox.desk import Desk, order


def test_an_amend_keeps_the_txid_and_holds_for_the_new_terms(desk: Desk) -> None:
    """Quantity and limit change in place, and OrderAmends tells both versions."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    amend = desk.ask("AmendOrder", txid=txid, order_qty="0.2", limit_price="40000", post_only=True)["amend_id"]
    seen = desk.look(txid)
    assert (seen["vol"], seen["descr"]["price"], seen["oflags"]) == ("0.20000000", "40000.0", "fciq,post")
    assert desk.money()["ZUSD"][1] == "8032.0000"
    answer = desk.ask("OrderAmends", order_id=txid)
    assert answer["count"] == 2
    first, second = answer["amends"]
    assert (first["amend_type"], first["limit_price"], first["order_qty"]) == ("original", "50000.0", "0.10000000")
    assert (second["amend_id"], second["limit_price"], second["post_only"]) == (amend, "40000.0", True)


def test_an_edit_goes_on_from_what_an_amend_made(desk: Desk) -> None:
    """What the edit does not state is as the order is now, not as it was placed."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    desk.ask("AmendOrder", txid=txid, order_qty="0.2", limit_price="40000")
    new = desk.look(desk.ask("EditOrder", pair="XBTUSD", txid=txid, userref="5")["txid"])
    assert (new["vol"], new["descr"]["price"]) == ("0.20000000", "40000.0")


def test_an_amend_across_the_market_fills(desk: Desk) -> None:
    """The order takes what it now crosses."""
    txid = desk.add("buy", "limit", "0.1", "50000", cl_ord_id="mine")
    desk.ask("AmendOrder", cl_ord_id="mine", limit_price="60500")
    assert desk.look(txid)["status"] == "closed"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "EOrder:No amendable parameters"),
        ({"limit_price": "60500", "post_only": "true"}, "EOrder:Post only order"),
        ({"order_qty": "9"}, "EOrder:Insufficient funds"),
        ({"order_qty": "0"}, "EOrder:Not enough leaves qty"),
        ({"order_qty": "0.00001"}, "EOrder:Order minimum not met"),
        ({"limit_price": "1.23"}, "EOrder:Tick size check failed"),
        ({"trigger_price": "55000"}, "EGeneral:Invalid arguments:trigger_price"),
        ({"display_qty": "0.1"}, "EGeneral:Invalid arguments:display_qty"),
    ],
)
def test_a_refused_amend_changes_nothing(desk: Desk, fields: dict[str, object], error: str) -> None:
    """The order and its hold stay as they were."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    before, money = desk.look(txid), desk.money()
    assert desk.refused("AmendOrder", txid=txid, **fields) == error
    assert (desk.look(txid), desk.money()) == (before, money)


def test_an_amend_below_what_is_filled_is_refused(desk: Desk) -> None:
    """The quantity is the new total, the filled part in it."""
    desk.price("10000")
    txid = desk.add("buy", "limit", "4", "10000.5")
    assert desk.refused("AmendOrder", txid=txid, order_qty="2.5") == "EOrder:Not enough leaves qty"
    desk.ask("AmendOrder", txid=txid, order_qty="3")
    assert desk.look(txid)["vol"] == "3.00000000"


def test_an_amend_moves_a_trigger(desk: Desk) -> None:
    """A stop moves by its price, a trailing stop by its distance, and their limits move along."""
    stop = desk.add("sell", "stop-loss-limit", "0.1", "55000", price2="54000")
    desk.ask("AmendOrder", txid=stop, trigger_price="50000", limit_price="49000")
    assert desk.look(stop)["descr"]["order"] == "sell 0.10000000 XBTUSD @ stop loss 50000.0 -> limit 49000.0"
    trail = desk.add("sell", "trailing-stop-limit", "0.1", "+1000", price2="-100")
    desk.ask("AmendOrder", txid=trail, trigger_price="+2000", limit_price="-200")
    seen = desk.look(trail)
    assert (seen["stopprice"], seen["descr"]["price"], seen["descr"]["price2"]) == ("58000.00000", "+2000.0", "-200.0")
    desk.price("58000")
    assert desk.look(trail)["status"] == "closed"


def test_an_iceberg_shows_what_it_is_amended_to_show(desk: Desk) -> None:
    """The display is told by OrderAmends."""
    txid = desk.add("buy", "iceberg", "1", "50000", displayvol="0.1")
    desk.ask("AmendOrder", txid=txid, display_qty="0.2")
    assert [row["display_qty"] for row in desk.ask("OrderAmends", order_id=txid)["amends"]] == [
        "0.10000000",
        "0.20000000",
    ]


def test_an_order_is_named_by_one_id(desk: Desk) -> None:
    """Neither id, both, or an unknown one is refused."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    assert desk.refused("AmendOrder", order_qty="1") == "EGeneral:Invalid arguments:txid"
    assert desk.refused("AmendOrder", txid=txid, cl_ord_id="x", order_qty="1") == "EGeneral:Invalid arguments:txid"
    assert desk.refused("AmendOrder", cl_ord_id="x", order_qty="1") == "EOrder:Unknown order"


def test_an_edit_replaces_the_order(desk: Desk) -> None:
    """The old is cancelled and the new has another txid; what was not given stays."""
    old = desk.add("buy", "limit", "0.1", "50000", userref="7")
    answer = desk.ask("EditOrder", pair="XBTUSD", txid="7", price="51000", userref="8")
    assert (answer["originaltxid"], answer["status"], answer["orders_cancelled"]) == (old, "Ok", 1)
    assert (answer["olduserref"], answer["newuserref"]) == ("7", "8")
    assert desk.look(old)["status"] == "canceled"
    assert desk.look(answer["txid"])["descr"]["order"] == "buy 0.10000000 XBTUSD @ limit 51000.0"
    assert desk.money()["ZUSD"][1] == "5120.4000"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"volume": "5"}, "EOrder:Insufficient funds"),
        ({"price": "60500", "oflags": "post"}, "EOrder:Post only order"),
        ({"price2": "1"}, "EGeneral:Invalid arguments:price2"),
        ({"displayvol": "1"}, "EGeneral:Invalid arguments:displayvol"),
        ({"volume": "0"}, "EGeneral:Invalid arguments:volume"),
        ({"txid": "7"}, "EOrder:Unknown order"),
        ({"pair": "ETHUSD"}, "EOrder:Unknown order"),
    ],
)
def test_a_refused_edit_leaves_the_old_order(desk: Desk, fields: dict[str, object], error: str) -> None:
    """The order stays open and held."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    before, money = desk.look(txid), desk.money()
    edit: dict[str, object] = {"pair": "XBTUSD", "txid": txid}
    assert desk.refused("EditOrder", **(edit | fields)) == error
    assert (desk.look(txid), desk.money()) == (before, money)


@pytest.mark.parametrize(
    "more", [{"cl_ord_id": "x"}, {"close": {"ordertype": "limit", "price": "70000"}}, {"leverage": "2"}]
)
def test_some_orders_cannot_be_edited(desk: Desk, more: dict[str, object]) -> None:
    """An order with a client id, a close order or margin cannot be edited."""
    txid = desk.add("buy", "limit", "0.1", "50000", **more)
    assert desk.refused("EditOrder", pair="XBTUSD", txid=txid, price="51000") == "EOrder:Order not editable"


def test_a_dry_edit_replaces_nothing(desk: Desk) -> None:
    """A dry edit answers with the description only."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    assert desk.ask("EditOrder", pair="XBTUSD", txid=txid, price="51000", validate=True) == {
        "descr": {"order": "buy 0.10000000 XBTUSD @ limit 51000.0"}
    }
    assert desk.look(txid)["status"] == "open"


def test_orders_are_cancelled_by_each_kind_of_id(desk: Desk) -> None:
    """By txid, by userref (all that have it), by client id, in batches, and all at once."""
    ids = [desk.add("buy", "limit", "0.01", "50000", userref=str(number)) for number in (1, 1, 2, 3, 4, 5)]
    desk.add("buy", "limit", "0.01", "50000", cl_ord_id="a")
    desk.add("buy", "limit", "0.01", "50000", cl_ord_id="b")
    assert desk.ask("CancelOrder", txid="1") == {"count": 2}
    assert desk.ask("CancelOrder", txid=ids[2]) == {"count": 1}
    assert desk.ask("CancelOrderBatch", orders=[ids[3], "5"]) == {"count": 2}
    assert desk.ask("CancelOrder", cl_ord_id="a") == {"count": 1}
    assert desk.ask("CancelOrderBatch", orders=[ids[4]], cl_ord_ids=["b"]) == {"count": 2}
    desk.add("buy", "limit", "0.01", "50000")
    assert desk.ask("CancelAll") == {"count": 1}
    assert desk.ask("OpenOrders") == {"open": {}}
    assert desk.money()["ZUSD"] == ("100000.0000", "0.0000")


def test_a_cancel_that_names_nothing_is_refused(desk: Desk) -> None:
    """No id, or one of no open order; the word None is no userref."""
    desk.add("buy", "limit", "0.01", "50000")
    assert desk.refused("CancelOrder") == desk.refused("CancelOrder", txid="", cl_ord_id="") == "EOrder:Invalid order"
    for name in ("OAAAAA-AAAAA-AAAAAA", "7", "None"):
        assert desk.refused("CancelOrder", txid=name) == "EOrder:Unknown order"
    assert desk.refused("CancelOrderBatch") == "EGeneral:Invalid arguments:orders"
    assert desk.refused("CancelOrderBatch", orders=["O"] * 51) == "EGeneral:Invalid arguments:orders"


def test_a_delisting_ends_the_orders_of_its_pair(desk: Desk) -> None:
    """Open orders of every account are cancelled and unheld, history stays, and the pair is unknown from then on."""
    kept = desk.ask("AddOrder", pair="ETHUSD", **order("buy", "limit", "0.1", "1000"))["txid"][0]
    done, ended = desk.add("buy", "market", "0.1"), desk.add("buy", "limit", "0.1", "50000")
    desk.exchange.delist("BTC/USD")
    assert list(desk.ask("OpenOrders")["open"]) == [kept]
    assert (desk.look(ended)["status"], desk.look(ended)["reason"]) == ("canceled", "Delisted")
    assert desk.look(done)["status"] == "closed"
    assert desk.ask("TradesHistory")["count"] == 1
    assert desk.money()["ZUSD"][1] == "100.4000"
    assert (
        desk.refused("AddOrder", pair="XBTUSD", **order("buy", "limit", "0.1", "50000")) == "EQuery:Unknown asset pair"
    )
    assert "XXBTZUSD" not in desk.exchange.public("AssetPairs", {})  # type: ignore[operator]


def test_accounts_do_not_see_each_others_orders(desk: Desk) -> None:
    """Another account can neither query nor cancel an order."""
    txid = desk.add("buy", "limit", "0.01", "50000")
    desk.exchange.open_account("other", {})
    assert desk.ask_as("other", "OpenOrders") == {"open": {}}
    assert desk.ask_as("other", "CancelAll") == {"count": 0}
    assert desk.look(txid)["status"] == "open"


@pytest.mark.parametrize(("age", "rounds", "left"), [(0, 6, 60 - 6 * 9), (10, 12, 60 - 5), (300, 30, 60)])
def test_a_young_cancel_costs_more_than_an_old_one(age: float, rounds: int, left: int) -> None:
    """Of the starter's 60, an order cancelled at once takes 9, at ten seconds 6 that soon decay, an old one none."""
    desk = Desk(tier="starter")
    for _ in range(rounds):
        txid = desk.add("buy", "limit", "0.01", "50000")
        desk.time += age
        desk.ask("CancelOrder", txid=txid)
    allowed = 0
    bad = {"pair": "XBTUSD", **order("buy", "limit", "0.00001", "50000")}
    while desk.refused("AddOrder", **bad) != "EOrder:Rate limit exceeded":
        allowed += 1
    assert allowed == left
