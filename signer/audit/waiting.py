"""The records that wait to be written: their callers, in which order they go, and which are too many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from operator import attrgetter
from typing import Final, Literal, TypeAlias, final

from signer.errors import AuditError
from signer.model import Json

Kind: TypeAlias = Literal["begin", "fact", "note"]
Record: TypeAlias = Mapping[str, Json]

FLUSH_NOTES: Final = 128
"""The number of waiting records at which they are written though nobody waits."""

MOST_NOTES: Final = 8192
"""The most notes that wait to be written; more are dropped, and their number recorded."""

MOST_CANCELS: Final = 16_384
"""The most records of calls that hold nothing, as cancels, that wait to be written; more are dropped likewise."""

AT_ONCE: Final = 256
"""The most records of one flush."""

LATE_S: Final = 5.0
"""A begin that is not durable within this is given up, and its call is not sent. Nobody waits longer for a fact."""

URGENT_S: Final = 1.0
"""Nobody waits longer for an urgent fact: a cancel goes out without it."""


@dataclass(slots=True, eq=False)
class Taken:
    """A record that was taken, until it is durable."""

    record: Record
    kind: Kind
    at: float
    """The monotonic time in seconds."""
    done: asyncio.Future[None] | None = None
    """Tells the caller who waits, if one does."""
    urgent: bool = False
    number: int = 0
    """The place among all that were taken, counted from 1."""

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for it."""
        return self.done is not None and not self.done.done()

    @property
    def holds_nothing(self) -> bool:
        """Whether it is of a call that holds nothing, as a cancel: the book is the same without it."""
        kind, record = self.record.get("kind"), self.record
        return (kind == "intent" and "reservation" not in record) or (kind == "outcome" and "at" not in record)

    @property
    def patience_s(self) -> float:
        """How long its caller waits, in seconds."""
        return URGENT_S if self.urgent else LATE_S

    def is_late(self, now: float) -> bool:
        """Return whether its caller has waited for too long at that monotonic time."""
        return now - self.at >= self.patience_s

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


@final
class WaitingRecords:
    """The records that wait. Facts and begins go in the order in which they were taken, and before too many notes.

    Whatever is owed, each step walks only the records of one flush and those that were taken since.
    """

    def __init__(self, most_notes: int = MOST_NOTES, most_cancels: int = MOST_CANCELS) -> None:
        self.dropped = 0
        """How many records found no room, ever."""
        self._most = {"note": most_notes, "cancel": most_cancels}
        self._undurable = {"note": 0, "cancel": 0}
        """How many were added that are not durable."""
        self._owed: deque[Taken] = deque()
        """The facts that a failed flush should have written. Nobody waits for them any more."""
        self._owed_urgent = 0
        self._facts: deque[Taken] = deque()
        """Begins and facts that came later."""
        self._notes: deque[Taken] = deque()
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._owed) + len(self._facts) + len(self._notes)

    def __iter__(self) -> Iterator[Taken]:
        return chain(self._owed, self._facts, self._notes)

    @property
    def owes_urgent(self) -> bool:
        """Whether an urgent fact is among those that are owed."""
        return self._owed_urgent > 0

    def add(self, taken: Taken) -> bool:
        """Have a record wait. Return False, and count it, if too many like it wait already."""
        bound = _bound_of(taken)
        if bound:
            if self._undurable[bound] >= self._most[bound]:
                self.dropped += 1
                return False
            self._undurable[bound] += 1
        taken.number = next(self._numbers)
        (self._notes if taken.kind == "note" else self._facts).append(taken)
        return True

    def next_batch(self, *, healthy: bool) -> list[Taken]:
        """Take the records to write now. A log that has failed tries the notes last: they are worth the least."""
        batch = self.take_owed()
        batch += _first(self._facts, AT_ONCE - len(batch))
        if self._notes and (healthy or not batch):
            batch += _first(self._notes, AT_ONCE - len(batch))
            batch.sort(key=attrgetter("number"))
        return batch

    def take_owed(self) -> list[Taken]:
        """Take facts that are owed, the oldest ones, as many as one flush has."""
        owed = _first(self._owed, AT_ONCE)
        self._owed_urgent -= sum(one.urgent for one in owed)
        return owed

    def fail(self, batch: Sequence[Taken]) -> Sequence[Taken]:
        """Hear that a batch was not written. Return its begins and facts, and those that wait; the facts are owed."""
        self._notes.extendleft(reversed([one for one in batch if one.kind == "note"]))
        failed = [one for one in batch if one.kind != "note"]
        self.put_back([one for one in failed if one.kind == "fact"])
        later = [one for one in self._facts if one.kind == "fact"]
        self._owed.extend(later)
        self._owed_urgent += sum(one.urgent for one in later)
        failed += self._facts
        self._facts.clear()
        return failed

    def put_back(self, facts: Sequence[Taken]) -> None:
        """Have facts be owed, before all others."""
        self._owed.extendleft(reversed(facts))
        self._owed_urgent += sum(one.urgent for one in facts)

    def take_late(self, now: float) -> Sequence[Taken]:
        """Take the begins whose callers have waited for too long at that monotonic time."""
        late = [one for one in self._facts if one.kind == "begin" and one.is_late(now)]
        if late:
            self._facts = deque(one for one in self._facts if not (one.kind == "begin" and one.is_late(now)))
        return late

    def awaited(self) -> Sequence[Taken]:
        """Return those whose callers wait."""
        return [one for one in self._facts if one.awaited]

    def count_off(self, durable: Iterable[Taken]) -> None:
        """Hear which records are durable."""
        for one in durable:
            bound = _bound_of(one)
            if bound:
                self._undurable[bound] -= 1

    def is_pressing(self, *, healthy: bool) -> bool:
        """Return whether they are to be written at once."""
        if self.awaited():
            return True
        # A log that has failed tries again after a pause, whatever is owed to it.
        is_due = bool(self._owed) or len(self) >= FLUSH_NOTES or any(one.urgent for one in self._facts)
        return healthy and is_due


def _bound_of(taken: Taken) -> str:
    """Return by which bound a record may be too many; empty if by none."""
    if taken.kind == "fact" and taken.holds_nothing:
        return "cancel"
    return "note" if taken.kind == "note" else ""


def _first(records: deque[Taken], limit: int) -> list[Taken]:
    return [records.popleft() for _ in range(min(limit, len(records)))]
