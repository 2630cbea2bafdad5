"""What the book answers: from memory, and closed orders from where they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import cast

import pytest

from signer.book.book import Book
from signer.book.questions import CLOSED_AT_ONCE, MOST_OPEN, NEWEST_CLOSED, BookQuestions
from signer.book.reading import BookCall, BookOrder, Document
from signer.book.rows import Row
from signer.contracts import Known
from signer.model import Halt, HaltScope, Order, OrderRef, PlacedOrder
from signer.model.halts import EVERYBODY
from signer.model.wire import as_json

TAG = OrderRef("client-tag", "7")


def order(tag: str = "7") -> Order:
    """A small market order that bears a tag."""
    return Order("XXBTZUSD", "buy", "market", Decimal("0.01"), client_tag=tag)


class Kept:
    """Closed orders that are kept elsewhere."""

    def __init__(self, *orders: PlacedOrder) -> None:
        self.orders = orders
        self.asked = 0

    def closed(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """All of them that bear the name."""
        self.asked += 1
        names = {"venue-id": lambda one: one.venue_id, "client-tag": lambda one: one.order.client_tag}
        return [one for one in self.orders if one.account == account and names[ref.kind](one) == ref.value]

    def closed_among(self, account: str, venue_ids: Sequence[str]) -> Sequence[PlacedOrder]:
        """Those of these that are here."""
        self.asked += 1
        return [one for one in self.orders if one.account == account and one.venue_id in venue_ids]


def kept(venue_id: str, placed_us: int = 1) -> PlacedOrder:
    """A closed order that is no longer in memory."""
    return PlacedOrder("main", "bot", venue_id, order(), placed_us, closed=True)


def put(book: Book, venue_id: str, placed_us: int = 1, *, closed: bool = False, client: str = "bot") -> None:
    """Have the book know an order."""
    document = cast(Document, as_json(order()))
    book.put(Row("order", ("main", venue_id), BookOrder(client, placed_us, document, closed)))


def known(book: Book, kept_orders: Kept | None = None) -> Known:
    """Questions at the moment 5."""
    return BookQuestions(book, kept_orders, lambda: 5)


def names(orders: Sequence[PlacedOrder]) -> Sequence[str]:
    """The venue ids of orders."""
    return [one.venue_id for one in orders]


def test_open_orders_are_found_without_a_look_elsewhere() -> None:
    """If an open order bears the name, no closed one is answered, and no file is read."""
    book, elsewhere = Book(), Kept(kept("OLD"))
    for number, name in enumerate(("A", "B")):
        put(book, name, number)
    put(book, "C", closed=True)
    assert names(known(book, elsewhere).find_orders("main", TAG)) == ["B", "A"]
    assert known(book, elsewhere).find_orders("other", TAG) == []
    assert elsewhere.asked == 1


def test_an_order_that_changes_is_no_newer_for_that() -> None:
    """A cancel by a client's id means the newest order, before a restart and after."""
    book = Book()
    for name, placed_us in (("A", 1), ("B", 2), ("A", 1)):
        put(book, name, placed_us)
    assert names(known(book).find_orders("main", TAG)) == ["B", "A"]


def test_closed_orders_are_found_in_memory_and_elsewhere_newest_first() -> None:
    """An order that is in memory is answered as memory has it, and once."""
    book = Book()
    put(book, "B", 2, closed=True)
    found = known(book, Kept(kept("C", 3), kept("B", 2), kept("A", 1))).find_orders("main", TAG)
    assert names(found) == ["C", "B", "A"]
    assert all(one.closed for one in found)
    assert names(known(book).find_orders("main", TAG)) == ["B"]


def test_an_order_that_is_open_again_is_not_answered_as_closed() -> None:
    """The file may still have it as closed under a name that it no longer bears."""
    book = Book()
    document = cast(Document, as_json(order("8")))
    book.put(Row("order", ("main", "A"), BookOrder("bot", 1, document)))
    assert known(book, Kept(kept("A"))).find_orders("main", TAG) == []
    assert names(known(book, Kept(kept("A"))).find_orders("main", OrderRef("venue-id", "A"))) == ["A"]


