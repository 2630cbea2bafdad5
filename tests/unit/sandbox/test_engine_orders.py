"""Orders come in, hold money, meet the market and end as Kraken's do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.sandbox.desk import START, Desk, order


def test_a_limit_order_rests_and_holds_its_cost_and_fee(desk: Desk) -> None:
    """A buy below the ask stays open and holds price times volume with the taker fee."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    assert desk.look(txid)["status"] == "open"
    assert desk.money()["ZUSD"] == ("100000.0000", "5020.0000")


def test_a_resting_order_fills_at_its_own_price_when_the_market_crosses_it(desk: Desk) -> None:
    """The fill is at the limit, with the maker fee, and nothing stays held."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    desk.price("49000")
    seen = desk.look(txid)
    assert (seen["status"], seen["price"], seen["cost"], seen["fee"]) == (
        "closed",
        "50000.00000",
        "5000.00000",
        "12.50000",
    )
    assert desk.money() == {"ZUSD": ("94987.5000", "0.0000"), "XXBT": ("2.1000000000", "0.0000000000")}


def test_a_crossing_limit_order_fills_at_the_better_price(desk: Desk) -> None:
    """A buy limit above the ask pays the ask and the taker fee."""
    seen = desk.look(desk.add("buy", "limit", "0.1", "61000"))
    assert (seen["status"], seen["price"], seen["fee"]) == ("closed", "60000.10000", "24.00000")


def test_an_order_larger_than_a_level_walks_the_book(desk: Desk) -> None:
    """A purchase of two levels' volume fills in two trades at rising prices."""
    desk.price("10000")
    seen = desk.look(desk.add("buy", "market", "5"))
    assert len(seen["trades"]) == 2
    prices = [trade["price"] for trade in desk.ask("QueryTrades", txid=",".join(seen["trades"])).values()]
    assert prices == ["10000.10000", "10001.10000"]


def test_a_limit_between_levels_fills_in_part_and_rests(desk: Desk) -> None:
    """What the market does not offer within the limit stays open and held."""
    desk.price("10000")
    txid = desk.add("buy", "limit", "4", "10000.5")
    seen = desk.look(txid)
    assert (seen["status"], seen["vol_exec"]) == ("open", "2.50000000")
    assert desk.money()["ZUSD"][1] == "15060.7530"


@pytest.mark.parametrize(
    ("timeinforce", "status", "executed"),
    [("IOC", "canceled", "2.50000000"), ("FOK", "canceled", "0.00000000"), ("GTC", "open", "2.50000000")],
)
def test_time_in_force_decides_about_the_rest(desk: Desk, timeinforce: str, status: str, executed: str) -> None:
    """IOC drops what does not fill at once, FOK fills all or nothing, GTC rests."""
    desk.price("10000")
    seen = desk.look(desk.add("buy", "limit", "4", "10000.5", timeinforce=timeinforce))
    assert (seen["status"], seen["vol_exec"]) == (status, executed)


def test_a_market_order_in_quote_currency_spends_that_much(desk: Desk) -> None:
    """The volume of a viqc order is the USD to spend, and the fee comes on top."""
    desk.add("buy", "market", "600", oflags="viqc")
    balance, held = desk.money()["ZUSD"]
    assert (balance, held) == ("99397.6004", "0.0000")


def test_fees_in_base_currency_are_taken_out_of_what_was_bought(desk: Desk) -> None:
    """The buyer with fcib pays the bare cost and gets the volume less the fee."""
    desk.add("buy", "market", "0.1", oflags="fcib")
    assert desk.money() == {"ZUSD": ("93999.9900", "0.0000"), "XXBT": ("2.0996000000", "0.0000000000")}


def test_a_post_only_order_that_would_take_is_refused(desk: Desk) -> None:
    """The refused order leaves no trace."""
    assert desk.refused("AddOrder", pair="XBTUSD", oflags="post", **order("buy", "limit", "0.1", "60000.1")) == (
        "EOrder:Post only order"
    )
    assert desk.look(desk.add("buy", "limit", "0.1", "60000.0", oflags="post"))["status"] == "open"


