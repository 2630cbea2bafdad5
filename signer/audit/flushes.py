"""Makes records durable in batches, in the order in which they were taken, one flush at a time.

There are three kinds. A *begin* is all or nothing: if its flush fails it is retracted, and its caller is told. A *fact*
has happened already: if its flush fails it is owed to the log, and goes into the next one, before all that came later.
A *note* proves little: it is owed as well, but a flood of notes is dropped and counted.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias, final

from signer.audit.chain import Appender
from signer.contracts import Clock
from signer.errors import AuditError
from signer.home.disk_space import FULL
from signer.model import Json

Kind: TypeAlias = Literal["begin", "fact", "note"]
Record: TypeAlias = Mapping[str, Json]

FLUSH_S: Final = 0.25
"""A record that nobody waits for is written within this, or with the next one that somebody waits for."""

RETRY_S: Final = 1.0
"""How soon a log that failed tries again when nobody asks it to."""

LATE_S: Final = 5.0
"""A begin that is not durable within this is given up, and its call is not sent. Nobody waits longer for a fact."""

URGENT_S: Final = 1.0
"""Nobody waits longer for an urgent fact: a cancel goes out without it."""

LOOK_S: Final = 1.0
"""How often those who wait are looked at, while a flush or a slice of the checkpoint may hang."""

FLUSH_NOTES: Final = 128
"""The number of waiting records at which they are written though nobody waits."""

MOST_NOTES: Final = 8192
"""The most notes that wait to be written; more are dropped, and their number recorded."""

AT_ONCE: Final = 256
"""The most records of one flush."""


@dataclass(slots=True, eq=False)
class Taken:
    """A record that was taken, until it is durable."""

    record: Record
    kind: Kind
    at: float
    """The event loop's time."""
    done: asyncio.Future[None] | None = None
    """Tells the caller who waits, if one does."""
    urgent: bool = False

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for it."""
        return self.done is not None and not self.done.done()

    async def wait(self) -> None:
        """Wait until it is durable. Raises `AuditError` if it is not."""
        assert self.done is not None  # noqa: S101 - made for a caller who waits
        await self.done

    def tell(self, error: AuditError | None = None) -> None:
        """Tell the caller that it is durable, or why not."""
        if self.done is None or self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


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
        most_notes: int = MOST_NOTES,
    ) -> None:
        self.counters = FlushCounters()
        self.healthy = True
        self.dropped = 0
        """How many notes found no room, ever."""
        self._appender = appender
        self._clock = clock
        self._listener = listener
        self._on_alarm = on_alarm
        self._where = where
        self._most_notes = most_notes
        self._waiting: list[Taken] = []
        self._notes = 0
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
        self._waiting.append(taken)
        self._start()
        return taken

    def take(self, record: Record, kind: Kind, *, urgent: bool = False) -> None:
        """Take a record that nobody waits for. A note too many is counted only."""
        if kind == "note":
            if self._notes >= self._most_notes:
                self.dropped += 1
                return
            self._notes += 1
        self._waiting.append(Taken(record, kind, self._clock.monotonic(), urgent=urgent))
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
        self._waiting[:0] = self._note_failure(error)
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
                is_durable = await self._flush(self._next_batch())
                await self._listener.after_flush(is_durable=is_durable, is_pressing=self._is_pressing)
                if not self._is_pressing():
                    return
        finally:
            self._watch.cancel()
            self._flushing = None
            if self._waiting:
                self._arm(FLUSH_S if self.healthy else RETRY_S)

    def _next_batch(self) -> list[Taken]:
        """Take the records to write now. A log that has failed tries the notes last: many may wait for it."""
        pressing = [] if self.healthy else [one for one in self._waiting if one.kind != "note"]
        if pressing:
            self._waiting = [one for one in self._waiting if one.kind == "note"]
            return pressing
        batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
        return batch

    def _is_pressing(self) -> bool:
        """Return whether the next flush is to begin at once."""
        if any(one.awaited for one in self._waiting):
            return True
        # A log that has failed tries again after a pause, whatever is owed to it.
        return self.healthy and (len(self._waiting) >= FLUSH_NOTES or any(one.urgent for one in self._waiting))

    async def _flush(self, batch: list[Taken]) -> bool:
        """Write a batch; whether it is durable."""
        self._in_flight = batch
        self._listener.before_flush(is_all=not self._waiting)
        try:
            await self._append(batch, drops=self.dropped - self._drops_told)
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
        self._notes -= sum(one.kind == "note" for one in batch)
        if not self.healthy:
            self.healthy = True
            self._on_alarm("the audit log is being written again")
        for one in batch:
            if one.kind == "begin" and (not one.awaited or _is_late(one, self._clock)):
                self._listener.give_up(one.record)
                one.tell(self._late(one))
            else:
                one.tell()

    async def _failed(self, batch: Sequence[Taken], error: OSError) -> None:
        """Retract the begins of a batch, owe the rest to the log, and try to save urgent facts at once."""
        refused = self._note_failure(error)
        for one in reversed(batch):
            if one.kind == "begin":
                self._listener.retract(one.record)
        left = [one for one in batch if one.kind != "begin"]
        if any(one.urgent for one in left):
            left = await self._rescue(left, error)
        self._waiting[:0] = [*refused, *left]
        for one in batch:
            if one.kind == "begin" or one in left:
                one.tell(self.refusal(error))

    async def _rescue(self, left: list[Taken], error: OSError) -> list[Taken]:
        """Write the facts of a failed batch, in the room claimed ahead if the disk is full. Return what is still owed.

        Facts before an urgent one go with it, so that the log has them in the order in which they were applied.
        """
        facts = [one for one in left if one.kind == "fact"]
        try:
            await self._append(facts, urgent=error.errno in FULL)
        except Exception:  # noqa: BLE001 - the failure that came first was said
            self.counters.failures += 1
            return left
        self.counters.rescued += len(facts)
        for one in facts:
            one.tell()
        return [one for one in left if one.kind == "note"]

    def _look(self) -> None:
        """Send those away who have waited for too long: the disk hangs."""
        for one in reversed([one for one in self._waiting if one.kind == "begin" and _is_late(one, self._clock)]):
            self._waiting.remove(one)
            self._listener.retract(one.record)
            one.tell(self._late(one))
        for one in (*self._in_flight, *self._waiting):
            if one.awaited and _is_late(one, self._clock):
                one.tell(self._late(one))
        self._watch = asyncio.get_running_loop().call_later(LOOK_S, self._look)

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
        what = f"the audit log did not take a record within {_patience_s(one):g} s"
        return AuditError(what, where=self._where, hint="look at the disk")


def _is_late(one: Taken, clock: Clock) -> bool:
    return clock.monotonic() - one.at >= _patience_s(one)


def _patience_s(one: Taken) -> float:
    return URGENT_S if one.urgent else LATE_S
