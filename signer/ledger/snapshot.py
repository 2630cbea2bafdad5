"""Reads the whole ledger at one moment, as a book that can be compared with the one that the audit log makes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import cast

from signer.book.book import Book
from signer.book.reading import BookCall, BookOrder
from signer.book.windows import Window
from signer.ledger.caps import ledger_errors, read_halts, to_intent, to_order
from signer.ledger.database import connect, last_reservation
from signer.model import Json, Order
from signer.model.wire import as_json


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """The ledger at one moment."""

    book: Book
    last: int
    """The highest number that a reservation ever had: later calls are not in the ledger yet."""
    head_seq: int
    """The number of the last record that the ledger knows of; 0 if it knows none."""


def take_snapshot(path: Path) -> LedgerSnapshot:
    """Read the ledger at ``path``, beside a running gateway or not. Raises `LedgerError`."""
    with ledger_errors(path), closing(connect(path)) as db:
        db.execute("BEGIN")
        try:
            return _read(db)
        finally:
            db.execute("ROLLBACK")


def _read(db: sqlite3.Connection) -> LedgerSnapshot:
    book = Book()
    book.now_us, head_seq = db.execute("SELECT seen_us, coalesce(head_seq, 0) FROM state").fetchone()
    for cap, scope, unit, window_s in db.execute("SELECT id, scope, unit, window_s FROM caps").fetchall():
        rows = db.execute("SELECT slot, amount FROM spent WHERE cap = ?", (cap,))
        book.windows[scope, unit, window_s] = Window(window_s, {slot: Decimal(amount) for slot, amount in rows})
    for number, held_us, unknown, text in db.execute("SELECT id, held_us, unknown, intent FROM reservations"):
        call = _call(number, held_us, text, unknown=bool(unknown))
        book.calls[call.id] = call
    query = "SELECT account, venue_id, client, placed_us, document FROM orders WHERE closed = 0"
    for account, venue_id, client, placed_us, text in db.execute(query):
        book.orders[account, venue_id] = BookOrder(client, placed_us, _document(to_order(text)))
    book.halts = {whom: halt.reason for whom, halt in read_halts(db).items()}
    book.revoked = dict(db.execute("SELECT client, at_us FROM revocations").fetchall())
    return LedgerSnapshot(book, last_reservation(db), head_seq)


def _call(number: int, held_us: int, text: str, *, unknown: bool) -> BookCall:
    intent = to_intent(text)
    orders, changes = [_document(order) for order in intent.orders], bool(intent.targets)
    return BookCall(
        intent.record,
        number,
        intent.client,
        intent.account,
        held_us,
        orders,
        intent.charges,
        changes=changes,
        unknown=unknown,
    )


def _document(order: Order) -> Mapping[str, Json]:
    return cast("dict[str, Json]", as_json(order))
