"""What the venue's clock shows at least, whatever happens to ours."""

from __future__ import annotations

from typing import cast

import pytest

from signer.contracts import Venue
from signer.errors import NotSent, SignerError, VenueError
from signer.gateway.forward import Account
from signer.gateway.venue_time import AGAIN_S, MARGIN_US, VenueTime
from signer.model import WireAnswer, WireRequest

TIME = WireRequest("GET", "/0/public/Time", (), b"")
NOON_US = 1_800_000_000_000_000


class SetClock:
    """Two clocks that stand where the test puts them."""

    def __init__(self) -> None:
        self.wall_us, self.passed_s = NOON_US, 1000.0

    def now_us(self) -> int:
        """The wall clock."""
        return self.wall_us

    def monotonic(self) -> float:
        """The one that nobody sets."""
        return self.passed_s


class FakeVenue:
    """Says its time in microseconds."""

    name = "main"

    def __init__(self, clock: SetClock) -> None:
        self.upstream = self
        self.shown_us = NOON_US
        self.takes_s = 0.0
        self.away = False
        self._clock = clock

    def time_request(self) -> WireRequest:
        return TIME

    async def send(self, request: WireRequest, _deadline: float) -> WireAnswer:
        assert request is TIME
        self._clock.passed_s += self.takes_s
        if self.away:
            raise NotSent("no connection")
        return WireAnswer(200, "", b"")

    def read_time(self, _: WireAnswer) -> int:
        return self.shown_us


async def measured(clock: SetClock, venue: FakeVenue) -> VenueTime:
    """The venue's time after one measurement."""
    time = VenueTime(clock)
    await time.measure(cast(Account, venue), cast(Venue, venue))
    return time


async def test_it_is_never_later_than_the_venue_s_own() -> None:
    """Its answer was made before it came, and a margin covers what clocks drift within the hour."""
    clock = SetClock()
    venue = FakeVenue(clock)
    venue.takes_s = 2.0
    time = await measured(clock, venue)
    assert time.earliest_us("main") == NOON_US - MARGIN_US
    clock.passed_s += 10.0
    assert time.earliest_us("main") == NOON_US + 10_000_000 - MARGIN_US


async def test_setting_our_clock_changes_nothing() -> None:
    """Only the intent's own wall time, where it alone is known, is converted by what our clock shows now."""
    clock = SetClock()
    time = await measured(clock, FakeVenue(clock))
    clock.wall_us += 3_600_000_000
    assert time.earliest_us("main") == NOON_US - MARGIN_US
    assert time.earliest_at("main", clock.wall_us - 5_000_000) == NOON_US - 5_000_000 - MARGIN_US


async def test_it_is_measured_once_an_hour() -> None:
    """A venue that does not answer leaves what was measured before in force."""
    clock = SetClock()
    venue = FakeVenue(clock)
    time = await measured(clock, venue)
    assert (time.is_due("main"), time.is_due("other")) == (False, True)
    clock.passed_s += AGAIN_S
    assert time.is_due("main")
    venue.away = True
    assert "no connection" in await time.try_to_measure(cast(Account, venue), cast(Venue, venue))
    assert time.is_due("main")
    assert time.earliest_us("main") == NOON_US + round(AGAIN_S * 1_000_000) - MARGIN_US
    with pytest.raises(SignerError):
        await time.measure(cast(Account, venue), cast(Venue, venue))


def test_what_was_never_heard_is_not_known() -> None:
    """Zero for an intent; nothing to compare a listed order with."""
    time = VenueTime(SetClock())
    assert time.earliest_us("main") == 0
    with pytest.raises(VenueError, match="not known"):
        time.earliest_at("main", NOON_US)
