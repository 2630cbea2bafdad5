"""The writing end of the chain: links entries on the event loop; a worker's thread writes and syncs their bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from signer.audit.chain import START, link
from signer.audit.disk import Disk, utc_day
from signer.audit.lock import LogLock
from signer.audit.segment_writer import ROOM_BYTES, SEGMENT_BYTES, SegmentWriter, cut
from signer.audit.tail import SegmentEnd, find_ends
from signer.contracts import Clock, Worker
from signer.model import ChainHead, Json

Entry: TypeAlias = Mapping[str, Json]


class Appender:
    """Appends to the log, which is locked while this is open. One append at a time.

    ``head`` is the last durable record. ``notices`` are sentences that the next append records ahead of its own
    entries, as records of kind ``recovered``: what was found at the start, and what failed since.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        worker: Worker,
        disk: Disk,
        segment_bytes: int = SEGMENT_BYTES,
        room_bytes: int = ROOM_BYTES,
    ) -> None:
        self.head = START
        self.notices: dict[str, None] = {}
        self._folder = folder
        self._clock = clock
        self._worker = worker
        self._disk = disk
        self._lock = LogLock(folder, worker, disk)
        self._writer = SegmentWriter(folder, worker, disk, self._lock, self.notices, segment_bytes, room_bytes)

    async def lock(self) -> None:
        """Lock the log for this process. Raises `AuditError` if another holds it, and OSError."""
        await self._lock.take()

    async def open(self, kept: ChainHead | None) -> Sequence[str]:
        """Lock the log, find its end and make it fit to append to.

        ``kept`` is the last record that is known from elsewhere. If the log does not reach it, records are missing:
        the chain then goes on after ``kept``, so that `verify` finds the gap for ever. Returns the sentence that says
        so. Raises OSError, and `AuditError` if another process holds the log, or if its end is neither whole nor what
        a crash leaves.
        """
        await self.lock()
        try:
            return await self._find_end(kept)
        except BaseException:
            await self.close()
            raise

    async def begin(self) -> Sequence[Entry]:
        """Record what `open` found, and claim room. Returns the log's own records, as `append` does.

        Raises OSError; the log can be appended to all the same.
        """
        if self.notices:
            return await self.append([])
        await self._writer.secure_room(await self._writer.file_for(self._today()), 0)
        return []

    async def append(self, entries: Sequence[Entry], *, urgent: bool = False) -> Sequence[Entry]:
        """Append fit entries in one write and make them durable with one sync.

        Returns the log's own records that were written ahead of them. Where the disk is full, only ``urgent`` entries
        may use the room that was claimed ahead. Raises OSError; then none of them is part of the log, unless the
        machine dies before the next append and they had reached the disk after all.
        """
        await self._writer.repair(self.head.digest)
        file = await self._writer.file_for(self._today())
        told = tuple(self.notices)
        own = self._own_entries(told)
        head, written = self.head, []
        for entry in chain(own, entries):
            line, head = link(head, entry)
            written.append(line)
        data = b"".join(written)
        await self._writer.secure_room(file, len(data), urgent=urgent)
        await self._writer.write(file, data)
        self.head = head
        for notice in told:
            del self.notices[notice]
        return own

    async def close(self) -> None:
        """Give file and lock back, without what a failed append may have left in the file."""
        with contextlib.suppress(OSError):  # it failed and was reported; the next open cuts off what is torn
            await self._writer.repair(self.head.digest)
        await self._writer.leave()
        await self._lock.release()

    def _today(self) -> str:
        return utc_day(self._clock.now_us())

    def _own_entries(self, told: Sequence[str]) -> Sequence[Entry]:
        now = self._clock.now_us()
        own: list[Entry] = []
        if not self._writer.length:
            number, before = self._writer.segment.number, self._writer.holding
            own.append({"kind": "segment", "time": now, "segment": number, "previous_segment": before})
        own += ({"kind": "recovered", "time": now, "text": notice} for notice in told)
        return own

    async def _find_end(self, kept: ChainHead | None) -> Sequence[str]:
        ends = await self._worker.run(partial(find_ends, self._disk, self._folder))
        if ends and ends[-1].head is not None:
            self.head, self._writer.holding = ends[-1].head, ends[-1].segment.number
        if kept is not None and self.head.seq <= kept.seq and self.head != kept:
            return [self._leap(kept)]
        for end in ends:
            await self._cut_torn_end(end)
        if ends:
            await self._writer.continue_at(ends[0])
        return []

    def _leap(self, kept: ChainHead) -> str:
        if self.head.seq == kept.seq:
            notice = f"record {kept.seq} of the log is not the one that was written then: records are missing"
        else:
            notice = f"the log ends at record {self.head.seq} and record {kept.seq} was written: records are missing"
        self.notices[notice] = None
        self.head = kept
        return notice

    async def _cut_torn_end(self, end: SegmentEnd) -> None:
        """Cut off what a crash left of an unfinished write. Only here: a log that lacks known records is evidence."""
        if end.torn:
            await self._worker.run(partial(_cut_torn, self._disk, self._folder / end.segment.name, end))
            self.notices[f"{end.segment.name} ended in {end.torn} bytes of an unfinished write, now cut off"] = None


def _cut_torn(disk: Disk, path: Path, end: SegmentEnd) -> None:
    """Cut a segment to its whole lines; a sealed one stays sealed."""
    if end.sealed:
        disk.unseal(path)
    file = disk.open(path)
    try:
        cut(file, end.length)
        if end.sealed:
            file.seal()
    finally:
        file.close()
