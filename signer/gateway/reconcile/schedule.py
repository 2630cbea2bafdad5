"""Schedules the look-ups of each unknown outcome: soon at first, then with growing waits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import final

from signer.contracts import Clock

FIRST_S = 15.0
LONGEST_S = 3600.0
UNREAD_S = 30.0
"""The wait if the lists could not be read."""


@dataclass(slots=True)
class Tries:
    """The look-ups of one unknown outcome so far."""

    number: int = 0
    next_at: float = 0.0
    missed_at: float | None = None
    """When complete lists first lacked its orders, in monotonic seconds."""
    why: str = ""
    """Why it is still unknown."""


@final
class Schedule:
    """Keeps the waits by reservation, in memory. After a restart each outcome is looked up at once."""

    def __init__(self, clock: Clock, gone_after_s: float) -> None:
        self._clock = clock
        self._gone_after_s = gone_after_s
        self._tries: dict[int, Tries] = {}

    def is_due(self, reservation: int) -> bool:
        """Return whether a look-up of it is due."""
        return self._clock.monotonic() >= self.tries(reservation).next_at

    def is_gone(self, reservation: int, asked_at: float, doubt: str) -> bool:
        """Note that lists of ``asked_at`` lack some of its orders. Return whether these orders were never placed.

        A ``doubt`` says why the orders may still exist, so the answer is then False.
        """
        if doubt:
            return False
        tries = self._tries.setdefault(reservation, Tries())
        if tries.missed_at is None:
            tries.missed_at = self._clock.monotonic()
        return asked_at - tries.missed_at >= self._gone_after_s

    def again(self, reservation: int, why: str, *, unread: bool = False) -> None:
        """Schedule the next look-up of an outcome that is still unknown, after twice the last wait.

        The look-up is no later than the moment when missing orders count as never placed. The wait is short if the
        lists were ``unread``.
        """
        tries, now = self._tries.setdefault(reservation, Tries()), self._clock.monotonic()
        wait_s = UNREAD_S if unread else min(FIRST_S * 2 ** min(tries.number, 20), LONGEST_S)
        if tries.missed_at is not None:
            wait_s = min(wait_s, max(FIRST_S, tries.missed_at + self._gone_after_s - now))
        tries.number += 0 if unread else 1
        tries.next_at, tries.why = now + wait_s, why

    def tries(self, reservation: int) -> Tries:
        """Return the look-ups of it so far."""
        return self._tries.get(reservation) or Tries()

    def keep_only(self, reservations: Collection[int]) -> None:
        """Forget all other reservations."""
        self._tries = {number: tries for number, tries in self._tries.items() if number in reservations}
