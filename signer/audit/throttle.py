"""Keeps records that prove nothing from filling the log, without losing their number.

An attacker (or a broken bot) can be refused thousands of times a second, and a client can ask as often what only we
answer. The first few of each are recorded in full, within a budget for all together; the rest are counted, and the
counts are recorded. What was sent to the exchange never comes here: that is always recorded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, final

from typing_extensions import override

from signer.contracts import Throttle
from signer.model import Json
from signer.model.one_source import one_source

IN_FULL: Final = 20
"""Recorded in full for each source, kind and client in each window."""

BYTES_IN_FULL: Final = 64 * 1024
"""Bytes of these records, for each in each window: so that one cannot use up what all together may have in a day."""

WINDOW_US: Final = 60_000_000
DAY_US: Final = 86_400_000_000

BURST_S: Final = 10
"""Seconds' worth of records that may come at once."""

MOST_SOURCES: Final = 1024
"""Sources remembered; the one not heard of for longest makes room, and its count goes to ``OTHERS``."""

MOST_SUMMARIES: Final = 64
"""Counts recorded apart at a time, the largest ones; the rest go to ``OTHERS``."""

OTHERS: Final = "(others)"

REFUSED: Final = "denied"
"""The kind of what a client was refused: with a client's name it has a budget apart from what proves nothing at all."""


class _Key(NamedTuple):
    source: str
    kind: str
    client: str


@dataclass(slots=True)
class _Tally:
    since_us: int
    source: str
    """Where the last one came from."""
    admitted: int = 0
    admitted_bytes: int = 0
    counted: int = 0


class _Budget:
    """A bound of records a second, and of bytes a day (UTC)."""

    def __init__(self, per_second: float, bytes_a_day: int) -> None:
        self._per_second = per_second
        self._bytes_a_day = bytes_a_day
        self._tokens = per_second * BURST_S
        self._at_us = self._day = self._spent = 0

    def take(self, size: int, now_us: int) -> bool:
        """Tell whether a record of ``size`` bytes is within it; one that is not costs nothing."""
        passed_us = max(0, now_us - self._at_us)  # below zero if the clock was set back
        self._tokens = min(self._per_second * BURST_S, self._tokens + passed_us * self._per_second / 1_000_000)
        self._at_us = now_us
        if now_us // DAY_US != self._day:
            self._day, self._spent = now_us // DAY_US, 0
        if self._tokens < 1 or self._spent + size > self._bytes_a_day:
            return False
        self._tokens -= 1
        self._spent += size
        return True


@final
class RecordThrottle(Throttle):
    """Decides which of such records are written. Call `summaries` every minute and before closing the log.

    What proves nothing (a stranger's failure, an answer of our own) has ``per_second`` and ``bytes_a_day`` in all. The
    refusals of clients that proved who they are have as much again, so that no stranger keeps them out of the log.
    """

    def __init__(
        self,
        *,
        in_full: int = IN_FULL,
        most_sources: int = MOST_SOURCES,
        per_second: float = 10,
        bytes_a_day: int = 1 << 30,
    ) -> None:
        self._in_full = in_full
        self._most_sources = most_sources
        self._idle = _Budget(per_second, bytes_a_day)
        self._refusals = _Budget(per_second, bytes_a_day)
        self._tallies: OrderedDict[_Key, _Tally] = OrderedDict()
        self._others: dict[str, int] = {}

    @override
    def admit(self, source: str, kind: str, now_us: int, client: str = "", size: int = 1024) -> bool:
        # A client is one, wherever it calls from: with a network of addresses it would have a share for each of them.
        key = _Key("" if client else one_source(source), kind, client)
        tally = self._tallies.setdefault(key, _Tally(now_us, source))
        tally.source = key.source or source
        self._tallies.move_to_end(key)
        self._forget_oldest()
        if not 0 <= now_us - tally.since_us < WINDOW_US:  # below zero if the clock was set back
            tally.since_us, tally.admitted, tally.admitted_bytes = now_us, 0, 0
        within = tally.admitted < self._in_full and tally.admitted_bytes + size <= BYTES_IN_FULL
        budget = self._refusals if client and kind == REFUSED else self._idle
        if within and budget.take(size, now_us):
            tally.admitted += 1
            tally.admitted_bytes += size
            return True
        tally.counted += 1
        return False

    def summaries(self, now_us: int) -> Sequence[dict[str, Json]]:
        """Return entries with what was counted since the last call, for each of the busiest; the counts start anew."""
        busiest = sorted(
            (item for item in self._tallies.items() if item[1].counted), key=lambda item: item[1].counted, reverse=True
        )
        entries = [_entry(key, tally.source, tally.counted, now_us) for key, tally in busiest[:MOST_SUMMARIES]]
        for key, tally in busiest[MOST_SUMMARIES:]:
            self._add_to_others(key, tally)
        entries += [_entry(_Key("", kind, ""), OTHERS, count, now_us) for kind, count in self._others.items()]
        for tally in self._tallies.values():
            tally.counted = 0
        self._others.clear()
        return entries

    def _forget_oldest(self) -> None:
        if len(self._tallies) > self._most_sources:
            self._add_to_others(*self._tallies.popitem(last=False))

    def _add_to_others(self, key: _Key, tally: _Tally) -> None:
        if tally.counted:
            self._others[key.kind] = self._others.get(key.kind, 0) + tally.counted


def _entry(key: _Key, source: str, count: int, now_us: int) -> dict[str, Json]:
    return {
        "kind": "throttled",
        "time": now_us,
        "throttled": key.kind,
        "source": source,
        "client": key.client,
        "count": count,
    }