@pytest.mark.parametrize("spelling", ["XXBTZUSD", "XBTUSD", "XBT/USD", "BTC/USD", "BTCUSD", "btcusd", "xbt/usd"])
def test_every_spelling_of_a_pair_is_the_same_pair(desk: Desk, spelling: str) -> None:
    """An order by any spelling shows the altname."""
    answer = desk.ask("AddOrder", pair=spelling, **order("buy", "limit", "0.1", "50000"))
    assert answer["descr"] == {"order": "buy 0.10000000 XBTUSD @ limit 50000.0"}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"pair": "NOSUCH"}, "EQuery:Unknown asset pair"),
        ({"pair": ""}, "EGeneral:Invalid arguments:pair"),
        ({"asset_class": "tokenized_asset"}, "EQuery:Unknown asset pair"),
        ({"ordertype": ""}, "EGeneral:Invalid arguments:ordertype"),
        ({"ordertype": "peg"}, "EGeneral:Invalid arguments:ordertype"),
        ({"type": "hold"}, "EGeneral:Invalid arguments:type"),
        ({"volume": ""}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "1e2"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "-1"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "0"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "0.00001"}, "EOrder:Order minimum not met"),
        ({"volume": "0.0001", "price": "100"}, "EOrder:Cost minimum not met"),
        ({"volume": "3"}, "EOrder:Insufficient funds"),
        ({"price": ""}, "EGeneral:Invalid arguments:price"),
        ({"price": "many"}, "EGeneral:Invalid arguments:price"),
        ({"price": "50000.05"}, "EOrder:Tick size check failed"),
        ({"price": "0"}, "EOrder:Invalid price"),
        ({"price": "-60000"}, "EOrder:Invalid price"),
        ({"ordertype": "stop-loss-limit"}, "EGeneral:Invalid arguments:price2"),
        ({"ordertype": "trailing-stop"}, "EGeneral:Invalid arguments:price"),
        ({"oflags": "pots"}, "EGeneral:Invalid arguments:oflags"),
        ({"oflags": "fcib,fciq"}, "EGeneral:Invalid arguments:oflags"),
        ({"oflags": "viqc"}, "EGeneral:Invalid arguments:viqc"),
        ({"timeinforce": "DAY"}, "EGeneral:Invalid arguments:timeinforce"),
        ({"timeinforce": "GTD"}, "EGeneral:Invalid arguments:expiretm"),
        ({"expiretm": "5"}, "EGeneral:Invalid arguments:expiretm"),
        ({"starttm": "soon"}, "EGeneral:Invalid arguments:starttm"),
        ({"userref": "2147483648"}, "EGeneral:Invalid arguments:userref"),
        ({"cl_ord_id": "x" * 19}, "EGeneral:Invalid arguments:cl_ord_id"),
        ({"cl_ord_id": "mine", "userref": "1"}, "EGeneral:Invalid arguments:cl_ord_id"),
        ({"leverage": "99"}, "EGeneral:Invalid arguments:leverage"),
        ({"reduce_only": "true"}, "EOrder:Reduce only:Non-PC"),
        ({"displayvol": "0.1"}, "EGeneral:Invalid arguments:displayvol"),
        ({"ordertype": "iceberg", "displayvol": "0.001"}, "EGeneral:Invalid arguments:displayvol"),
        ({"close": {"ordertype": "market"}}, "EGeneral:Invalid arguments:close[ordertype]"),
        ({"close": {"ordertype": "limit"}}, "EGeneral:Invalid arguments:price"),
        ({"validate": "maybe"}, "EGeneral:Invalid arguments:validate"),
        ({"deadline": "noon"}, "EGeneral:Invalid arguments:deadline"),
        ({"trigger": "mark"}, "EGeneral:Invalid arguments:trigger"),
        ({"stptype": "none"}, "EGeneral:Invalid arguments:stptype"),
    ],
)
def test_a_bad_order_is_refused_in_krakens_words(desk: Desk, fields: dict[str, object], error: str) -> None:
    """Each wrong field has its error, and the refused order holds and leaves nothing."""
    good = {"pair": "XBTUSD", **order("buy", "limit", "0.5", "50000")}
    assert desk.refused("AddOrder", **(good | fields)) == error
    assert desk.ask("OpenOrders") == {"open": {}}
    assert desk.money()["ZUSD"] == ("100000.0000", "0.0000")


