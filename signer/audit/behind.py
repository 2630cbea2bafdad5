"""Writes the checkpoint behind the log: the book as it is at a record that is durable, in small slices.

The rows are taken when a flush begins that takes all that was applied so far. The book is then that of the flush's last
record. They are stored only once that record is durable, so a checkpoint is never ahead of the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Final, final

from signer.audit.replaying import Replayed
from signer.book.book import Book
from signer.book.rows import BookChanges
from signer.contracts import Checkpoint, Worker
from signer.errors import LedgerError
from signer.model import ChainHead

PRESSING: Final = 6
"""After so many times `WrittenBehind.EVERY` records, slices are stored between two flushes though somebody waits."""

NOWHERE: Final = ChainHead(0, "")


@final
class WrittenBehind:
    """The checkpoint of one open journal."""

    EVERY: ClassVar[int] = 2_000
    """How many records a checkpoint is apart from the next one, as far as the disk lets it."""

    def __init__(
        self, checkpoint: Checkpoint, worker: Worker, on_alarm: Callable[[str], None], every: int = EVERY
    ) -> None:
        self._checkpoint = checkpoint
        self._worker = worker
        self._on_alarm = on_alarm
        self._every = every
        self._stored_seq = 0
        self._last_seq = 0
        self._whole = False
        self._taken: BookChanges | None = None
        """What the flush under way will make durable."""
        self._storing: BookChanges | None = None
        """What is being stored."""

    def replayed(self, book: Book, found: Replayed) -> None:
        """Begin after a start: all rows are stored anew if there was no checkpoint."""
        self._stored_seq = self._last_seq = found.stored_seq
        self._last_seq = max(self._last_seq, found.last_seq)
        self._whole = found.whole

    def take_if_due(self, book: Book) -> None:
        """Take the changed rows, if it is time and none are being stored."""
        if self._storing is None and self._last_seq - self._stored_seq >= self._every:
            self._taken = book.take_changes(NOWHERE, whole=self._whole)

    async def flushed(self, book: Book, head: ChainHead, *, is_durable: bool, idle: bool) -> None:
        """Go on after a flush: with the rows taken for it if it is durable, and as long as nobody waits for another."""
        self._last_seq = head.seq
        taken, self._taken = self._taken, None
        if taken is not None and is_durable:
            await self._begin(replace(taken, head=head))
        elif taken is not None:
            book.touch(taken)
        if self._storing is not None and (idle or self._last_seq - self._stored_seq >= PRESSING * self._every):
            await self._step(book)

    async def finish(self, book: Book, head: ChainHead) -> None:
        """Store all that the book is at its last record, at a clean stop. Does nothing if that is stored."""
        await self._all_steps(book)
        if head.seq != self._stored_seq or self._whole:
            await self._begin(book.take_changes(head, whole=self._whole))
            await self._all_steps(book)

    async def _all_steps(self, book: Book) -> None:
        while self._storing is not None:
            await self._step(book)

    async def _begin(self, changes: BookChanges) -> None:
        self._storing, self._whole = changes, False
        try:
            await self._worker.run(lambda: self._checkpoint.begin(changes))
        except LedgerError as error:
            self._failed(error)

    async def _step(self, book: Book) -> None:
        changes = self._storing
        assert changes is not None  # noqa: S101 - asked by the callers
        try:
            is_stored = await self._worker.run(self._checkpoint.step)
        except LedgerError as error:
            self._failed(error)
            return
        if is_stored:
            self._storing, self._stored_seq = None, changes.head.seq
            book.let_go(changes)

    def _failed(self, error: LedgerError) -> None:
        """Say it once in a while, and store everything the next time."""
        self._storing, self._whole = None, True
        self._stored_seq = self._last_seq  # tried again after as many records as usual
        self._on_alarm(f"the book's checkpoint cannot be written, the log has it all: {error}")
