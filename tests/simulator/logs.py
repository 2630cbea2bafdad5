"""What the durable log says, and whether the books that are kept beside it say the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from signer.book.book import Book
from signer.errors import LedgerError
from signer.home.layout import Home
from signer.ledger.book_format import BOOK
from signer.ledger.checkpoint import load
from signer.model import ChainHead
from tests.property.agreeing import agree
from tests.property.plain_fold import PlainFold
from tests.simulator.world import World


class Logs:
    """Folds the records that a crash at this moment would leave for certain, twice."""

    def __init__(self, world: World, home: Home) -> None:
        self._world = world
        self._home = home
        self._lines: list[bytes] = []
        self._book = Book()
        self._plain = PlainFold()

    def book(self) -> Book:
        """The book that the durable log makes."""
        self._catch_up()
        return self._book

    def check_running(self, at_rest: tuple[int, str] | None) -> None:
        """Check that the book of a running gateway, at its last durable record, is the one that the log makes."""
        book = self.book()
        self._check_checkpoint(book)
        if at_rest not in {None, (self._last_seq(), book.digest())}:
            self._world.fail(f"the running book is not what {self._last_seq()} records make: {at_rest}")

    def check(self) -> None:
        """Check that both folds agree, that nothing contradicts, and that the checkpoint and its tail are the same."""
        book = self.book()
        try:
            agree(book, self._plain)
        except AssertionError as error:
            self._world.fail(f"the folds of the log differ: {error}")
        if book.contradictions:
            self._world.fail(f"the log contradicts itself: {book.contradictions}")
        self._check_checkpoint(book)

    def _check_checkpoint(self, book: Book) -> None:
        stored = self._stored()
        if stored is None:
            return
        resumed, head = stored
        records = list(durable_records(self._world))
        if head.digest not in {record["digest"] for record in records if record["seq"] == head.seq}:
            self._world.fail(f"the checkpoint is ahead of the log, at record {head.seq}")
        for record in records:
            if record["seq"] > head.seq:
                resumed.apply(record)
        if resumed.digest() != book.digest():
            self._world.fail(f"the checkpoint at record {head.seq} and its tail are not what the log makes")

    def _stored(self) -> tuple[Book, ChainHead] | None:
        try:
            db = BOOK.connect_to_read(self._home.book)
            if db is None:
                return None
            try:
                return load(db, self._home.book)
            finally:
                db.close()
        except LedgerError as error:
            self._world.fail(f"the checkpoint cannot be read: {error}")
            return None

    def _catch_up(self) -> None:
        lines = list(durable_lines(self._world))
        known = len(self._lines)
        if lines[:known] != self._lines:  # a crash has taken some
            self._book, self._plain, known = Book(), PlainFold(), 0
        for line in lines[known:]:
            self._book.apply(parsed(line))
            self._plain.take(parsed(line))
        self._lines = lines

    def _last_seq(self) -> int:
        return int(parsed(self._lines[-1])["seq"]) if self._lines else 0


def durable_records(world: World) -> Iterator[Mapping[str, Any]]:
    """The records that a crash at this moment would leave for certain."""
    return map(parsed, durable_lines(world))


def durable_lines(world: World) -> Iterator[bytes]:
    """Their lines."""
    for path in sorted(world.disk.files):
        *lines, _torn = world.disk.files[path].durable.split(b"\n")
        yield from (line for line in lines if line.startswith(b"{"))


_read: dict[bytes, dict[str, Any]] = {}


def parsed(line: bytes) -> Mapping[str, Any]:
    """The record in a line."""
    if line not in _read:
        _read[line] = json.loads(line)
    return _read[line]
