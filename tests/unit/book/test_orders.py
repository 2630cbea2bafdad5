"""The orders in memory: which of them a name means, as they open, change, close and leave."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from signer.book.orders import BookOrders
from signer.book.reading import BookOrder
from signer.model import OrderRef

NAMES = (OrderRef("client-tag", "7"), OrderRef("client-id", "a"))


def order(tag: str = "7", name: str = "a", *, closed: bool = False) -> BookOrder:
    """An order that bears a tag and a client's id."""
    return BookOrder("bot", 1, {"client_tag": tag, "client_id": name}, closed)


def found(orders: BookOrders, ref: OrderRef) -> Sequence[str]:
    """The venue ids that a name means."""
    return [venue_id for (_, venue_id), _ in orders.bearing("main", ref)]


@pytest.mark.parametrize("ref", NAMES)
def test_a_name_means_the_open_orders_and_else_the_closed_ones(ref: OrderRef) -> None:
    """They are answered newest first. An order that closes, or opens again, is found at its new place, and once."""
    orders = BookOrders()
    for venue_id in "ABC":
        orders.put(("main", venue_id), order())
    assert orders.close(("main", "C"))
    assert not orders.close(("main", "C"))
    assert found(orders, ref) == ["B", "A"]
    orders.put(("main", "C"), order())
    assert found(orders, ref) == ["C", "B", "A"]
    for venue_id in "BCA":
        orders.close(("main", venue_id))
    assert found(orders, ref) == ["A", "C", "B"]
    assert orders.bearing("other", ref) == []


@pytest.mark.parametrize("closed", [False, True])
def test_an_order_is_found_by_the_names_that_it_bears_now(closed: bool) -> None:
    """A change may take a name away, from an open order and from a closed one."""
    orders = BookOrders()
    orders.put(("main", "A"), order(closed=closed))
    orders.put(("main", "A"), order("8", "b", closed=closed))
    assert [found(orders, ref) for ref in NAMES] == [[], []]
    assert found(orders, OrderRef("client-tag", "8")) == found(orders, OrderRef("client-id", "b")) == ["A"]
    assert found(orders, OrderRef("venue-id", "A")) == ["A"]


def test_a_closed_order_that_is_kept_elsewhere_is_forgotten() -> None:
    """Open orders stay, whatever a checkpoint has of them."""
    orders = BookOrders()
    orders.put(("main", "A"), order())
    orders.put(("main", "B"), order(closed=True))
    orders.let_go([("main", "A"), ("main", "B"), ("main", "C")])
    assert [found(orders, ref) for ref in NAMES] == [["A"], ["A"]]
    assert found(orders, OrderRef("venue-id", "B")) == []
    orders.close(("main", "A"))
    orders.let_go([("main", "A")])
    assert [found(orders, ref) for ref in NAMES] == [[], []]
