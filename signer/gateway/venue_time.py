"""Keeps what the clock of each account's venue shows, reckoned from our monotonic clock, which nobody sets.

Only the venue's own clock can tell whether an order was opened before an intent was sent. So each intent notes the
earliest time that this clock can have shown when it was sent. Our wall clock may be wrong, and may be set between that
moment and the look-up.

The venue says its time cut to a unit, such as whole seconds. An order that somebody else placed within the same second,
just before a bot's call, must not be taken for the bot's. So the venue is asked again at the moment that halves what is
not known, until the difference is known about as well as one answer's way allows.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import final

from signer.contracts import Clock, Venue
from signer.errors import SignerError, VenueError
from signer.gateway.forward import Account

ASK_S = 3.0
AGAIN_S = 600.0
SECOND_US = 1_000_000
DRIFT = 20e-6
"""The share of the time by which two clocks part at most; others keep both right."""
FINE_US = 1_000
MOST_ASKED = 14
"""Questions of one measurement; each halves what is not known."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """How far the venue's clock is ahead of our monotonic one, in microseconds."""

    least: int
    most: int
    at: float
    """Our monotonic time, in seconds, when this was so."""

    @classmethod
    def shown(cls, shown_us: int, unit_us: int, asked: float, heard: float) -> Ahead:
        """What one answer tells: it was made between question and arrival, and its time is cut to ``unit_us``."""
        return cls(shown_us - _us(heard), shown_us + unit_us - _us(asked), heard)

    def at_time(self, now: float) -> Ahead:
        """The same later, when the clocks may have drifted apart."""
        drift_us = _us((now - self.at) * DRIFT)
        return Ahead(self.least - drift_us, self.most + drift_us, now)

    def both(self, other: Ahead) -> Ahead:
        """What is so by both; the other alone if they contradict each other: a clock was set."""
        old = self.at_time(other.at)
        least, most = max(old.least, other.least), min(old.most, other.most)
        return Ahead(least, most, other.at) if least <= most else other

    def wait_s(self, now: float, way_s: float, unit_us: int) -> float:
        """How long until a question that takes ``way_s`` to arrive halves what is not known."""
        middle_us = (self.least + self.most) // 2
        return -(_us(now + way_s) + middle_us) % unit_us / SECOND_US


@final
class VenueTime:
    """The venue's time, by account."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead: dict[str, Ahead] = {}
        """Only what was measured to the end."""
        self._measured: dict[str, float] = {}

    def is_due(self, account: str) -> bool:
        """Whether it was not measured lately."""
        return self._clock.monotonic() - self._measured.get(account, float("-inf")) >= AGAIN_S

    async def measure(self, account: Account, venue: Venue) -> None:
        """Ask the venue for some seconds. Raises `SignerError` if it does not say; what was measured before is then
        still good."""
        known, way_s = await self._ask(account, venue)
        known = self._ahead[account.name].both(known) if account.name in self._ahead else known
        for _ in range(MOST_ASKED):
            if known.most - known.least <= FINE_US + _us(way_s):
                break
            await asyncio.sleep(known.wait_s(self._clock.monotonic(), way_s / 2, venue.time_unit_us))
            told, took_s = await self._ask(account, venue)
            known, way_s = known.both(told), min(way_s, took_s)
        self._ahead[account.name] = known
        self._measured[account.name] = self._clock.monotonic()

    async def _ask(self, account: Account, venue: Venue) -> tuple[Ahead, float]:
        """What one answer tells, and how long it took in seconds."""
        asked = self._clock.monotonic()
        answer = await account.upstream.send(venue.time_request(), asked + ASK_S)
        shown_us, heard = venue.read_time(answer), self._clock.monotonic()
        return Ahead.shown(shown_us, venue.time_unit_us, asked, heard), heard - asked

    async def try_to_measure(self, account: Account, venue: Venue) -> str:
        """Measure as `measure` does, and answer why it failed; empty if it did not."""
        try:
            await self.measure(account, venue)
        except SignerError as error:
            return str(error)
        return ""

    def earliest_us(self, account: str) -> int:
        """The earliest that the venue's clock can show now; 0 if that was not measured yet."""
        ahead, now = self._ahead.get(account), self._clock.monotonic()
        return 0 if ahead is None else ahead.at_time(now).least + _us(now)

    def earliest_at(self, account: str, at_us: int) -> int:
        """The earliest that it can have shown when our wall clock showed ``at_us``, if nobody has set ours since.

        Raises `VenueError` if it was not measured yet.
        """
        now_us = self.earliest_us(account)
        if not now_us:
            raise VenueError("the exchange's clock is not known yet", hint="see that the exchange can be reached")
        return now_us - (self._clock.now_us() - at_us)


def _us(seconds: float) -> int:
    return round(seconds * SECOND_US)