def test_validate_checks_and_places_nothing(desk: Desk) -> None:
    """A dry run answers the description only, even without the money for it."""
    dry = desk.ask("AddOrder", pair="XBTUSD", validate="True", **order("buy", "market", "10"))
    assert dry == {"descr": {"order": "buy 10.00000000 XBTUSD @ market"}}
    assert desk.ask("OpenOrders") == {"open": {}}


def test_validate_false_is_a_live_order(desk: Desk) -> None:
    """The word False, as one client library always sends, places the order."""
    assert desk.add("buy", "limit", "0.1", "50000", validate="False", reduce_only="False", starttm="0")


@pytest.mark.parametrize(
    ("side", "price", "becomes"),
    [("buy", "-5", "59995.0"), ("buy", "#1%", "59400.0"), ("sell", "#1%", "60600.0"), ("sell", "+0.00001%", "60000.0")],
)
def test_a_relative_price_is_reckoned_from_the_last(desk: Desk, side: str, price: str, becomes: str) -> None:
    """Sign, percent and the automatic sign all come to a price on a tick."""
    answer = desk.ask("AddOrder", pair="XBTUSD", **order(side, "limit", "0.1", price), validate=True)
    assert answer["descr"]["order"] == f"{side} 0.10000000 XBTUSD @ limit {becomes}"


def test_a_deadline_that_has_passed_stops_the_order(desk: Desk) -> None:
    """The engine refuses a call that came late, and takes one in time."""

    def at(seconds: int) -> str:
        return datetime.fromtimestamp(START + seconds, UTC).isoformat()

    fields = {"pair": "XBTUSD", **order("buy", "limit", "0.1", "50000")}
    assert desk.refused("AddOrder", deadline=at(-1), **fields) == "EService:Deadline elapsed"
    assert desk.refused("AddOrder", deadline=at(61), **fields) == "EGeneral:Invalid arguments:deadline"
    assert desk.ask("AddOrder", deadline=at(5), **fields)["txid"]


def test_a_client_id_is_unique_among_open_orders_only(desk: Desk) -> None:
    """A client id can be used again when its order has ended."""
    fields = {"pair": "XBTUSD", "cl_ord_id": "grid-1", **order("buy", "limit", "0.1", "50000")}
    desk.ask("AddOrder", **fields)
    assert desk.refused("AddOrder", **fields) == "EGeneral:Invalid arguments:cl_ord_id"
    desk.ask("CancelOrder", cl_ord_id="grid-1")
    assert desk.ask("AddOrder", **fields)["txid"]


def test_a_batch_is_refused_whole_for_a_bad_row_and_row_by_row_for_money(desk: Desk) -> None:
    """Validation is all or nothing; the engine's refusals stand in their rows."""
    good, dear = order("buy", "limit", "0.1", "50000"), order("buy", "limit", "5", "50000")
    bad = order("buy", "limit", "0.00001", "50000")
    assert desk.refused("AddOrderBatch", pair="XBTUSD", orders=[good, bad]) == "EOrder:Order minimum not met"
    assert desk.refused("AddOrderBatch", pair="XBTUSD", orders=[good]) == "EGeneral:Invalid arguments:orders"
    assert desk.refused("AddOrderBatch", pair="XBTUSD", orders="x") == "EGeneral:Invalid arguments:orders"
    assert desk.ask("OpenOrders") == {"open": {}}
    first, second, third = desk.ask("AddOrderBatch", pair="XBTUSD", orders=[good, dear, good])["orders"]
    assert second == {"error": "EOrder:Insufficient funds"}
    assert set(desk.ask("OpenOrders")["open"]) == {first["txid"], third["txid"]}


def test_a_dry_batch_places_nothing(desk: Desk) -> None:
    """The rows of a dry batch are descriptions."""
    rows = [order("buy", "limit", "0.1", "50000")] * 2
    assert desk.ask("AddOrderBatch", pair="XBTUSD", orders=rows, validate=True) == {
        "orders": [{"descr": {"order": "buy 0.10000000 XBTUSD @ limit 50000.0"}}] * 2
    }
    assert desk.ask("OpenOrders") == {"open": {}}


