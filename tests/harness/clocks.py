"""A clock for what is decided at one moment. `tests.harness.virtual` has one for what waits."""

from __future__ import annotations

NOON_US = 1_795_435_200_000_000
"""12:00 UTC on 2026-11-23, in microseconds."""


class SetClock:
    """A clock that stands where the test puts it."""

    def __init__(self, us: int = NOON_US) -> None:
        self.us = us

    def now_us(self) -> int:
        """Return the wall clock, in microseconds."""
        return self.us

    def monotonic(self) -> float:
        """Return the same, in seconds."""
        return self.us / 1_000_000

    def go_on(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.us += round(seconds * 1_000_000)