@pytest.mark.parametrize(("closed", "limit"), [(False, MOST_OPEN), (True, NEWEST_CLOSED)])
def test_a_name_answers_a_bounded_number_of_each_clients_orders(closed: bool, limit: int) -> None:
    """The oldest of a client that has too many are left out, and another client's order is not."""
    book = Book()
    put(book, "OTHER", 0, closed=closed, client="other")
    for number in range(limit + 1):
        put(book, f"O{number}", number + 1, closed=closed)
    found = names(known(book).find_orders("main", TAG))
    assert (len(found), found[0], found[-2:]) == (limit + 1, f"O{limit}", ["O1", "OTHER"])


def test_absent_orders_are_named_oldest_first_and_a_thousand_at_once() -> None:
    """Listed orders, orders of another account, later ones and closed ones are not absent."""
    book = Book()
    put(book, "CLOSED", closed=True)
    put(book, "LATE", 10)
    put(book, "LISTED")
    for number in range(CLOSED_AT_ONCE + 1):
        put(book, f"O{number}")
    absent = known(book).absent("main", ["LISTED"], 10)
    assert absent == [f"O{number}" for number in range(CLOSED_AT_ONCE)]
    assert known(book).absent("other", [], 10) == []
    assert known(book).may_be_open("main") == CLOSED_AT_ONCE + 3


def test_reappeared_orders_are_the_closed_ones_that_are_listed() -> None:
    """They are found in memory or elsewhere; an order that memory has as open is not one."""
    book = Book()
    put(book, "OPEN")
    put(book, "CLOSED", closed=True)
    elsewhere = Kept(kept("OPEN"), kept("CLOSED"), kept("OLD"))
    assert names(known(book, elsewhere).reappeared("main", ["OPEN", "CLOSED", "OLD", "NEW"])) == ["CLOSED", "OLD"]
    assert known(book, elsewhere).reappeared("other", ["OPEN", "CLOSED"]) == []
    assert names(known(book).reappeared("main", ["OPEN", "CLOSED", "OLD"])) == ["CLOSED"]


def test_calls_are_answered_oldest_first() -> None:
    """A call says whether its answer is lost; its number orders it, however it came into the book."""
    book = Book()
    for number, unknown in ((2, True), (1, False)):
        call = BookCall(f"r{number}", number, "bot", "main", 1, [], [], unknown=unknown)
        book.put(Row("call", (call.id,), call))
    found = [(one.reservation, one.intent.record, one.unknown) for one in known(book).open_intents()]
    assert found == [(1, "r1", False), (2, "r2", True)]


def test_an_open_call_is_read_anew_only_once_it_has_changed() -> None:
    """A call whose answer is lost meanwhile is answered as unknown, and the calls beside it are not read again."""
    book = Book()
    for number in (1, 2):
        book.put(Row("call", (f"r{number}",), BookCall(f"r{number}", number, "bot", "main", 1, [], [])))
    asked = known(book)
    before = asked.open_intents()
    book.apply({"kind": "outcome", "id": "r1", "outcome": "unknown", "venue_ids": [], "at": 2})
    after = asked.open_intents()
    assert [one.unknown for one in after] == [True, False]
    assert after[1] is before[1]


def test_brakes_and_the_time() -> None:
    """Halts are answered oldest first, and time is the clock's unless the book has seen a later one."""
    book = Book()
    assert known(book).now_us() == 5
    book.now_us = 6
    assert known(book).now_us() == 6
    for halt in (Halt(HaltScope("b"), "late", "ann", 2), Halt(EVERYBODY, "early", "ann", 1)):
        book.put(Row("halt", halt.scope, halt))
    book.put(Row("revoked", ("bot",), 3))
    assert [halt.reason for halt in known(book).halts()] == ["early", "late"]
    assert known(book).revoked() == {"bot": 3}
