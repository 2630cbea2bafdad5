"""Makes records durable in batches, in the order in which they were taken, one flush at a time.

There are three kinds. A *begin* is all or nothing: if its flush fails it is retracted, and its caller is told. A *fact*
has happened already: if its flush fails it is owed to the log, and goes into the next one, before all that came later.
A *note* proves little: it is owed as well, but a flood of notes is dropped and counted.

A failed flush fails all that wait: a broken disk may take seconds for each try. Facts that change the book are owed
however many they are. They are not many, because no call begins meanwhile. Only cancels go out then, and their records
change nothing in the book: a flood of these is dropped and counted, too.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final

from signer.audit.chain import Appender
from signer.audit.waiting import FLUSH_NOTES, Kind, Record, Taken, WaitingRecords
from signer.contracts import Clock
from signer.errors import AuditError
from signer.home.disk_space import FULL

FLUSH_S: Final = 0.25
"""A record that nobody waits for is written within this, or with the next one that somebody waits for."""

RETRY_S: Final = 1.0
"""How soon a log that failed tries again when nobody asks it to."""

LOOK_S: Final = 1.0
"""How often those who wait are looked at, while a flush or a slice of the checkpoint may hang."""

TOO_MANY: Final = "too many records of cancels wait for the audit log, and further ones are only counted"


@dataclass(slots=True)
class FlushCounters:
    """What was done since the log was opened, for metrics."""

    records: int = 0
    """Records written and durable."""
    flushes: int = 0
    """Writes with one sync each."""
    failures: int = 0
    """Writes that failed."""
    rescued: int = 0
    """Facts that were saved with urgent ones when the rest of their batch was not."""


class FlushListener(Protocol):
    """Hears of the flushes. The journal is one."""

    def retract(self, record: Record) -> None:
        """Undo a begin that is not durable."""

    def give_up(self, record: Record) -> None:
        """Record that a call is not sent, though its begin has become durable."""

    def refused(self, error: OSError) -> Record:
        """Return the fact that records were refused, and for which reason."""

    def before_flush(self, *, is_all: bool) -> None:
        """Hear that a flush begins. ``is_all``: it takes all that was applied so far."""

    async def after_flush(self, *, is_durable: bool, is_pressing: Callable[[], bool]) -> None:
        """Hear how it ended. ``is_pressing`` tells whether another is to begin at once."""


@final
class Flushes:
    """The records on their way to the log."""

    def __init__(
        self,
        appender: Appender,
        clock: Clock,
        listener: FlushListener,
        on_alarm: Callable[[str], None],
        where: str,
        waiting: WaitingRecords,
    ) -> None:
        self.counters = FlushCounters()
        self.healthy = True
        self._appender = appender
        self._clock = clock
        self._listener = listener
        self._on_alarm = on_alarm
        self._where = where
        self._waiting = waiting
        self._is_flood_told = False
        self._in_flight: Sequence[Taken] = ()
        self._drops_told = 0
        self._on_flushed: list[asyncio.Future[None]] = []
        """Those who wait for the end of the flush under way."""
        self._flushing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def at_rest(self) -> bool:
        """Whether all that was taken is durable."""
        return not (self._waiting or self._in_flight)

    def wait_for(self, record: Record, kind: Kind, *, urgent: bool = False) -> Taken:
        """Take a record for a caller who waits for its ``done``."""
        loop = asyncio.get_running_loop()
        taken = Taken(record, kind, self._clock.monotonic(), loop.create_future(), urgent)
        if not self._waiting.add(taken):
            error = AuditError(TOO_MANY, where=self._where, hint="look at the disk")
            taken.tell(error)
            self._tell_flood(error)
        self._start()
        return taken

    def take(self, record: Record, kind: Kind, *, urgent: bool = False) -> None:
        """Take a record that nobody waits for. A note too many is counted only."""
        self._waiting.add(Taken(record, kind, self._clock.monotonic(), urgent=urgent))
        if urgent or (len(self._waiting) >= FLUSH_NOTES and self.healthy):
            self._start()
        elif self._flushing is None:
            self._arm(FLUSH_S if self.healthy else RETRY_S)

    def abandon(self, taken: Taken) -> None:
        """Hear that the caller of a begin has given up. The call counts as not sent."""
        done = taken.done
        if done is not None and done.done() and not done.cancelled() and done.exception() is None:
            self._listener.give_up(taken.record)

    async def settled(self) -> bool:
        """Wait until all that was taken so far is durable, or a flush has failed.

        Return whether all of it is durable, but for notes and for begins, which a failed flush takes back.
        """
        left, failures = [*self._in_flight, *self._waiting], self.counters.failures
        while left and self.counters.failures == failures:
            self._start()
            ended = asyncio.get_running_loop().create_future()
            self._on_flushed.append(ended)
            await ended
            owed = {id(one) for one in (*self._in_flight, *self._waiting)}
            left = [one for one in left if id(one) in owed]
        return all(one.kind == "note" for one in left)

    def started_full(self, error: OSError) -> None:
        """Begin with a log that cannot be written now, because the disk is full."""
        self._waiting.put_back(self._note_failure(error))
        self._arm(RETRY_S)

    def close(self) -> None:
        """Write nothing more, and say what is lost."""
        self._disarm()
        if self._waiting:
            self._on_alarm(f"{len(self._waiting)} records were lost: the audit log could not be written")

    def _start(self) -> asyncio.Task[None]:
        self._disarm()
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush_all())
        return self._flushing

    def _arm(self, delay_s: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._start)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _flush_all(self) -> None:
        self._watch = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        try:
            while self._waiting:
                is_durable = await self._flush(self._waiting.next_batch(healthy=self.healthy))
                await self._listener.after_flush(is_durable=is_durable, is_pressing=self._is_pressing)
                if not self._is_pressing():
                    return
        finally:
            self._watch.cancel()
            self._flushing = None
            if self._waiting:
                self._arm(FLUSH_S if self.healthy else RETRY_S)

    def _is_pressing(self) -> bool:
        """Return whether the next flush is to begin at once."""
        return self._waiting.is_pressing(healthy=self.healthy)

    async def _flush(self, batch: list[Taken]) -> bool:
        """Write a batch; whether it is durable."""
        self._in_flight = batch
        self._listener.before_flush(is_all=not self._waiting)
        try:
            await self._append(batch, drops=self._waiting.dropped - self._drops_told)
        except OSError as error:
            await self._failed(batch, error)
            return False
        except Exception as error:  # noqa: BLE001 - a defect: facts are owed to the log all the same
            await self._failed(batch, OSError(errno.EIO, f"a defect in signer ({type(error).__name__})"))
            return False
        except BaseException:  # the end of the loop: nobody may wait for ever
            self.counters.failures += 1
            for one in batch:
                one.tell(AuditError("the audit log has failed", where=self._where, hint="restart the gateway"))
            raise
        finally:
            self._in_flight = ()
            self._tell_flushed()
        self._written(batch)
        return True

    def _tell_flushed(self) -> None:
        on_flushed, self._on_flushed = self._on_flushed, []
        for ended in on_flushed:
            if not ended.done():
                ended.set_result(None)

    async def _append(self, batch: Sequence[Taken], *, urgent: bool = False, drops: int = 0) -> None:
        """Write a batch, and behind it how many notes were dropped, which is owed to no log that fails."""
        told = [self._drops(drops)] if drops else []
        records = [*(one.record for one in batch), *told]
        own = await self._appender.append(records, urgent=urgent)
        self._drops_told += drops
        self.counters.flushes += 1
        self.counters.records += len(records) + len(own)

    def _written(self, batch: Sequence[Taken]) -> None:
        self._waiting.count_off(batch)
        if not self.healthy:
            self.healthy, self._is_flood_told = True, False
            self._on_alarm("the audit log is being written again")
        now = self._clock.monotonic()
        for one in batch:
            if one.kind == "begin" and (not one.awaited or one.is_late(now)):
                self._listener.give_up(one.record)
                one.tell(self._late(one))
            else:
                one.tell()

    async def _failed(self, batch: Sequence[Taken], error: OSError) -> None:
        """Refuse all begins, those that wait too, owe the facts to the log, and try to save urgent ones at once."""
        refused, failed = self._note_failure(error), self._waiting.fail(batch)
        self._waiting.put_back(refused)
        for one in reversed([one for one in failed if one.kind == "begin"]):
            self._listener.retract(one.record)
            one.tell(self.refusal(error))
        while self._waiting.owes_urgent and await self._rescue(error):
            pass
        for one in failed:
            one.tell(self.refusal(error))

    async def _rescue(self, error: OSError) -> bool:
        """Write some of the facts that are owed, in the room claimed ahead if the disk is full. Return if they are.

        Facts before an urgent one go with it, so that the log has them in the order in which they were applied.
        """
        facts = self._in_flight = self._waiting.take_owed()
        try:
            await self._append(facts, urgent=error.errno in FULL)
        except Exception:  # noqa: BLE001 - the failure that came first was said
            self.counters.failures += 1
            self._waiting.put_back(facts)
            return False
        self._waiting.count_off(facts)
        self.counters.rescued += len(facts)
        for one in facts:
            one.tell()
        return True

    def _look(self) -> None:
        """Send those away who have waited for too long: the disk hangs."""
        now = self._clock.monotonic()
        for one in reversed(self._waiting.take_late(now)):
            self._listener.retract(one.record)
            one.tell(self._late(one))
        for one in (*self._in_flight, *self._waiting.awaited()):
            if one.is_late(now):
                one.tell(self._late(one))
        self._watch = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _tell_flood(self, error: AuditError) -> None:
        if not self._is_flood_told:
            self._is_flood_told = True
            self._on_alarm(str(error))

    def _drops(self, count: int) -> Record:
        return {"kind": "dropped", "time": self._clock.now_us(), "count": count}

    def _note_failure(self, error: OSError) -> list[Taken]:
        """Count a failure. Return the fact that says so, if it is the first one of several."""
        self.counters.failures += 1
        if not self.healthy:
            return []
        self.healthy = False
        self._on_alarm(str(self.refusal(error)))
        return [Taken(self._listener.refused(error), "fact", self._clock.monotonic())]

    def refusal(self, error: OSError) -> AuditError:
        """Return the error for callers whose records are not durable."""
        hint = "free some space" if error.errno in FULL else "look at the disk and the folder's rights"
        return AuditError(f"the audit log cannot be written: {error.strerror or error}", where=self._where, hint=hint)

    def _late(self, one: Taken) -> AuditError:
        what = f"the audit log did not take a record within {one.patience_s:g} s"
        return AuditError(what, where=self._where, hint="look at the disk")
