"""The journal: `contracts.Journal` over the segments of a folder, with the book in memory and a checkpoint beside.

A record is applied to the book when it is taken. So nobody else can spend what a begin holds, and a change may follow
its order at once. The log gets the records in the order in which they were applied (`signer.audit.flushes`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from signer.audit.behind import WrittenBehind
from signer.audit.braked import OLDEST_S, Braked
from signer.audit.chain import Appender, fit
from signer.audit.disk import Disk
from signer.audit.flushes import FlushCounters, Flushes
from signer.audit.record_clock import RecordClock
from signer.audit.replaying import VERIFY, replay
from signer.audit.segment_writer import ROOM_BYTES, SEGMENT_BYTES
from signer.audit.waiting import MOST_CANCELS, MOST_NOTES, Record, WaitingRecords
from signer.book.book import Book
from signer.book.questions import BookQuestions
from signer.contracts import Checkpoint, Clock, Journal, Worker
from signer.errors import AuditError, Halted, NotServed
from signer.home.disk_space import FULL
from signer.model import ChainHead, Halt, Intent, Json, Order
from signer.model.halts import halt_for

CLOCK_DOUBTED: Final = "the gateway's clock may be wrong, and nobody has confirmed it yet; nothing was sent"

ENDS: Final = frozenset({"outcome", "reconciled"})


def leave_thread() -> None:
    """Do nothing: the thread is not ours to end."""


@final
class FileJournal(BookQuestions, Journal):
    """All that must be durable, in the segments of one folder.

    Entries are taken as they are and must not be changed afterwards. ``on_alarm`` is called on the worker's thread or
    the event loop, once when the log fails and once when it works again.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        worker: Worker,
        disk: Disk,
        checkpoint: Checkpoint,
        on_alarm: Callable[[str], None],
        on_closed: Callable[[], None] = leave_thread,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        room_bytes: int = ROOM_BYTES,
        most_notes: int = MOST_NOTES,
        most_cancels: int = MOST_CANCELS,
        checkpoint_every: int = WrittenBehind.EVERY,
    ) -> None:
        super().__init__(Book(), checkpoint, self.now_us)
        self.braked = Braked(clock)
        self._folder = folder
        self._clock = clock
        self._worker = worker
        self._disk = disk
        self._checkpoint = checkpoint
        self._on_alarm = on_alarm
        self._on_closed = on_closed
        self._appender = Appender(folder, clock, worker, disk, segment_bytes, room_bytes)
        self._behind = WrittenBehind(checkpoint, worker, on_alarm, checkpoint_every)
        self._waiting = WaitingRecords(most_notes, most_cancels)
        self._flushes = Flushes(self._appender, clock, self, on_alarm, str(folder), self._waiting)
        self._time = RecordClock(clock)
        self._movers: list[asyncio.Future[None]] = []
        self._opened = False

    async def open(self, kept: ChainHead | None = None) -> None:
        """Continue the log where it ends, repaired if a crash tore its end, and load its book.

        ``kept`` is the head that the marks know. Raises `AuditError` if the log cannot be written, if another process
        writes it, or if it ends in what no crash leaves.
        """
        try:
            await self._appender.lock()
            replayed = await self._worker.run(lambda: replay(self._disk, self._folder, self._checkpoint, kept))
            self._book = replayed.book
            last = max(filter(None, (kept, replayed.known)), key=_seq_of, default=None)
            cut = [f"{what}; {VERIFY}" for what in await self._appender.open(last, self._book.log)]
            self._appender.notices |= replayed.told()
            for alarm in (*replayed.told(), *cut, *replayed.warnings()):
                self._on_alarm(alarm)
            self._behind.replayed(self._book, replayed)
            self._time.start(self._book.now_us)
            await self._begin()
            self._book.log = self._appender.log
        except BaseException as error:
            await self._appender.close()
            if isinstance(error, OSError):
                raise self._flushes.refusal(error) from error
            raise
        self._opened = True
        if not all(call.unknown for call in self._book.calls.values()):
            self.conclude({"kind": "opened", "time": self._clock.now_us(), "at": self.now_us()})

    async def close(self) -> None:
        """Write what waits and the checkpoint, give the files back, and call ``on_closed``."""
        if self._opened:
            failures = self.counters.failures
            while not self._flushes.at_rest and self.counters.failures == failures:
                await self._flushes.settled()
            self._opened = False
            if self._flushes.at_rest:
                await self._behind.finish(self._book, self._appender.head)
            self._flushes.close()
            await self._appender.close()
            await self._worker.run(self._checkpoint.close)
        self._on_closed()

    @override
    def now_us(self) -> int:
        passed_us = int((self._clock.monotonic() - self._time.base_s) * 1_000_000)
        return max(self._book.now_us, self._time.base_us + passed_us)

    @override
    async def begin(self, intent: Intent, entry: Mapping[str, Json]) -> int:
        self._require_open()
        halt, now_us = self.halted(intent.client, intent.account, intent.orders), self.now_us()
        if halt is not None:
            raise Halted.because(halt.reason, cancel_only=halt.cancel_only)
        if self._time.ahead_us:
            raise NotServed.unavailable(CLOCK_DOUBTED)
        self._book.fit(intent, now_us)
        number = self._book.last + 1
        record = fit({**entry, "reservation": number, "at": now_us})
        self._book.apply(record)
        if self._book.last != number:  # a defect: the book holds nothing of it
            raise AuditError("the book cannot read the call that is to begin", where=str(self._folder))
        taken = self._flushes.wait_for(record, "begin")
        try:
            await taken.wait()
        except asyncio.CancelledError:
            self._flushes.abandon(taken)
            raise
        return number

    @override
    def conclude(self, entry: Mapping[str, Json], *, urgent: bool = False) -> None:
        self._require_open()
        record = fit(entry)
        self._apply(record)
        self._flushes.take(record, "fact", urgent=urgent)

    @override
    async def record(self, entry: Mapping[str, Json], *, urgent: bool = False) -> None:
        self._require_open()
        record = fit(entry)
        self._apply(record)
        await self._flushes.wait_for(record, "fact", urgent=urgent).wait()

    @override
    def note(self, entry: Mapping[str, Json]) -> None:
        if not self._opened:
            self._waiting.dropped += 1
            return
        try:
            self._flushes.take(fit(entry), "note")
        except AuditError as error:
            self._waiting.dropped += 1
            self._on_alarm(f"a background record was refused: {error}")

    @override
    async def moved(self) -> None:
        mover = asyncio.get_running_loop().create_future()
        self._movers.append(mover)
        try:
            await mover
        finally:
            if mover in self._movers:
                self._movers.remove(mover)

    @override
    async def settled(self) -> bool:
        return await self._flushes.settled()

    @override
    def head(self) -> ChainHead | None:
        return self._appender.head if self._appender.head.seq else None

    @override
    def has_own_name(self, account: str, name: str) -> bool:
        return self._book.has_own_name(account, name)

    @property
    @override
    def healthy(self) -> bool:
        return self._opened and self._flushes.healthy

    @override
    def halted(self, client: str, account: str, orders: Sequence[Order] = ()) -> Halt | None:
        braked = self.braked
        if self._clock.monotonic() - braked.looked_at > OLDEST_S:  # a process that was stopped looks before it sends
            braked.look_if_older(OLDEST_S)
        halt = halt_for(braked.halts, client, account) if braked.halts else None
        return halt or self._book.halted(client, account, orders)

    @property
    @override
    def clock_ahead_us(self) -> int:
        return self._time.ahead_us

    @override
    def trust_clock(self) -> None:
        self._time.trust()

    @property
    def counters(self) -> FlushCounters:
        """What was done since `open`, for metrics."""
        return self._flushes.counters

    @property
    def dropped(self) -> int:
        """How many notes and records of cancels found no room since `open`."""
        return self._waiting.dropped

    @override
    def digest_at_rest(self) -> tuple[int, str] | None:
        return (self._appender.head.seq, self._book.digest()) if self._flushes.at_rest else None

    def retract(self, record: Record) -> None:
        """Undo a begin that is not durable (`signer.audit.flushes.FlushListener`)."""
        self._book.retract(str(record["id"]))
        self._tell_movers()

    def give_up(self, record: Record) -> None:
        """Record that a call is not sent, though its begin has become durable."""
        entry: dict[str, Json] = {"kind": "outcome", "time": self._clock.now_us(), "at": self.now_us()}
        entry |= {name: record[name] for name in ("id", "client", "account", "source", "endpoint") if name in record}
        self.conclude(entry | {"outcome": "not-sent", "venue_ids": []})

    def refused(self, error: OSError) -> Record:
        """Return the fact that records were refused, and for which reason."""
        text = f"records were refused: {error.strerror or error}"
        return {"kind": "recovered", "time": self._clock.now_us(), "text": text}

    def before_flush(self, *, is_all: bool) -> None:
        """Take what a checkpoint is to store, while the book is that of the flush's last record."""
        if is_all and self._appender.head.seq >= self._behind.due_seq:
            self._behind.take(self._book)

    async def after_flush(self, *, is_durable: bool, is_pressing: Callable[[], bool]) -> None:
        """Store the checkpoint that became due, or slices of it."""
        self._book.log = self._appender.log
        if self._behind.busy:
            await self._behind.after_flush(
                self._book, self._appender.head, is_durable=is_durable, is_pressing=is_pressing
            )

    def _apply(self, record: Record) -> None:
        self._book.apply(record)
        if record.get("kind") in ENDS:
            self._tell_movers()

    def _tell_movers(self) -> None:
        movers, self._movers = self._movers, []
        for mover in movers:
            if not mover.done():
                mover.set_result(None)

    async def _begin(self) -> None:
        """Record what the opening found. A full disk does not keep the gateway from starting: cancels have room."""
        try:
            await self._appender.begin()
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._flushes.started_full(error)

    def _require_open(self) -> None:
        if not self._opened:
            raise AuditError("the audit log is not open", where=str(self._folder))


def _seq_of(head: ChainHead) -> int:
    return head.seq
