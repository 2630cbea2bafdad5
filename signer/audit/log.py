"""`FileAuditLog`: the event loop's half of the log. Callers wait here; a worker's thread does all the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, final

from signer.audit.appender import ROOM_BYTES, SEGMENT_BYTES, Appender
from signer.audit.disk import Disk
from signer.audit.flusher import FlushCounters, Flusher, Waiting
from signer.contracts import Clock, Worker
from signer.errors import AuditError
from signer.model import ChainHead, Json
from signer.offload.worker import Batches

FLUSH_S: Final = 0.25
"""A background record is written within this, or with the next durable one."""

RETRY_S: Final = 1.0
"""How soon a log that failed tries again when nobody asks it to."""

FLUSH_NOTES: Final = 128
"""So many waiting background records are written at once."""

MOST_NOTES: Final = 8192
"""So many background records may be accepted and not yet written; more are dropped, and their number recorded."""


def leave_thread() -> None:
    """The thread is not ours to end."""


@final
class FileAuditLog:
    """The chain of records in the segments of a folder; implements `contracts.AuditLog`.

    Entries are taken as they are and must not be changed afterwards. ``on_alarm`` is called on the worker's thread,
    once when the log fails and once when it works again. Records stand in the chain in the order they were accepted;
    only while the disk is full do urgent ones go ahead.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        worker: Worker,
        disk: Disk,
        on_alarm: Callable[[str], None],
        on_closed: Callable[[], None] = leave_thread,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        room_bytes: int = ROOM_BYTES,
        most_notes: int = MOST_NOTES,
    ) -> None:
        appender = Appender(folder, clock, disk, segment_bytes, room_bytes)
        self._flusher = Flusher(appender, clock, on_alarm, str(folder))
        self._worker = worker
        self._on_closed = on_closed
        self._batches: Batches[Waiting, None] = Batches(worker, self._flusher.serve)
        self._most_notes = most_notes
        self._notes: list[Mapping[str, Json]] = []
        self._accepted = 0
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None
        self._opened = False

    async def open(self, kept: ChainHead | None = None) -> None:
        """Continue the log where it ends, repaired if a crash tore its end. ``kept`` is the ledger's `head`.

        Raises `AuditError` if the log cannot be written, or ends in what no crash leaves.
        """
        await self._worker.run(lambda: self._flusher.open(kept))
        self._opened = True

    async def record(self, entry: Mapping[str, Json], *, within: float = 0.0, urgent: bool = False) -> None:
        """Append ``entry``; durable when this returns. Raises `AuditError` if it cannot be.

        A patient caller (``within`` seconds, at most 0.25) rides along with the next flush. An ``urgent`` record (a
        cancel, its outcome) is refused only if neither the disk nor the room claimed ahead can take it.
        """
        if not self._opened:
            raise AuditError("the audit log is not open")
        try:
            await self._batches.ask(self._waiting(entry, urgent=urgent), within=min(within, FLUSH_S))
        except AuditError:
            self._arm(RETRY_S)
            raise

    def note(self, entry: Mapping[str, Json]) -> None:
        """Append ``entry`` within 0.25 s; a crash loses at most those of that time. Never an error to the caller."""
        if not self._opened or self._accepted - self._flusher.counters.notes_done >= self._most_notes:
            self._dropped += 1
            return
        self._accepted += 1
        self._notes.append(entry)
        if len(self._notes) >= FLUSH_NOTES:
            self._flush()
        elif self._timer is None:
            self._arm(FLUSH_S)

    def head(self) -> ChainHead | None:
        """The last durable record; None before the first."""
        return self._flusher.head

    @property
    def healthy(self) -> bool:
        """Whether the last write went well."""
        return self._flusher.healthy

    @property
    def counters(self) -> FlushCounters:
        """What was done since `open`, for metrics."""
        return self._flusher.counters

    @property
    def dropped(self) -> int:
        """How many background records found no room since `open`."""
        return self._dropped

    async def close(self) -> None:
        """Write what waits, give the files back, and call ``on_closed``."""
        if self._opened:
            self._flush()
            self._opened = False
            await self._batches.drained()
            self._disarm()
            await self._worker.run(self._flusher.close)
        self._on_closed()

    def _waiting(self, entry: Mapping[str, Json] | None, *, urgent: bool) -> Waiting:
        self._disarm()
        notes, self._notes = self._notes, []
        return Waiting(notes, entry, urgent, self._dropped)

    def _arm(self, delay_s: float) -> None:
        if self._timer is None and self._opened:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._flush)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        self._batches.ask(self._waiting(None, urgent=False)).add_done_callback(self._flushed)

    def _flushed(self, answer: asyncio.Future[None]) -> None:
        if not answer.cancelled() and answer.exception() is not None:  # reported by the flusher; the notes are owed
            self._arm(RETRY_S)
