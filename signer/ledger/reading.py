"""Reads the book beside a running gateway or without one: the checkpoint, and the records that came after it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import final

from signer.book.book import Book
from signer.book.questions import BookQuestions
from signer.book.reading import Record
from signer.contracts import Known
from signer.home.layout import Home
from signer.ledger.book_format import BOOK
from signer.ledger.checkpoint import load
from signer.ledger.kept_orders import KeptOrders
from signer.model import ChainHead


def wall_clock_us() -> int:
    """Return the wall clock in microseconds since the Unix epoch."""
    return time.time_ns() // 1_000


@final
class ReadBook(BookQuestions, Known):
    """The book at one moment. Close it after use."""

    def __init__(self, book: Book, head: ChainHead | None, kept: KeptOrders | None, now_us: Callable[[], int]) -> None:
        super().__init__(book, kept, now_us)
        self.book = book
        self.checkpoint_head = head
        """The record that the checkpoint stands for; None if there is none yet."""
        self._kept = kept

    def close(self) -> None:
        """Close the checkpoint's file."""
        if self._kept is not None:
            self._kept.close()


def read_book(
    home: Home, records_after: Callable[[int], Iterable[Record]], now_us: Callable[[], int] = wall_clock_us
) -> ReadBook:
    """Return the book of ``home`` and change nothing.

    ``records_after`` reads the records of the log behind a number. Raises `LedgerError` if the checkpoint cannot be
    used, and what ``records_after`` raises.
    """
    db = BOOK.connect_to_read(home.book)
    try:
        return _read(home, db, records_after, now_us)
    except BaseException:
        if db is not None:
            db.close()
        raise


def _read(
    home: Home,
    db: sqlite3.Connection | None,
    records_after: Callable[[int], Iterable[Record]],
    now_us: Callable[[], int],
) -> ReadBook:
    stored = None if db is None else load(db, home.book)
    book, head = stored or (Book(), None)
    for record in records_after(0 if head is None else head.seq):
        book.apply(record)
    return ReadBook(book, head, None if db is None else KeptOrders(home.book, db), now_us)
