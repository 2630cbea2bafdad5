"""Where Kraken is stricter than one might expect: the sandbox is no kinder (docs/sandbox.md)."""

from __future__ import annotations

import pytest

from tests.unit.sandbox.desk import Desk, order
from tests.unit.sandbox.edge import Edge, errors

INVALID = "EGeneral:Invalid arguments"


def test_an_edit_drops_the_userref_and_the_post_flag(desk: Desk) -> None:
    """The new order has only those that the edit states."""
    old = desk.add("buy", "limit", "0.1", "50000", userref="7", oflags="post")
    answer = desk.ask("EditOrder", pair="XBTUSD", txid=old, price="51000")
    assert (answer["olduserref"], answer["newuserref"]) == ("7", "")
    shown = desk.look(answer["txid"])
    assert (shown["userref"], shown["oflags"]) == (None, "fciq")
    assert desk.refused("CancelOrder", txid="7") == "EOrder:Unknown order"
    again = desk.ask("EditOrder", pair="XBTUSD", txid=answer["txid"], oflags="post", userref="8")
    shown = desk.look(again["txid"])
    assert (shown["userref"], "post" in shown["oflags"]) == (8, True)


def test_an_edit_below_what_was_filled_is_refused(desk: Desk) -> None:
    """The executed volume is greater than the new one."""
    desk.price("10000")
    txid = desk.add("buy", "limit", "4", "10000.5")
    assert desk.look(txid)["vol_exec"] == "2.50000000"
    assert desk.refused("EditOrder", pair="XBTUSD", txid=txid, volume="2.4") == f"{INVALID}:volume"
    assert desk.ask("EditOrder", pair="XBTUSD", txid=txid, volume="2.6", price="9000")["status"] == "Ok"


def test_a_triggered_stop_cannot_be_edited(desk: Desk) -> None:
    """Once it rests as a limit order it is another order."""
    txid = desk.add("buy", "stop-loss-limit", "0.1", "61000", price2="60800")
    desk.price("61500")
    assert desk.look(txid)["status"] == "open"
    assert desk.refused("EditOrder", pair="XBTUSD", txid=txid, volume="0.2") == "EOrder:Order not editable"


@pytest.mark.parametrize("count", [0, 1, 51])
def test_a_batch_cancel_has_two_to_fifty_names(desk: Desk, count: int) -> None:
    """A batch cancel of one name fails, although its order is open."""
    txid = desk.add("buy", "limit", "0.1", "50000")
    assert desk.refused("CancelOrderBatch", orders=[txid] * count) == f"{INVALID}:orders"
    assert desk.refused("CancelOrderBatch", cl_ord_ids=["x"]) == f"{INVALID}:orders"
    assert desk.look(txid)["status"] == "open"


def test_a_comma_list_of_ids_is_no_id(desk: Desk) -> None:
    """A list of ids with commas is refused, of txids and of client ids."""
    first, second = desk.add("buy", "limit", "0.1", "50000"), desk.add("buy", "limit", "0.1", "50000", cl_ord_id="a")
    desk.add("buy", "limit", "0.1", "50000", cl_ord_id="b")
    assert desk.refused("CancelOrder", txid=f"{first},{second}") == "EOrder:Unknown order"
    assert desk.refused("CancelOrder", cl_ord_id="a,b") == "EOrder:Unknown order"
    assert desk.refused("CancelOrder", txid=[first, second]) == f"{INVALID}:txid"
    assert desk.refused("CancelOrder", txid=first, cl_ord_id="a") == f"{INVALID}:txid"
    assert len(desk.ask("OpenOrders")["open"]) == 3


def test_an_order_with_a_close_has_no_client_id(desk: Desk) -> None:
    """Kraken takes the one or the other."""
    close = {"ordertype": "limit", "price": "70000"}
    fields = {"pair": "XBTUSD", **order("buy", "limit", "0.1", "50000"), "close": close}
    assert desk.refused("AddOrder", **fields, cl_ord_id="a") == f"{INVALID}:cl_ord_id"
    assert desk.ask("AddOrder", **fields, userref="5")["txid"]


def test_what_unmodified_clients_add_is_ignored(desk: Desk) -> None:
    """Kraken takes XChange's empty close and position, and a price of a market order: it ignores them."""
    txid = desk.add("buy", "market", "0.01", "1", close="{}", position="0", trading_agreement="agree")
    assert desk.look(txid)["status"] == "closed"


def test_a_client_id_may_hold_a_blank(desk: Desk) -> None:
    """Free text of up to 18 ASCII characters."""
    desk.add("buy", "limit", "0.1", "50000", cl_ord_id="my bot: no 1")
    assert desk.ask("CancelOrder", cl_ord_id="my bot: no 1") == {"count": 1}


@pytest.mark.parametrize("fields", [{"txid": "OAAAAA-AAAAA-AAAAAA"}, {"txid": "kept"}])
def test_an_edit_that_fails_counts_its_fixed_part(fields: dict[str, str]) -> None:
    """A failed edit counts the fixed part of its cost; an edit that is only validated counts nothing."""
    desk = Desk(tier="starter")
    kept = desk.add("buy", "limit", "0.01", "50000", cl_ord_id="a")
    edit = {"pair": "XBTUSD", "txid": kept if fields["txid"] == "kept" else fields["txid"], "volume": "0.02"}
    for _ in range(100):
        desk.refused("EditOrder", **edit, validate=True)
    for _ in range(59):
        assert desk.refused("EditOrder", **edit) != "EOrder:Rate limit exceeded"
    assert desk.refused("EditOrder", **edit) == "EOrder:Rate limit exceeded"


def test_cancelling_all_counts_each_order() -> None:
    """Eight fresh orders count eight each, on their own pair."""
    desk = Desk(tier="starter")
    for _ in range(8):
        desk.add("buy", "limit", "0.01", "50000")
    assert desk.ask("CancelAll") == {"count": 8}
    small = order("buy", "limit", "0.00001", "50000")
    assert desk.refused("AddOrder", pair="XBTUSD", **small) == "EOrder:Rate limit exceeded"
    assert desk.refused("AddOrder", pair="ETHUSD", **small) != "EOrder:Rate limit exceeded"


def test_a_batch_counts_the_sum_of_its_cancels() -> None:
    """Two fresh ones count sixteen."""
    desk = Desk(tier="starter")
    txids = [desk.add("buy", "limit", "0.01", "50000") for _ in range(2)]
    desk.ask("CancelOrderBatch", orders=txids)
    small, allowed = {"pair": "XBTUSD", **order("buy", "limit", "0.00001", "50000")}, 0
    while desk.refused("AddOrder", **small) != "EOrder:Rate limit exceeded":
        allowed += 1
    assert allowed == 60 - 2 - 16


def test_a_batch_cancel_as_a_form_fails() -> None:
    """A batch cancel is taken as JSON only (krakenex #138)."""
    edge = Edge()
    form = b"nonce=1790000000000&orders[0]=OA&orders[1]=OB"
    assert errors(edge.send("CancelOrderBatch", form, "1790000000000")) == [INVALID]
    body = b'{"nonce": "1800000000000", "orders": ["OA", "OB"]}'
    assert errors(edge.send("CancelOrderBatch", body, "1800000000000", content_type="application/json")) == []
