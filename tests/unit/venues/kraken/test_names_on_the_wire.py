"""Which orders get a name of ours, and what the exchange reads of it."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from signer.errors import NotAllowed
from signer.model import Call, OrderRef
from tests.unit.venues.kraken.asking import KRAKEN, LIMIT, as_json, form, named

ROW = {"type": "buy", "ordertype": "limit", "price": "1", "volume": "2"}
EDIT = {"pair": "XBTUSD", "txid": "OLD", "volume": "1"}


def sent(call: Call) -> dict[str, list[str]]:
    """What the exchange reads of a form."""
    return parse_qs(KRAKEN.encode(call, 5, "KEY")[0].body.decode())


def test_an_order_without_a_name_gets_one_of_ours() -> None:
    """The order bears it apart from the client's names, and it is sent as the userref."""
    call = named(form("AddOrder", LIMIT))
    (order,) = call.orders
    assert (order.own, order.client_tag, order.names) == ("1", None, (OrderRef("own", "1"),))
    assert call.fields == form("AddOrder", LIMIT).fields
    assert sent(call)["userref"] == ["1"]


def test_a_userref_of_the_client_s_is_not_sent() -> None:
    """Our own goes out in its place, and the order keeps both."""
    call = named(form("AddOrder", {**LIMIT, "userref": "7"}))
    assert (call.orders[0].client_tag, call.orders[0].own) == ("7", "1")
    assert sent(call)["userref"] == ["1"]


def test_a_cl_ord_id_of_the_client_s_is_not_sent() -> None:
    """A UUID of ours goes out in its place, so that it is an order of the same kind."""
    call = KRAKEN.with_own_names(form("AddOrder", {**LIMIT, "cl_ord_id": "bot-1"}), lambda _: 7, lambda _: False)
    assert (call.orders[0].client_id, call.orders[0].own) == ("bot-1", "00000000-0000-4000-8000-000000000007")
    assert ("userref" in sent(call), sent(call)["cl_ord_id"]) == (False, [call.orders[0].own])


def test_a_call_without_orders_stays() -> None:
    """A cancel or a read places nothing."""
    for call in (form("CancelAll", {}), form("Balance", {}), form("AmendOrder", {"txid": "OLD", "order_qty": "1"})):
        assert named(call) is call


def test_a_dry_run_is_sent_without_the_client_s_name_too() -> None:
    """No name of a client's reaches the exchange."""
    assert sent(named(form("AddOrder", {**LIMIT, "validate": "true", "userref": "7"})))["userref"] == ["1"]


def test_each_order_of_a_batch_gets_a_name() -> None:
    """Names of the client's stay with their orders, and are not sent."""
    call = named(as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": [ROW, {**ROW, "userref": 70}, ROW]}))
    assert [(order.own, order.client_tag) for order in call.orders] == [("1", None), ("2", "70"), ("3", None)]
    rows = json.loads(KRAKEN.encode(call, 5, "KEY")[0].body)["orders"]
    assert [row["userref"] for row in rows] == [1, 2, 3]


def test_an_edit_gets_one_for_its_replacement() -> None:
    """The replacement gets a name in the change that it is made from, whether the client gives one or not."""
    for given in ({}, {"userref": "9"}):
        call = named(form("EditOrder", {**EDIT, **given}))
        assert call.change is not None
        assert (call.change.own, call.change.client_tag, sent(call)["userref"]) == ("1", given.get("userref"), ["1"])


def test_a_read_is_sent_without_its_filter_by_a_name() -> None:
    """The filter means nothing to the exchange, which knows our names only."""
    for given in ({"userref": "7"}, {"cl_ord_id": "bot-1"}):
        call = form("OpenOrders", {**given, "trades": "true"})
        assert sent(call) == {"nonce": ["5"], "trades": ["true"]}


def test_an_order_without_a_name_of_ours_is_never_sent() -> None:
    """It could not be looked up if its answer is lost."""
    for call in (form("AddOrder", LIMIT), form("EditOrder", EDIT)):
        with pytest.raises(NotAllowed):
            KRAKEN.encode(call, 5, "KEY")


def test_a_name_that_is_taken_is_drawn_again() -> None:
    """No two orders get the same name of ours, within a call or beside another."""
    call = named(form("AddOrder", LIMIT), {"1", "2"}.__contains__)
    assert call.orders[0].own == "3"
    draws = iter([5, 5, 5, 6])
    batch = as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": [ROW, ROW]})
    assert [one.own for one in KRAKEN.with_own_names(batch, lambda _: next(draws), lambda _: False).orders] == [
        "5",
        "6",
    ]


def test_a_number_of_ours_is_one_that_kraken_takes() -> None:
    """Zero would be none, and userrefs have 32 bits with a sign."""
    for bits, name in ((lambda _: 0, "1"), (lambda count: 2**count - 1, str(2**31 - 1))):
        call = KRAKEN.with_own_names(form("AddOrder", LIMIT), bits, lambda _: False)
        assert call.orders[0].own == name
