"""What the audit log's tests are given: a worker, entries, and a log to use them with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from signer.audit.chain import Appender
from signer.audit.disk import Disk, lines, segments
from signer.audit.journal import FileJournal
from signer.model import ChainHead, Json
from tests.harness.clocks import NOON_US, SetClock
from tests.unit.audit.checkpoints import KeptCheckpoint
from tests.unit.audit.worse_disk import WorseDisk

T = TypeVar("T")
FOLDER = Path("/home/audit")
ROOM = 4096


class AtOnce:
    """A worker that does each job at once, on the caller's thread."""

    def run(self, job: Callable[[], T]) -> asyncio.Future[T]:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            answer.set_result(job())
        except Exception as error:
            answer.set_exception(error)
        return answer


class HeldWorker(AtOnce):
    """A worker that counts its jobs, and can be told to hold them back, as a disk that hangs."""

    def __init__(self) -> None:
        self.jobs = 0
        self.held: list[Callable[[], object]] | None = None

    def run(self, job: Callable[[], T]) -> asyncio.Future[T]:
        self.jobs += 1
        if self.held is None:
            return super().run(job)
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.held.append(lambda: self._do(job, answer))
        return answer

    def _do(self, job: Callable[[], T], answer: asyncio.Future[T]) -> None:
        done = super().run(job)
        if not answer.done():
            error = done.exception()
            answer.set_result(done.result()) if error is None else answer.set_exception(error)

    async def until_held(self) -> None:
        """Wait until a job is held back."""
        while not self.held:
            await asyncio.sleep(0)

    def release(self) -> None:
        """Do the jobs that were held back, and hold no more."""
        held, self.held = self.held or [], None
        for job in held:
            job()


def entry(name: str = "call", kind: str = "read") -> dict[str, Json]:
    """A record's content that the schema accepts."""
    return {
        "kind": kind,
        "time": NOON_US,
        "id": name,
        "client": "grid-bot",
        "source": "127.0.0.1",
        "account": "main",
        "endpoint": "Balance",
        "fields": {},
        "outcome": "accepted",
        "venue_ids": [],
    }


def new_appender(
    disk: Disk, clock: SetClock | None = None, segment_bytes: int = 2000, folder: Path = FOLDER
) -> Appender:
    """The writing end of a log, with small segments."""
    return Appender(folder, clock or SetClock(), AtOnce(), disk, segment_bytes, ROOM)


async def opened_appender(
    disk: Disk, kept: ChainHead | None = None, clock: SetClock | None = None, segment_bytes: int = 2000
) -> Appender:
    """The same, open."""
    appender = new_appender(disk, clock, segment_bytes)
    await appender.open(kept)
    await appender.begin()
    return appender


def write_log(folder: Path, disk: Disk, batches: Sequence[Sequence[str]], segment_bytes: int = 2000) -> ChainHead:
    """Write intents of these names in these batches, close the log and return its head."""

    async def write() -> ChainHead:
        appender = new_appender(disk, segment_bytes=segment_bytes, folder=folder)
        await appender.open(None)
        for batch in batches:
            await appender.append([entry(name, "intent") for name in batch])
        await appender.close()
        return appender.head

    return asyncio.run(write())


def new_journal(
    disk: WorseDisk,
    alarms: list[str],
    clock: SetClock | None = None,
    checkpoint: KeptCheckpoint | None = None,
    **limits: int,
) -> FileJournal:
    """A journal on ``disk`` whose alarms are collected."""
    bounds: dict[str, Any] = {"room_bytes": ROOM, **limits}
    worker, checkpoint = AtOnce(), checkpoint or KeptCheckpoint()
    return FileJournal(FOLDER, clock or SetClock(), worker, disk, checkpoint, alarms.append, **bounds)


def all_records(disk: WorseDisk) -> list[dict[str, Json]]:
    """Every record on ``disk``, parsed, in order."""
    return [json.loads(line) for segment in segments(disk, FOLDER) for line in lines(disk, FOLDER / segment.name)]


def ids(disk: WorseDisk) -> list[Json]:
    """The ids of all records that have one, in order."""
    return [record["id"] for record in all_records(disk) if "id" in record]


def head_of(journal: FileJournal) -> ChainHead:
    """The head, which must be there."""
    head = journal.head()
    assert head is not None
    return head
