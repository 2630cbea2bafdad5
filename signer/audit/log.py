"""The audit log: callers wait on the event loop, and a worker's thread makes their records durable in batches.

Background records that could not be written are owed: the next batch writes them first (after urgent ones, if the disk
was full).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from signer.audit.chain import ROOM_BYTES, SEGMENT_BYTES, Appender, fit
from signer.audit.disk import Disk
from signer.contracts import AuditLog, Clock, Worker
from signer.errors import AuditError
from signer.home.disk_space import FULL
from signer.model import ChainHead, Json
from signer.offload.worker import Batches

FLUSH_S: Final = 0.25
"""A background record is written within this, or with the next durable one."""

RETRY_S: Final = 1.0
"""How soon a log that failed tries again when nobody asks it to."""

FLUSH_NOTES: Final = 128
"""The number of waiting background records at which they are written."""

MOST_NOTES: Final = 8192
"""The most background records that wait to be written; more are dropped, and their number recorded."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Background records in the order they were accepted, and the durable one, if any, that came after them."""

    notes: Sequence[Mapping[str, Json]]
    entry: Mapping[str, Json] | None
    urgent: bool
    dropped: int
    """How many background records had found no room, ever, when this was accepted."""


@dataclass(slots=True)
class FlushCounters:
    """What the log has done since it was opened, for metrics."""

    records: int = 0
    """Records written and durable."""
    flushes: int = 0
    """Writes with one sync each."""
    failures: int = 0
    """Writes that failed."""
    rescued: int = 0
    """Urgent records that were saved when the rest of their batch was not."""
    notes_done: int = 0
    """Background records that are written, or given up as unfit."""


FitEntry = tuple[Mapping[str, Json], int | None, bool]
"""A fit entry, which of the batch's items waits for it (None for a background record), and whether it is urgent."""


class Flusher:
    """The worker's half of the log."""

    def __init__(self, appender: Appender, clock: Clock, on_alarm: Callable[[str], None], where: str) -> None:
        self.counters = FlushCounters()
        self.healthy = False
        self.owed: list[Mapping[str, Json]] = []
        self._appender = appender
        self._clock = clock
        self._on_alarm = on_alarm
        self._where = where
        self._unfit = 0
        self._drops_told = 0

    @property
    def head(self) -> ChainHead | None:
        """The last durable record."""
        head = self._appender.head
        return head if head.seq else None

    def open(self, kept: ChainHead | None) -> None:
        """Find the end of the log, and claim room for cancels. Raises `AuditError`.

        A full disk does not keep the gateway from starting: cancels are recorded in the room that was claimed before.
        """
        try:
            self._appender.open(kept)
            self.healthy = True
            self._begin()
        except OSError as error:
            raise self._refusal(error) from error

    def _begin(self) -> None:
        try:
            self._appender.begin()
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._note_failure(error)

    def serve(self, batch: Sequence[Waiting]) -> Sequence[Exception | None]:
        """Record a batch: for each item None once it is durable, or the `AuditError` for its caller."""
        answers: list[Exception | None] = [None] * len(batch)
        prepared = self._prepare(batch, answers)
        failure = self._record_all(prepared, batch[-1].dropped + self._unfit)
        if failure is not None:
            rescued = self._rescue(failure, [one for one in prepared if one[2]])
            self.owed = [entry for entry, item, _ in prepared if item is None]
            for index in range(len(batch)):
                if not (rescued and batch[index].urgent):
                    answers[index] = answers[index] or self._refusal(failure)
        return answers

    def close(self) -> None:
        """Give the files back."""
        if self.owed:
            self._on_alarm(f"{len(self.owed)} background audit records were lost: the log could not be written")
        self._appender.close()

    def _prepare(self, batch: Sequence[Waiting], answers: list[Exception | None]) -> list[FitEntry]:
        prepared: list[FitEntry] = [(entry, None, False) for entry in self.owed]
        for index, waiting in enumerate(batch):
            for note in waiting.notes:
                try:
                    prepared.append((fit(note), None, False))
                except AuditError as error:
                    self._unfit += 1
                    self.counters.notes_done += 1
                    self._on_alarm(f"a background audit record was refused: {error}")
            if waiting.entry is not None:
                try:
                    prepared.append((fit(waiting.entry), index, waiting.urgent))
                except AuditError as error:
                    answers[index] = error
        return prepared

    def _record_all(self, prepared: Sequence[FitEntry], dropped: int) -> OSError | None:
        entries = [entry for entry, _, _ in prepared]
        if dropped > self._drops_told:
            count = dropped - self._drops_told
            entries.append({"kind": "dropped", "time": self._clock.now_us(), "count": count})
        try:
            self._append(entries)
        except OSError as error:
            self._note_failure(error)
            return error
        self._drops_told = dropped
        self.counters.notes_done += sum(item is None for _, item, _ in prepared)
        self.owed = []
        if not self.healthy:
            self.healthy = True
            self._on_alarm("the audit log is being written again")
        return None

    def _rescue(self, failure: OSError, urgent: Sequence[FitEntry]) -> bool:
        """Record the urgent ones alone, at once, in the room claimed for them if the disk is full."""
        if not urgent:
            return False
        try:
            self._append([entry for entry, _, _ in urgent], urgent=failure.errno in FULL)
        except OSError as error:
            self._note_failure(error)
            return False
        self.counters.rescued += len(urgent)
        return True

    def _append(self, entries: Sequence[Mapping[str, Json]], *, urgent: bool = False) -> None:
        if entries or self._appender.notices:
            before = self._appender.head.seq
            self._appender.append(entries, urgent=urgent)
            self.counters.flushes += 1
            self.counters.records += self._appender.head.seq - before

    def _note_failure(self, error: OSError) -> None:
        self.counters.failures += 1
        if self.healthy:
            self.healthy = False
            self._appender.notices[f"records were refused: {error.strerror or error}"] = None
            self._on_alarm(str(self._refusal(error)))

    def _refusal(self, error: OSError) -> AuditError:
        hint = "free some space" if error.errno in FULL else "look at the disk and the folder's rights"
        return AuditError(f"the audit log cannot be written: {error.strerror or error}", where=self._where, hint=hint)


def leave_thread() -> None:
    """Do nothing: the thread is not ours to end."""


@final
class FileAuditLog(AuditLog):
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

    @override
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

    @override
    def note(self, entry: Mapping[str, Json]) -> None:
        if not self._opened or self._accepted - self._flusher.counters.notes_done >= self._most_notes:
            self._dropped += 1
            return
        self._accepted += 1
        self._notes.append(entry)
        if len(self._notes) >= FLUSH_NOTES:
            self._flush()
        elif self._timer is None:
            self._arm(FLUSH_S)

    @override
    def head(self) -> ChainHead | None:
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
