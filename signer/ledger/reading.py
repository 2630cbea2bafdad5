"""Reads the book beside a running gateway or without one: the checkpoint, and the records that came after it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Final, Protocol, final

from signer.book.book import Book
from signer.book.folding import LogFold
from signer.book.questions import BookQuestions
from signer.book.reading import Record
from signer.contracts import Known
from signer.errors import LedgerError
from signer.home.layout import Home
from signer.ledger.book_format import BOOK, MADE_ANEW
from signer.ledger.checkpoint import load
from signer.ledger.kept_orders import KeptOrders
from signer.ledger.marks import read_head
from signer.model import ChainHead, Gap

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


class ReadLog(Protocol):
    """The log as a reader of the book needs it. Raises OSError, and `AuditError` if it does not read."""

    def start(self) -> tuple[Book, ChainHead] | None:
        """Return the book with which a log begins whose first records were archived, and the last of these."""

    def records_after(self, seq: int) -> Iterable[tuple[Record, str]]:
        """Read the records after the one of that number, each with its digest."""

    def why_unusable(self, head: ChainHead, book: Book) -> str:
        """Say why a checkpoint with this book, that stands for a record, cannot be used; empty if it can."""

    def unknown_gap(self, head: ChainHead, kept: ChainHead | None, checkpoint: ChainHead | None) -> Gap | None:
        """Return the records that a book as of ``head`` lacks, though the marks know the record ``kept``."""


def fold_book(home: Home, log: ReadLog, now_us: Callable[[], int] = wall_clock_us) -> ReadBook:
    """Return the book of ``home`` and change nothing.

    Raises `LedgerError` if the checkpoint cannot be used or is of another log, and what ``log`` raises.
    """
    kept, db = _kept_head(home), BOOK.connect_to_read(home.book)
    try:
        stored = None if db is None else load(db, home.book)
        why = "" if stored is None else log.why_unusable(stored[1], stored[0])
        if why:
            raise LedgerError(why, where=str(home.book), hint=MADE_ANEW)
        book = fold_log(log, kept, stored)
    except BaseException:
        if db is not None:
            db.close()
        raise
    closed = None if db is None else KeptOrders(home.book, db)
    return ReadBook(book, None if stored is None else stored[1], closed, now_us)


def fold_log(log: ReadLog, kept: ChainHead | None, stored: tuple[Book, ChainHead] | None = None) -> Book:
    """Return the book that a log makes, of a checkpoint that was ``stored`` or of the log alone.

    ``kept`` is the record that the marks know: a book that lacks records says so.
    """
    fold = LogFold(*(stored or log.start() or (Book(), NOTHING)))
    for record, digest in log.records_after(fold.head.seq):
        fold.take(record, digest)
    fold.end(log.unknown_gap(fold.head, kept, None if stored is None else stored[1]))
    return fold.book


def _kept_head(home: Home) -> ChainHead | None:
    """Return the record that the marks know; None without readable marks, which other checks name."""
    with contextlib.suppress(LedgerError):
        return read_head(home.marks)
    return None


def read_checkpoint(home: Home) -> tuple[Book, ChainHead] | None:
    """Return the book of the checkpoint alone and its record; None if there is none yet. Raises `LedgerError`."""
    db = BOOK.connect_to_read(home.book)
    if db is None:
        return None
    with closing(db):
        return load(db, home.book)
