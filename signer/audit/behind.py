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
        self.due_seq = 0
        """The record after which a checkpoint is due."""
        self.busy = False
        """Whether rows were taken that are not stored."""
        self._stored_seq = 0
        self._whole = False
        self._taken: BookChanges | None = None
        """What the flush under way will make durable."""
        self._storing: BookChanges | None = None
        """What is being stored."""

    def replayed(self, book: Book, found: Replayed) -> None:
        """Begin after a start: all rows are stored anew if there was no checkpoint."""
        self._stored_seq, self._whole = found.stored_seq, found.whole
        self.due_seq = self._stored_seq + self._every

    def take(self, book: Book) -> None:
        """Take the changed rows for the flush that begins now, if none are being stored."""
        if self._storing is None:
            self._taken = book.take_changes(NOWHERE, whole=self._whole)
            self.busy = True

    async def after_flush(
        self, book: Book, head: ChainHead, *, is_durable: bool, is_pressing: Callable[[], bool]
    ) -> None:
        """Go on after a flush: with the rows taken for it if it is durable, and as long as nobody waits for another.

        A checkpoint that is long overdue gets one slice between two flushes all the same.
        """
        taken, self._taken = self._taken, None
        if taken is not None and is_durable:
            await self._begin(replace(taken, head=head))
        elif taken is not None:
            book.touch(taken)
            self.busy = False
        if self._storing is not None and head.seq >= self.due_seq + PRESSING * self._every:
            await self._step(book, head)
        while self._storing is not None and not is_pressing():
            await self._step(book, head)

    async def finish(self, book: Book, head: ChainHead) -> None:
        """Store all that the book is at its last record, at a clean stop. Does nothing if that is stored."""
        await self._all_steps(book, head)
        if head.seq != self._stored_seq or self._whole:
            await self._begin(book.take_changes(head, whole=self._whole))
            await self._all_steps(book, head)

    async def _all_steps(self, book: Book, head: ChainHead) -> None:
        while self._storing is not None:
            await self._step(book, head)

    async def _begin(self, changes: BookChanges) -> None:
        self._storing, self._whole, self.busy = changes, False, True
        try:
            await self._worker.run(lambda: self._checkpoint.begin(changes))
        except LedgerError as error:
            self._failed(error, changes.head)

    async def _step(self, book: Book, head: ChainHead) -> None:
        changes = self._storing
        assert changes is not None  # noqa: S101 - asked by the callers
        try:
            is_stored = await self._worker.run(self._checkpoint.step)
        except LedgerError as error:
            self._failed(error, head)
            return
        if is_stored:
            self._storing, self.busy, self._stored_seq = None, False, changes.head.seq
            self.due_seq = self._stored_seq + self._every
            book.let_go(changes)

    def _failed(self, error: LedgerError, head: ChainHead) -> None:
        """Say it once in a while, and store everything the next time."""
        self._storing, self.busy, self._whole = None, False, True
        self.due_seq = head.seq + self._every
        self._on_alarm(f"the book's checkpoint cannot be written, the log has it all: {error}")
