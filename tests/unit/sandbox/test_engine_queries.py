"""What became of orders, trades and money is told in Kraken's shapes, filtered and paged."""

from __future__ import annotations

import pytest

from tests.unit.sandbox.desk import START, Desk


def test_an_open_order_has_krakens_fields(desk: Desk) -> None:
    """The names and texts of the OpenOrders answer, as client libraries read them."""
    txid = desk.add("buy", "limit", "0.1", "50000", userref="7")
    assert desk.ask("OpenOrders")["open"][txid] == {
        "refid": None,
        "userref": 7,
        "status": "open",
        "opentm": START,
        "starttm": 0.0,
        "expiretm": 0.0,
        "descr": {
            "pair": "XBTUSD",
            "aclass": "forex",
            "type": "buy",
            "ordertype": "limit",
            "price": "50000.0",
            "price2": "0",
            "leverage": "none",
            "order": "buy 0.10000000 XBTUSD @ limit 50000.0",
            "close": "",
        },
        "vol": "0.10000000",
        "vol_exec": "0.00000000",
        "cost": "0.00000",
        "fee": "0.00000",
        "price": "0.00000",
        "stopprice": "0.00000",
        "limitprice": "0.00000",
        "misc": "",
        "oflags": "fciq",
    }


def test_open_orders_are_found_by_either_reference(desk: Desk) -> None:
    """A userref and a client id find open orders; trades are listed only if asked for."""
    one = desk.add("buy", "limit", "0.1", "50000", userref="7")
    two = desk.add("buy", "limit", "0.1", "50000", cl_ord_id="mine")
    assert set(desk.ask("OpenOrders", userref="7")["open"]) == {one}
    (seen,) = desk.ask("OpenOrders", cl_ord_id="mine", trades="true")["open"].values()
    assert (seen["cl_ord_id"], seen["trades"]) == ("mine", [])
    assert set(desk.ask("OpenOrders", userref="8")["open"]) == set()
    assert set(desk.ask("QueryOrders", txid=f"{one},{two}", userref="7")) == {one}


def test_closed_orders_come_newest_first_in_pages_of_fifty(desk: Desk) -> None:
    """A page of closed orders comes with the count of all, and the offset gives the rest."""
    ids = []
    for _ in range(60):
        desk.time += 1
        ids.append(desk.add("buy", "market", "0.001"))
    first = desk.ask("ClosedOrders")
    assert (list(first["closed"]), first["count"]) == (ids[:9:-1], 60)
    rest = desk.ask("ClosedOrders", ofs="50", without_count=True)
    assert list(rest["closed"]) == ids[9::-1]
    assert "count" not in rest


def test_history_is_bounded_by_times_or_ids(desk: Desk) -> None:
    """The start excludes, the end includes, and either may be a txid."""
    ids = []
    for _ in range(4):
        desk.time += 10
        ids.append(desk.add("buy", "market", "0.001"))
    assert list(desk.ask("ClosedOrders", start=str(START + 10), end=str(START + 30))["closed"]) == [ids[2], ids[1]]
    assert list(desk.ask("ClosedOrders", start=ids[0], end=ids[2])["closed"]) == [ids[2], ids[1]]
    assert desk.refused("ClosedOrders", start="yesterday") == "EGeneral:Invalid arguments:start"
    assert desk.refused("ClosedOrders", ofs="-1") == "EGeneral:Invalid arguments:ofs"


def test_an_orders_id_stands_for_the_time_when_it_opened(desk: Desk) -> None:
    """Kraken takes the opening time of an order's txid, also where the closing times are searched."""
    early = desk.add("buy", "limit", "0.1", "50000")
    desk.time += 10
    late = desk.add("buy", "limit", "0.1", "50000")
    for txid in (late, early):
        desk.time += 10
        desk.ask("CancelOrder", txid=txid)
    still_open = desk.add("buy", "limit", "0.1", "50000")
    assert list(desk.ask("ClosedOrders", start=late)["closed"]) == [early, late]
    assert list(desk.ask("ClosedOrders", end=late)["closed"]) == []
    assert list(desk.ask("ClosedOrders", end=still_open)["closed"]) == [early, late]


def test_many_rows_of_one_moment_cross_a_page(desk: Desk) -> None:
    """Fifty-one orders that end at once stand on two pages, each order once; so do their fills."""
    placed = [desk.add("buy", "limit", "0.001", "50000", userref=str(number % 2)) for number in range(51)]
    desk.time += 60
    desk.price("49000")
    for method, shown, key in (("ClosedOrders", "closed", None), ("TradesHistory", "trades", "ordertxid")):
        first, second = desk.ask(method), desk.ask(method, ofs="50")
        assert (len(first[shown]), len(second[shown]), first["count"], second["count"]) == (50, 1, 51, 51)
        rows = first[shown] | second[shown]
        assert {row[key] if key else txid for txid, row in rows.items()} == set(placed)
    assert desk.ask("ClosedOrders", userref="0")["count"] == 26


def test_the_count_of_ledgers_is_that_of_the_rows_asked_for(desk: Desk) -> None:
    """The count goes by asset and type; the offset pages; a call may decline the count."""
    for _ in range(60):
        desk.time += 1
        desk.add("buy", "market", "0.001")
    first = desk.ask("Ledgers", asset="XBT", type="trade")
    rest = desk.ask("Ledgers", asset="XBT", type="trade", ofs="50", without_count="true")
    assert (len(first["ledger"]), first["count"], len(rest["ledger"])) == (50, 60, 10)
    assert "count" not in rest
    assert not set(first["ledger"]) & set(rest["ledger"])
    oldest = list(rest["ledger"])[-1]
    assert desk.ask("Ledgers", asset="XBT", type="trade", start=oldest)["count"] == 59


