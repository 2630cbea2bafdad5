"""Keeps denials and failed logins from filling the log, without losing their number.

An attacker (or a broken bot) can be refused thousands of times a second. The first few of each source are recorded in
full, the rest are counted, and the counts are recorded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, final

from signer.model import Json

IN_FULL: Final = 20
"""Recorded in full for each source, kind and client in each window."""

WINDOW_US: Final = 60_000_000

MOST_SOURCES: Final = 1024
"""Sources remembered; the one not heard of for longest makes room, and its count goes to ``OTHERS``."""

OTHERS: Final = "(others)"


class _Key(NamedTuple):
    source: str
    kind: str
    client: str


@dataclass(slots=True)
class _Tally:
    since_us: int
    admitted: int = 0
    counted: int = 0


@final
class Throttle:
    """Decides which refusals are recorded in full. Call `summaries` every minute and before closing the log."""

    def __init__(self, *, in_full: int = IN_FULL, most_sources: int = MOST_SOURCES) -> None:
        self._in_full = in_full
        self._most_sources = most_sources
        self._tallies: OrderedDict[_Key, _Tally] = OrderedDict()
        self._others: dict[str, int] = {}

    def admit(self, source: str, kind: str, now_us: int, client: str = "") -> bool:
        """Whether to record this one in full; if not, it has been counted."""
        key = _Key(source, kind, client)
        tally = self._tallies.setdefault(key, _Tally(now_us))
        self._tallies.move_to_end(key)
        if not 0 <= now_us - tally.since_us < WINDOW_US:  # below zero if the clock was set back
            tally.since_us, tally.admitted = now_us, 0
        if tally.admitted < self._in_full:
            tally.admitted += 1
            self._forget_oldest()
            return True
        tally.counted += 1
        return False

    def summaries(self, now_us: int) -> Sequence[dict[str, Json]]:
        """An entry for each source with what was counted since the last call; the counts start anew."""
        entries = [_entry(key, tally.counted, now_us) for key, tally in self._tallies.items() if tally.counted]
        entries += [_entry(_Key(OTHERS, kind, ""), count, now_us) for kind, count in self._others.items()]
        for tally in self._tallies.values():
            tally.counted = 0
        self._others.clear()
        return entries

    def _forget_oldest(self) -> None:
        if len(self._tallies) > self._most_sources:
            key, tally = self._tallies.popitem(last=False)
            if tally.counted:
                self._others[key.kind] = self._others.get(key.kind, 0) + tally.counted


def _entry(key: _Key, count: int, now_us: int) -> dict[str, Json]:
    return {
        "kind": "throttled",
        "time": now_us,
        "throttled": key.kind,
        "source": key.source,
        "client": key.client,
        "count": count,
    }
