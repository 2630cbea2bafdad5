"""Reads the book beside a running gateway or without one: the checkpoint, and the records that came after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Final, final

from signer.book.book import Book
from signer.book.questions import BookQuestions
from signer.book.reading import Record
from signer.contracts import Known
from signer.home.layout import Home
from signer.ledger.book_format import BOOK
from signer.ledger.checkpoint import load
from signer.ledger.kept_orders import KeptOrders
from signer.model import ChainHead

NOTHING: Final = ChainHead(0, "")
"""The record before the first one."""


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


def fold_book(
    home: Home,
    records_after: Callable[[int], Iterable[Record]],
    now_us: Callable[[], int] = wall_clock_us,
    start: Callable[[], tuple[Book, ChainHead] | None] = lambda: None,
) -> ReadBook:
    """Return the book of ``home`` and change nothing.

    ``records_after`` reads the records of the log behind a number. ``start`` returns the book with which a log begins
    whose first records were archived, and the last of these; it is asked if there is no checkpoint. Raises
    `LedgerError` if the checkpoint cannot be used, and what the two raise.
    """
    db = BOOK.connect_to_read(home.book)
    try:
        stored = None if db is None else load(db, home.book)
        book, head = stored or start() or (Book(), NOTHING)
        for record in records_after(head.seq):
            book.apply(record)
    except BaseException:
        if db is not None:
            db.close()
        raise
    kept = None if db is None else KeptOrders(home.book, db)
    return ReadBook(book, None if stored is None else stored[1], kept, now_us)


def read_checkpoint(home: Home) -> tuple[Book, ChainHead] | None:
    """Return the book of the checkpoint alone and its record; None if there is none yet. Raises `LedgerError`."""
    db = BOOK.connect_to_read(home.book)
    if db is None:
        return None
    with closing(db):
        return load(db, home.book)