def test_queries_take_so_many_ids_and_no_more(desk: Desk) -> None:
    """QueryOrders takes fifty ids, QueryTrades and QueryLedgers twenty."""
    orders = [desk.add("buy", "market", "0.001") for _ in range(51)]
    trades = [desk.look(txid)["trades"][0] for txid in orders[:21]]
    entries = list(desk.ask("Ledgers")["ledger"])[:21]
    for method, field, ids in (
        ("QueryOrders", "txid", orders),
        ("QueryTrades", "txid", trades),
        ("QueryLedgers", "id", entries),
    ):
        assert list(desk.ask(method, **{field: ",".join(ids[:-1])})) == ids[:-1]
        assert desk.refused(method, **{field: ",".join(ids)}) == f"EGeneral:Invalid arguments:{field}"


def test_closetime_chooses_the_time_that_counts(desk: Desk) -> None:
    """An order opened early and closed late is found by either."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    desk.time += 100
    desk.ask("CancelOrder", txid=txid)
    late = str(START + 50)
    assert list(desk.ask("ClosedOrders", start=late, closetime="close")["closed"]) == [txid]
    assert list(desk.ask("ClosedOrders", start=late, closetime="open")["closed"]) == []


def test_a_closed_order_says_when_and_why(desk: Desk) -> None:
    """A closed order has a time and a reason, and its userref still finds it."""
    txid = desk.add("buy", "limit", "0.1", "50000", userref="-5")
    desk.time += 1
    desk.ask("CancelOrder", txid=txid)
    seen = desk.ask("ClosedOrders", userref="-5")["closed"][txid]
    assert (seen["status"], seen["reason"], seen["closetm"]) == ("canceled", "User requested", START + 1)


def test_trades_and_ledgers_of_a_purchase_agree(desk: Desk) -> None:
    """The trade names its ledger entries, which say what moved and what was left."""
    txid = desk.add("buy", "market", "0.1")
    ((trade_id, trade),) = desk.ask("TradesHistory", ledgers=True)["trades"].items()
    assert (trade["ordertxid"], trade["pair"], trade["cost"], trade["maker"]) == (txid, "XXBTZUSD", "6000.01000", False)
    paid, bought = desk.ask("QueryLedgers", id=",".join(trade["ledgers"])).values()
    assert (paid["asset"], paid["amount"], paid["fee"], paid["balance"]) == (
        "ZUSD",
        "-6000.0100",
        "24.0000",
        "93975.9900",
    )
    assert (bought["asset"], bought["amount"], bought["refid"]) == ("XXBT", "0.1000000000", trade_id)
    assert desk.ask("Ledgers", type="trade", asset="USD")["count"] == 1
    assert desk.ask("Ledgers", asset="all")["count"] == 4
    assert desk.ask("TradesHistory", type="no position")["count"] == 1
    assert desk.ask("TradesHistory", type="any position")["count"] == 0


@pytest.mark.parametrize(
    ("method", "field", "error"),
    [
        ("QueryOrders", "txid", "EOrder:Unknown order"),
        ("QueryTrades", "txid", "EGeneral:Invalid arguments:txid"),
        ("QueryLedgers", "id", "EGeneral:Invalid arguments:id"),
        ("OrderAmends", "order_id", "EOrder:Unknown order"),
        ("OpenPositions", "txid", "EOrder:Unknown position"),
    ],
)
def test_an_unknown_id_is_refused(desk: Desk, method: str, field: str, error: str) -> None:
    """A query for an unknown id fails instead of leaving it out."""
    assert desk.refused(method, **{field: "OAAAAA-AAAAA-AAAAAA"}) == error


@pytest.mark.parametrize("method", ["QueryOrders", "QueryTrades", "QueryLedgers", "OrderAmends"])
def test_a_query_needs_an_id(desk: Desk, method: str) -> None:
    """A query without an id is an invalid argument."""
    assert desk.refused(method).startswith("EGeneral:Invalid arguments:")


def test_balances_are_told_with_each_assets_decimals(desk: Desk) -> None:
    """Balance has the whole, BalanceEx what orders hold of it, TradeBalance its worth."""
    desk.add("sell", "limit", "0.5", "70000")
    assert desk.ask("Balance") == {"ZUSD": "100000.0000", "XXBT": "2.0000000000"}
    assert desk.ask("BalanceEx")["XXBT"] == {"balance": "2.0000000000", "hold_trade": "0.5000000000"}
    assert desk.ask("TradeBalance")["eb"] == "220000.0000"
    assert desk.ask("TradeBalance", asset="XBT")["eb"] == "3.6667"
    assert desk.refused("TradeBalance", asset="GOLD") == "EQuery:Unknown asset"


def test_the_volume_is_that_of_thirty_days(desk: Desk) -> None:
    """The volume of thirty days comes with the fees of the pairs asked for."""
    desk.add("buy", "market", "0.1")
    answer = desk.ask("TradeVolume", pair="BTC/USD")
    assert (answer["currency"], answer["volume"]) == ("ZUSD", "6000.0100")
    assert answer["fees"]["XXBTZUSD"]["fee"] == "0.4000"
    assert answer["fees_maker"]["XXBTZUSD"]["fee"] == "0.2500"
    desk.time += 31 * 86_400
    assert desk.ask("TradeVolume")["volume"] == "0.0000"


def test_an_ordinary_account_has_no_credit_line(desk: Desk) -> None:
    """The answer is there, and empty."""
    assert desk.ask("CreditLines")["asset_details"] == {}
