"""A checkpoint in memory."""

from __future__ import annotations

from collections.abc import Sequence

from signer.book.book import Book
from signer.book.rows import BookChanges, Row, RowKey
from signer.errors import LedgerError
from signer.model import ChainHead, OrderRef, PlacedOrder


class KeptCheckpoint:
    """Keeps rows across journals, as the file does. Each store takes ``slices`` steps."""

    def __init__(self, slices: int = 1) -> None:
        self.rows: dict[RowKey, Row] = {}
        self.stored: BookChanges | None = None
        """The last changes that were stored."""
        self.fails = False
        self.discarded = 0
        self._slices = slices
        self._left = 0
        self._begun: BookChanges | None = None

    def load(self) -> tuple[Book, ChainHead] | None:
        self._require()
        if self.stored is None:
            return None
        book = Book()
        book.now_us, book.last, book.log = self.stored.now_us, self.stored.last, self.stored.log
        for row in self.rows.values():
            if row.kind != "order" or not row.value.closed:
                book.put(row)
        return book, self.stored.head

    def discard(self) -> None:
        self.rows, self.stored, self.discarded, self.fails = {}, None, self.discarded + 1, False

    def begin(self, changes: BookChanges) -> None:
        self._require()
        self._begun, self._left = changes, self._slices

    def step(self) -> bool:
        self._require()
        self._left -= 1
        if self._left or self._begun is None:
            return False
        if self._begun.whole:
            self.rows = {}
        for row in self._begun.rows:
            if row.value is None:
                self.rows.pop((row.kind, row.key), None)
            else:
                self.rows[row.kind, row.key] = row
        self.stored, self._begun = self._begun, None
        return True

    def closed(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        return []

    def closed_among(self, account: str, venue_ids: Sequence[str]) -> Sequence[PlacedOrder]:
        return []

    def close(self) -> None:
        """Do nothing."""

    def _require(self) -> None:
        if self.fails:
            raise LedgerError("simulated")
