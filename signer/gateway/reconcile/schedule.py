"""When each unknown outcome is looked up again: soon at first, then ever more seldom, each by itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import final

from signer.contracts import Clock

FIRST_S = 15.0
LONGEST_S = 3600.0
UNREAD_S = 30.0
"""When again, if the lists could not be read."""


@dataclass(slots=True)
class Tries:
    """What was done about one unknown outcome so far."""

    number: int = 0
    next_at: float = 0.0
    missed_at: float | None = None
    """When its orders were first missed on lists that leave no doubt."""
    why: str = ""
    """Why it is still unknown."""


@final
class Schedule:
    """The waits, keyed by reservation. They are kept in memory: after a restart each outcome is looked up at once."""

    def __init__(self, clock: Clock, gone_after_s: float) -> None:
        self._clock = clock
        self._gone_after_s = gone_after_s
        self._tries: dict[int, Tries] = {}

    def is_due(self, reservation: int) -> bool:
        """Whether it is its turn."""
        return self._clock.monotonic() >= self.tries(reservation).next_at

    def is_gone(self, reservation: int, asked_at: float, doubt: str) -> bool:
        """Note that lists which were asked for at ``asked_at`` lack some of its orders; whether these will not appear
        any more. With a ``doubt`` they may be there all the same."""
        if doubt:
            return False
        tries = self._tries.setdefault(reservation, Tries())
        if tries.missed_at is None:
            tries.missed_at = self._clock.monotonic()
        return asked_at - tries.missed_at >= self._gone_after_s

    def again(self, reservation: int, why: str, *, unread: bool = False) -> None:
        """Wait twice as long as before for an outcome that is still unknown, but not past the moment of giving it up.

        If the lists were ``unread``, nothing was learned, and the wait is short.
        """
        tries, now = self._tries.setdefault(reservation, Tries()), self._clock.monotonic()
        wait_s = UNREAD_S if unread else min(FIRST_S * 2 ** min(tries.number, 20), LONGEST_S)
        if tries.missed_at is not None:
            wait_s = min(wait_s, max(FIRST_S, tries.missed_at + self._gone_after_s - now))
        tries.number += 0 if unread else 1
        tries.next_at, tries.why = now + wait_s, why

    def tries(self, reservation: int) -> Tries:
        """What was done about it."""
        return self._tries.get(reservation) or Tries()

    def keep_only(self, reservations: Collection[int]) -> None:
        """Forget all others."""
        self._tries = {number: tries for number, tries in self._tries.items() if number in reservations}
