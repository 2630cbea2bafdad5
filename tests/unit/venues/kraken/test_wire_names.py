"""Which orders get a name of ours, and what the exchange reads of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest

from signer.model import Call, OrderRef
from tests.unit.venues.kraken.asking import KRAKEN, LIMIT, as_json, form, numbered

ROW = {"type": "buy", "ordertype": "limit", "price": "1", "volume": "2"}
EDIT = {"pair": "XBTUSD", "txid": "OLD", "volume": "1"}


def named(call: Call, is_taken: Callable[[str], bool] = lambda _: False) -> Call:
    """The call with names 1, 2, 3 … of ours."""
    return KRAKEN.with_own_names(call, numbered(), is_taken)


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


@pytest.mark.parametrize("given", [{"userref": "7"}, {"cl_ord_id": "bot-1"}])
def test_a_client_s_name_stays(given: dict[str, str]) -> None:
    """A client's own name is sent as it is."""
    call = form("AddOrder", {**LIMIT, **given})
    assert named(call) is call
    ((field, value),) = given.items()
    assert sent(call)[field] == [value]


def test_a_dry_run_and_a_call_without_orders_stay() -> None:
    """A dry run and a call without orders get no name, since nothing will be looked up."""
    for call in (form("AddOrder", {**LIMIT, "validate": "true"}), form("CancelAll", {}), form("Balance", {})):
        assert named(call) is call


def test_each_order_of_a_batch_gets_a_name() -> None:
    """Each order of a batch without a name gets a name of its own."""
    call = as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": [ROW, {**ROW, "userref": 70}, ROW]})
    assert [order.own for order in named(call).orders] == ["1", None, "2"]
    rows = json.loads(KRAKEN.encode(named(call), 5, "KEY")[0].body)["orders"]
    assert [row["userref"] for row in rows] == [1, 70, 2]
    assert "userref" not in json.loads(KRAKEN.encode(call, 5, "KEY")[0].body)["orders"][0]


def test_an_edit_gets_one_for_its_replacement() -> None:
    """The replacement gets a name in the change that it is made from."""
    call = named(form("EditOrder", EDIT))
    assert call.change is not None
    assert (call.change.own, call.change.client_tag, sent(call)["userref"]) == ("1", None, ["1"])
    stated = form("EditOrder", {**EDIT, "userref": "9"})
    assert named(stated) is stated


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