def test_a_pair_takes_only_so_many_open_orders() -> None:
    """The starter tier's sixty-first order on a pair is refused, on another pair taken."""
    desk = Desk(tier="starter")
    for _ in range(60):
        desk.add("buy", "limit", "0.001", "50000")
        desk.time += 2
    fields = order("buy", "limit", "0.001", "50000")
    assert desk.refused("AddOrder", pair="XBTUSD", **fields) == "EOrder:Orders limit exceeded"
    assert desk.ask("AddOrder", pair="ETHUSD", **order("buy", "limit", "0.1", "1000"))["txid"]


def test_the_order_counter_refuses_and_decays() -> None:
    """The counter is per pair, counts even refused orders, falls with time, and at its end stops cancels too."""
    desk = Desk(tier="starter")
    bad = {"pair": "XBTUSD", **order("buy", "limit", "0.00001", "50000")}
    txid = desk.add("buy", "limit", "0.001", "50000")
    for _ in range(59):
        assert desk.refused("AddOrder", **bad) == "EOrder:Order minimum not met"
    assert desk.refused("AddOrder", **bad) == "EOrder:Rate limit exceeded"
    assert desk.ask("AddOrder", pair="ETHUSD", **order("buy", "limit", "0.1", "1000"))["txid"]
    assert desk.refused("CancelOrder", txid=txid) == "EOrder:Rate limit exceeded"
    assert desk.refused("CancelAll") == "EOrder:Rate limit exceeded"
    assert desk.look(txid)["status"] == "open"
    desk.time += 2  # one for the order that was refused: it counts too
    assert desk.ask("CancelOrder", txid=txid) == {"count": 1}
    assert desk.refused("AddOrder", **bad) == "EOrder:Rate limit exceeded"
    desk.time += 9
    assert desk.refused("AddOrder", **bad) == "EOrder:Order minimum not met"


@pytest.mark.parametrize(
    ("tier", "threshold", "decay", "most_open"),
    [("starter", 60, 1.0, 60), ("intermediate", 125, 2.34, 80), ("pro", 180, 3.75, 225)],
)
def test_each_tier_has_its_own_bounds(tier: str, threshold: int, decay: float, most_open: int) -> None:
    """Kraken's table: so many calls at once on a pair, one more after each decay, and so many open orders."""
    desk = Desk(tier="unlimited")
    for _ in range(most_open):
        desk.add("buy", "limit", "0.0002", "50000")
    desk.exchange.set_tier("bot", tier)
    desk.time += 3600
    fields = {"pair": "XBTUSD", **order("buy", "limit", "0.0002", "50000")}
    for _ in range(threshold):
        assert desk.refused("AddOrder", **fields) == "EOrder:Orders limit exceeded"
    assert desk.refused("AddOrder", **fields) == "EOrder:Rate limit exceeded"
    desk.time += 1.9 / decay
    assert desk.refused("AddOrder", **fields) == "EOrder:Rate limit exceeded"
    desk.time += 1.2 / decay
    assert desk.refused("AddOrder", **fields) == "EOrder:Orders limit exceeded"


@pytest.mark.parametrize(
    ("age", "amend", "edit", "cancel"),
    [(0, 4, 7, 8), (5, 3, 6, 6), (10, 2, 5, 5), (15, 1, 3, 4), (45, 1, 2, 2), (90, 1, 1, 1), (300, 1, 1, 0)],
)
def test_changes_cost_by_the_orders_age(age: float, amend: int, edit: int, cancel: int) -> None:
    """Kraken's table of costs, each counted on a counter that has decayed to nothing."""
    for method, fields, cost in (
        ("AmendOrder", {"limit_price": "49000"}, amend),
        ("EditOrder", {"price": "49000", "pair": "XBTUSD"}, edit),
        ("CancelOrder", {}, cancel),
    ):
        desk = Desk(tier="unlimited")
        txid = desk.add("buy", "limit", "0.01", "50000")
        desk.time += age
        desk.exchange.set_tier("bot", "pro")
        counters = desk.exchange._state.accounts["bot"].counters
        before = counters.count("XXBTZUSD", desk.time)
        desk.ask(method, txid=txid, **fields)
        assert counters.count("XXBTZUSD", desk.time) == pytest.approx(before + cost)


def test_the_same_calls_make_the_same_answers() -> None:
    """Two exchanges of one seed agree to the id; another seed differs."""
    one, same, other = (Desk(seed=seed).add("buy", "market", "0.1") for seed in (1, 1, 2))
    assert one == same != other
