"""Folds the records of a whole log: keeps the book small, and finds the records that are missing between others."""

from __future__ import annotations

import contextlib
from typing import Final, final

from signer.book.acts import add_gap
from signer.book.book import Book
from signer.book.reading import UNREADABLE, Record, gap_of
from signer.model import ChainHead, Gap

EVERY: Final = 10_000

MOST_GAPS: Final = 100
"""After so many, the last gap that is named reaches over all further ones. A damaged log stays bounded."""


def let_go_now_and_then(book: Book, head: ChainHead) -> None:
    """Forget the closed orders of a book that is of record ``head`` now, each time after so many records."""
    if head.seq % EVERY == 0:
        book.let_go(book.take_changes(head))


@final
class LogFold:
    """A book to which the records of a log are applied, one by one.

    ``gaps`` are the records that were not there to be applied, as far as no later record says that they are missing:
    the book lacks them, and does not know it yet.
    """

    def __init__(self, book: Book, head: ChainHead) -> None:
        self.book = book
        self.head = head
        """The last record."""
        self.gaps: list[Gap] = []

    def take(self, record: Record, digest: str) -> None:
        """Apply a record with this digest."""
        seq, last = int(str(record["seq"])), self.head
        if seq != last.seq + 1 or (record["prev"] != last.digest and last.seq):
            self._find(_gap_between(last.seq, seq))
        if "missing" in record and record["kind"] == "recovered":
            self._end_told(record)
        self.book.apply(record)
        if seq > last.seq:
            self.head = ChainHead(seq, digest)

    def end(self, *gaps: Gap | None) -> None:
        """Have the book know of its gaps after the last record, and of those that are known from elsewhere."""
        self.gaps += filter(None, gaps)
        for each in self.gaps:
            add_gap(self.book, each)

    def _find(self, gap: Gap) -> None:
        if len(self.gaps) >= MOST_GAPS:
            gap = Gap(self.gaps.pop().first, gap.last)
        self.gaps.append(gap)

    def _end_told(self, record: Record) -> None:
        with contextlib.suppress(*UNREADABLE):
            told = gap_of(record)
            self.gaps = [gap for gap in self.gaps if not (told.first <= gap.first and gap.last <= told.last)]


def _gap_between(last: int, seq: int) -> Gap:
    """Return what is missing where record ``seq`` comes after ``last`` and does not follow it."""
    if seq > last + 1:
        return Gap(last + 1, seq - 1)
    return Gap(last, last) if seq == last + 1 else Gap(seq, seq)
