"""Rows of a book, and a checkpoint that stores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from signer.book.book import Book
from signer.book.reading import BookCall, BookOrder, Document
from signer.book.rows import BookChanges, Row
from signer.contracts import Checkpoint
from signer.model import ChainHead, Halt, HaltScope, OrderRef
from signer.model.wire import as_json
from tests.unit.ledger.calls import DAY_S, START_US, charge, order

SLOT = START_US * 120 // (DAY_S * 1_000_000)
KEY = ("client/bot", "USD", DAY_S)


def placed(venue_id: str, *, closed: bool = False, client: str = "bot", at_us: int = START_US, **fields: Any) -> Row:
    """An order on the account ``main`` with ``fields`` of its own."""
    document = cast(Document, as_json(order(**fields)))
    return Row("order", ("main", venue_id), BookOrder(client, at_us, document, closed))


def window(*amounts: str) -> Row:
    """What is used of the cap of ``bot`` in the last slots."""
    return Row("window", KEY, {SLOT - place: Decimal(amount) for place, amount in enumerate(reversed(amounts))})


def call(number: int) -> Row:
    """An open call."""
    orders = [cast(Document, as_json(order(client_id=f"s{number}")))]
    targets = (OrderRef("client-id", "a"),)
    record = f"{1000 - number}"  # as ids are: in no order
    one = BookCall(record, number, "bot", "main", START_US, orders, [charge("1.50")], targets, unknown=number == 1)
    return Row("call", (record,), one)


def rows() -> Sequence[Row]:
    """A row of each kind and more."""
    return [
        window("1.50", "610.00100"),
        Row("cap", KEY, ("notional", Decimal("1000"))),
        call(2),
        call(1),
        Row("halt", HaltScope("bot"), Halt(HaltScope("bot"), "drill", "ann", START_US)),
        Row("revoked", ("old",), START_US - 1),
        Row("gap", (3, 4), True),
        placed("OPEN-2", at_us=START_US + 2),
        placed("OPEN-1", at_us=START_US + 1, client_tag="7", client_id="ä"),
        placed("CLOSED", closed=True),
    ]


def changes(*changed: Row, seq: int = 1, whole: bool = False, now_us: int = START_US) -> BookChanges:
    """The rows of the record ``seq``."""
    return BookChanges(ChainHead(seq, f"{seq:064x}"), now_us, seq * 10, changed, whole)


def store(checkpoint: Checkpoint, taken: BookChanges) -> int:
    """Store changes; in how many steps."""
    checkpoint.begin(taken)
    steps = 1
    while not checkpoint.step():
        steps += 1
    return steps


def book_of(*taken: Row, now_us: int = START_US, last: int = 10) -> Book:
    """The book that these rows make, but for closed orders."""
    book = Book()
    book.now_us, book.last = now_us, last
    for row in taken:
        if row.kind != "order" or not row.value.closed:
            book.put(row)
    return book


def close(row: Row) -> Row:
    """The same order, closed."""
    return replace(row, value=row.value._replace(closed=True))


def known_of(loaded: tuple[Book, ChainHead] | None) -> object:
    """All that was loaded, to compare."""
    return None if loaded is None else (loaded[0].state(), loaded[0].last, loaded[1])
