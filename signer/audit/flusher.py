"""Makes each batch of waiting records durable: one write and one sync, and what happens when that fails.

Runs on one worker's thread. Background records that could not be written are owed: they go first in the next batch
(after the urgent ones, if the disk was full).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from signer.audit.appender import Appender
from signer.audit.chain import fit
from signer.contracts import Clock
from signer.errors import AuditError
from signer.model import ChainHead, Json
from signer.offload.room import FULL


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


Prepared = tuple[dict[str, Json], int | None, bool]
"""A fit entry, which of the batch's items waits for it (None for a background record), and whether it is urgent."""


class Flusher:
    """The worker's half of the log."""

    def __init__(self, appender: Appender, clock: Clock, on_alarm: Callable[[str], None], where: str) -> None:
        self.counters = FlushCounters()
        self.healthy = False
        self.owed: list[dict[str, Json]] = []
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

    def _prepare(self, batch: Sequence[Waiting], answers: list[Exception | None]) -> list[Prepared]:
        prepared: list[Prepared] = [(entry, None, False) for entry in self.owed]
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

    def _record_all(self, prepared: Sequence[Prepared], dropped: int) -> OSError | None:
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

    def _rescue(self, failure: OSError, urgent: Sequence[Prepared]) -> bool:
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
