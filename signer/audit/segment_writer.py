"""Writes the newest segment of the log: rooms, rotation, and repair after a failure. Acts on the disk are a worker's.

A failed write never stays in the middle of a segment. How much of the segment is durable is known exactly at all
times, and after any error that knowledge, not the file, is believed.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from functools import partial
from pathlib import Path
from typing import Final

from signer.audit.disk import Disk, File, Segment, last_line, segments
from signer.audit.lock import LogLock
from signer.audit.reading import unlink
from signer.audit.tail import SegmentEnd
from signer.contracts import Worker
from signer.home.disk_space import FULL, UNABLE
from signer.model import Gap

SEGMENT_BYTES: Final = 64 << 20
"""A segment that has grown to this is followed by another; the flush that passes it is still whole in it."""

ROOM_BYTES: Final = 1 << 20
"""Room that is claimed ahead for the day on which the disk is full: for a thousand cancels with their outcomes."""

SLACK_BYTES: Final = 64 << 10
"""How much more is claimed, so that it is done once for many records."""

_GIVEN_UP = OSError(errno.ECANCELED, "it was given up while it was written")
_TAKEN = "was removed, replaced or cut while it was written"


class SegmentWriter:
    """The newest segment, and the way to the next one. One write at a time.

    ``notices`` takes a sentence for each thing that the log should record.
    """

    def __init__(
        self,
        folder: Path,
        worker: Worker,
        disk: Disk,
        lock: LogLock,
        notices: dict[str, Gap | None],
        segment_bytes: int,
        room_bytes: int,
    ) -> None:
        self.segment = Segment(0, "")
        self.length = 0
        """How many bytes of it are durable."""
        self.holding = 0
        """The number of the segment that holds the last record."""
        self._folder = folder
        self._run = worker.run
        self._disk = disk
        self._lock = lock
        self._notices = notices
        self._segment_bytes = segment_bytes
        self._room_bytes = room_bytes
        self._claimed = 0
        """How long the segment may grow whatever else fills the disk."""
        self._file: File | None = None
        self._failed: OSError | None = None

    async def continue_at(self, end: SegmentEnd) -> None:
        """Go on where a segment ends; a sealed one is left as it is, and the next write begins a new one."""
        if not end.sealed:
            self._file = await self._run(partial(self._disk.open, self._folder / end.segment.name))
            self.segment, self.length = end.segment, end.length

    async def file_for(self, today: str) -> File:
        """Return the file to write to: that of a new segment if this one has ended, by its size or by the day.

        Raises OSError.
        """
        ended = self.length >= self._segment_bytes or (self.length and self.segment.day != today)
        if self._file is not None and not ended:
            return self._file
        try:
            segment, file = await self._run(partial(self._next, today))
        except OSError as error:
            if self._file is None or error.errno not in FULL:
                raise
            return self._file  # on a full disk the segment goes on past its day, in the room that it has
        retire = None if self._file is None else partial(_retire, self._file, self.length)
        self._file, self.segment, self.length, self._claimed = file, segment, 0, 0
        if retire is not None:
            await self._run(retire)
        return file

    async def secure_room(self, file: File, size: int, *, urgent: bool = False) -> None:
        """See that the claimed room is still whole after ``size`` more bytes. Raises OSError if it is not, unless
        ``urgent``: that is what it is for.
        """
        wanted = self.length + size + self._room_bytes
        if wanted <= self._claimed:
            return
        try:
            self._claimed = await self._run(partial(_claim, file, wanted))
        except OSError as error:
            if error.errno in UNABLE:
                self._claimed = sys.maxsize
                self._notices["this file system keeps no room: cancels cannot be recorded on a full disk"] = None
            elif not (urgent and error.errno in FULL):
                raise

    async def write(self, file: File, data: bytes) -> None:
        """Append ``data`` durably, in one job. Raises OSError; then `repair` must come before the next write."""
        self._failed = _GIVEN_UP  # until it is known to be good: a caller that gives up leaves the write under way
        length = self.length + len(data)
        try:
            if await self._run(partial(_write_durably, file, data)) != length:
                raise OSError(errno.ESTALE, f"it {_TAKEN}", self.segment.name)
        except OSError as error:
            self._failed = error
            raise
        self._failed = None
        self.length, self.holding = length, self.segment.number

    async def repair(self, digest: str) -> None:
        """Bring the segment back to what is known to be durable, or leave it for a new one, if a write has failed.

        After a failed sync the system may have dropped the unwritten pages and call the next sync good (fsync(2),
        "errors"), so the file is opened anew, its last record is read again, which must have this ``digest``, and
        nothing more is put into it. Raises OSError.
        """
        if self._failed is None:
            return
        if self._file is not None:
            size = await self._run(self._file.size)
            if size is None or size < self.length:
                await self._abandon(self._file)
            else:
                await self._reopen(self._file, digest)
                if self.length and self._failed.errno not in FULL:
                    await self.leave(sealed=True)
        self._failed = None

    async def leave(self, *, sealed: bool = False) -> None:
        """Give the file back. A ``sealed`` one is never written again."""
        file, length = self._file, self.length
        self._file, self.length, self._claimed = None, 0, 0
        if file is not None:
            await self._run(partial(_retire, file, length) if sealed else file.close)

    async def _abandon(self, file: File) -> None:
        """Leave a segment that was taken away, and lock the folder that is there now: it may be another one."""
        self._notices[f"{self.segment.name} {_TAKEN}"] = None
        with contextlib.suppress(OSError):  # wherever the file went, it should not keep what was not acknowledged
            await self._run(partial(file.truncate, self.length))
        await self._lock.take_again()
        await self.leave()

    async def _reopen(self, old: File, digest: str) -> None:
        path = self._folder / self.segment.name
        self._file = await self._run(partial(self._disk.open, path))
        await self._run(old.close)
        self._claimed = 0  # to cut a file lets go of the room that it has claimed
        await self._run(partial(cut, self._file, self.length))
        line, _ = await self._run(partial(last_line, self._disk, path, self.length))
        record = unlink(line)
        if self.length and (record is None or record.digest != digest):
            self._notices[f"{self.segment.name} no longer holds its last record: the disk lost it"] = None

    def _next(self, today: str) -> tuple[Segment, File]:
        """Return the segment that follows, empty, with room of its own. Runs on the worker."""
        newest = max(segments(self._disk, self._folder), default=Segment(0, ""))
        if newest.number > self.holding:
            path = self._folder / newest.name
            status = self._disk.status(path)
            if not status.size and not status.sealed:  # ours, from an attempt that failed before its first record
                return newest, self._with_room(self._disk.open(path))
        segment = Segment(max(newest.number, self.holding) + 1, today)
        return segment, self._with_room(self._disk.open(self._folder / segment.name))

    def _with_room(self, file: File) -> File:
        try:
            file.claim(self._room_bytes)
        except OSError as error:
            if error.errno not in UNABLE:
                file.close()
                raise
        return file


def _write_durably(file: File, data: bytes) -> int | None:
    """Append, sync, and return the size; None if the file is not at its path any more.

    The size is asked after the sync: a file that was taken away before or during it has not kept the data.
    """
    file.append(data)
    file.sync()
    return file.size()


def _claim(file: File, wanted: int) -> int:
    """Claim more than is ``wanted``, so that it is seldom done; else just that, which may be claimed already."""
    try:
        file.claim(wanted + SLACK_BYTES)
    except OSError as error:
        if error.errno not in FULL:
            raise
        file.claim(wanted)
        return wanted
    return wanted + SLACK_BYTES


def cut(file: File, length: int) -> None:
    """Cut an open segment to its first ``length`` bytes, durably."""
    file.truncate(length)
    file.sync()


def _retire(file: File, length: int) -> None:
    """Seal a segment that is not written any more, give back the room that it has not used, and close it."""
    with contextlib.suppress(OSError):  # the segment is whole without this
        file.truncate(length)
        file.seal()
    file.close()
