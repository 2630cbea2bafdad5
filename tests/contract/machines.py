"""The backends of the journal, each on a machine that can fail, hang and die."""

from __future__ import annotations

import asyncio
import errno
import json
import random
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from signer.audit.journal import FileJournal
from signer.contracts import Journal
from signer.gateway.trace import closed_record, held_fields, operator_record, reconciled_record
from signer.ledger.checkpoint import BookFile
from signer.model import Charge, Intent, Json, Order, OrderRef, Outcome
from tests.harness.virtual import START_US, VirtualClock
from tests.unit.audit.worse_disk import WorseDisk

T = TypeVar("T")
Record: TypeAlias = Mapping[str, Any]
FOLDER = Path("/audit")
ROOM_BYTES = 8_192

_numbers = count(1)


class Machine(Protocol):
    """What a backend stands on. Time is the virtual loop's."""

    async def start(self) -> Journal:
        """Start, after a stop or a crash."""

    async def stop(self) -> None:
        """Stop cleanly."""

    def crash(self) -> None:
        """Die at once; the disk forgets what it has not made durable."""

    def set_clock(self, ahead_s: float) -> None:
        """Set the wall clock so far ahead of the time that has passed."""

    def fail(self) -> None:
        """Let every write fail from now on."""

    def fill(self) -> None:
        """Let others fill the disk."""

    def heal(self) -> None:
        """End `fail` and `fill`."""

    def hang(self, seconds: float) -> None:
        """Let the next write take so long."""

    def records(self) -> list[Record]:
        """Return the records that a crash would leave for certain."""


class Files:
    """Segments on a disk in memory, and the checkpoint in a real file."""

    def __init__(self, folder: Path) -> None:
        self._disk = WorseDisk()
        self._book = folder / "book.db"
        self._clock = VirtualClock()
        self._worker = Worker()
        self._checkpoint: BookFile
        self._journal: FileJournal

    async def start(self) -> Journal:
        """Start, with a checkpoint after every tenth record."""
        self._worker, self._checkpoint = Worker(), BookFile(self._book)
        self._journal = FileJournal(
            FOLDER,
            self._clock,
            self._worker,
            self._disk,
            self._checkpoint,
            lambda _alarm: None,
            room_bytes=ROOM_BYTES,
            checkpoint_every=10,
        )
        await self._journal.open()
        return self._journal

    async def stop(self) -> None:
        """Stop cleanly."""
        await self._journal.close()

    def crash(self) -> None:
        """Die at once."""
        self._worker.is_dead = True
        self._checkpoint.close()
        self._disk.crash(random.Random(1))  # noqa: S311 - repeatable

    def set_clock(self, ahead_s: float) -> None:
        """Set the wall clock."""
        self._clock.set_by_us = round(ahead_s * 1_000_000)

    def fail(self) -> None:
        """Let every write fail from now on."""
        self._disk.trouble = lambda _, step: errno.EIO if step.startswith(("append", "sync")) else None

    def fill(self) -> None:
        """Let others fill the disk, but for the room that is claimed."""
        self._disk.trouble = lambda _, step: errno.ENOSPC if step in {"append", "claim"} else None

    def heal(self) -> None:
        """End `fail` and `fill`."""
        self._disk.trouble = lambda _number, _step: None

    def hang(self, seconds: float) -> None:
        """Let the next job of the disk take so long."""
        self._worker.hang_s = seconds

    def records(self) -> list[Record]:
        """Return the durable records."""
        files = sorted((path, inode) for path, inode in self._disk.files.items())
        lines = [line for _, inode in files for line in inode.durable.split(b"\n")[:-1]]
        return [json.loads(line) for line in lines if line.startswith(b"{")]


class Worker:
    """Does its jobs one after the other, each in a millisecond."""

    def __init__(self) -> None:
        self.is_dead = False
        self.hang_s = 0.0
        self._free_at = 0.0

    def run(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """Do ``job`` after all jobs given before it."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        hang_s, self.hang_s = self.hang_s, 0.0
        self._free_at = max(self._free_at, loop.time()) + 0.001 + hang_s
        loop.call_at(self._free_at, self._do, job, answer)
        return answer

    def _do(self, job: Callable[[], T], answer: asyncio.Future[T]) -> None:
        if self.is_dead or answer.done():
            return
        try:
            answer.set_result(job())
        except Exception as error:  # the caller's to see
            answer.set_exception(error)


def call(
    *charges: Charge,
    orders: tuple[Order, ...] = (),
    client: str = "bot",
    account: str = "main",
    changes: str = "",
    replaces: bool = False,
) -> Intent:
    """A call with a record of its own, that places orders or changes one."""
    targets = (OrderRef("venue-id", changes),) if changes else ()
    name = f"call{next(_numbers)}"
    return Intent(client, account, "AddOrder", orders, targets, charges, name, START_US, replaces)


def entry(intent: Intent) -> dict[str, Json]:
    """The record with which a call begins."""
    return {
        "kind": "intent",
        "time": START_US,
        "id": intent.record,
        "client": intent.client,
        "account": intent.account,
        "source": "127.0.0.1",
        "endpoint": intent.endpoint,
        "fields": {},
        **held_fields(intent),
    }


async def begin(journal: Journal, *charges: Charge, **fields: Any) -> Intent:
    """Begin a call."""
    intent = call(*charges, **fields)
    await journal.begin(intent, entry(intent))
    return intent


def accept(journal: Journal, intent: Intent, *venue_ids: str | None, part: bool = False) -> None:
    """End a call with these ids of its orders; as a look-up does that has found a part."""
    journal.conclude(reconciled_record(intent, Outcome.ACCEPTED, venue_ids, journal.now_us(), part=part))


def end(journal: Journal, intent: Intent, outcome: Outcome) -> None:
    """End a call in another way, or lose its answer."""
    journal.conclude(ended(journal, intent, outcome))


def ended(journal: Journal, intent: Intent, outcome: Outcome) -> dict[str, Json]:
    """The record of a call's end that accepts no order."""
    return {**reconciled_record(intent, outcome, (), journal.now_us()), "kind": "outcome"}


async def place(journal: Journal, *venue_ids: str, orders: tuple[Order, ...], **fields: Any) -> None:
    """Place orders that are accepted."""
    accept(journal, await begin(journal, orders=orders, **fields), *venue_ids)


def close_absent(journal: Journal, account: str, listed: list[str], placed_before_us: int) -> None:
    """Close orders as the gateway does by a list of open ones (`signer.gateway.reconcile.looks`)."""
    again = journal.reappeared(account, listed)
    while (gone := journal.absent(account, listed, placed_before_us)) or again:
        journal.conclude(closed_record(account, gone, again, journal.now_us()))
        again = ()


async def operate(journal: Journal, act: str, stage: str, **more: Json) -> None:
    """Record an operator's act."""
    told: dict[str, Json] = {"id": "drill", "act": act, "stage": stage, "reason": "drill"}
    await journal.record({**operator_record(1, "op", told, journal.now_us()), **more}, urgent=True)
