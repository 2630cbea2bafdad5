"""The time by which charges are dated: the last record's, moved on by the monotonic clock.

So a clock that is set while the gateway runs moves no cap. At a start the machine's clock is believed if it is not far
ahead of the last record. If it is, the venue's clock must agree, or a person: charges that are dated years ahead by
mistake would count for years.
"""

from __future__ import annotations

from typing import Final, final

from signer.contracts import Clock

MOST_AHEAD_US: Final = 3_600_000_000
"""How far the clock may be ahead of the last record without anybody's word."""


@final
class RecordClock:
    """The time of one open journal. It never goes back."""

    def __init__(self, clock: Clock) -> None:
        self.ahead_us = 0
        """How far the machine's clock was ahead of the last record, as long as nobody has agreed with it."""
        self._clock = clock
        self.base_us, self.base_s = 0, clock.monotonic()
        """A moment in microseconds since the epoch, and in monotonic seconds: time goes on from there."""

    def start(self, last_us: int) -> None:
        """Begin after the last record, of that time; 0 if there is none."""
        now_us = self._clock.now_us()
        self.ahead_us = now_us - last_us if last_us and now_us - last_us > MOST_AHEAD_US else 0
        self.base_us, self.base_s = (last_us if self.ahead_us else max(last_us, now_us)), self._clock.monotonic()

    def trust(self) -> None:
        """Go on from the machine's clock, because somebody else agrees with it."""
        self.base_us = max(self.now_us(), self._clock.now_us())
        self.base_s, self.ahead_us = self._clock.monotonic(), 0

    def now_us(self) -> int:
        """Return the time now."""
        return self.base_us + int((self._clock.monotonic() - self.base_s) * 1_000_000)
