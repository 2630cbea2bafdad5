"""What the venue's clock shows at least, whatever happens to ours."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import pairwise
from typing import cast

import pytest

from signer.contracts import Venue
from signer.errors import NotSent, VenueError
from signer.gateway.forward import AGAIN_S, DRIFT, FINE_US, SECOND_US, Account, VenueTime
from signer.model import WireAnswer, WireRequest

let_others_run = partial(asyncio.sleep, 0)
TIME = WireRequest("GET", "/0/public/Time", (), b"")
NOON_US = 1_800_000_000_000_000


class TwoClocks:
    """Two clocks that stand where the test puts them."""

    def __init__(self) -> None:
        self.wall_us, self.passed_s = NOON_US, 1000.0

    def now_us(self) -> int:
        """The wall clock."""
        return self.wall_us

    def monotonic(self) -> float:
        """The one that nobody sets."""
        return self.passed_s

    async def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        self.passed_s += seconds


class FakeVenue:
    """Says its time as the real one does: cut to whole seconds, at half of the way."""

    name = "main"

    def __init__(self, clock: TwoClocks, ahead_us: int = NOON_US + 123_456) -> None:
        self.upstream = self
        self.ahead_us = ahead_us
        self.takes_s = 0.002
        self.away = False
        self.asked = 0
        self._clock = clock

    time_unit_us = SECOND_US

    @property
    def now_us(self) -> int:
        """What its clock shows."""
        return self.ahead_us + round(self._clock.passed_s * SECOND_US)

    def time_request(self) -> WireRequest:
        return TIME

    async def send(self, request: WireRequest, _deadline: float) -> WireAnswer:
        assert request is TIME
        self.asked += 1
        if self.away:
            raise NotSent("no connection")
        self._clock.passed_s += self.takes_s / 2
        seconds = self.now_us // SECOND_US
        self._clock.passed_s += self.takes_s / 2
        return WireAnswer(200, "", str(seconds).encode())

    def read_time(self, answer: WireAnswer) -> int:
        return int(answer.body) * SECOND_US


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> TwoClocks:
    """Make a clock that the measurement waits by."""
    made = TwoClocks()
    monkeypatch.setattr(asyncio, "sleep", made.sleep)
    return made


async def measured(clock: TwoClocks, venue: FakeVenue) -> VenueTime:
    """The venue's time after one measurement."""
    time = VenueTime(clock)
    await time.measure(cast(Account, venue), cast(Venue, venue))
    return time


@pytest.mark.parametrize("takes_s", [0.002, 0.05, 0.4])
@pytest.mark.parametrize("ahead_us", [0, 1, 250_000, 499_999, 500_000, 731_234, 999_999])
async def test_it_is_never_later_than_the_venue_s_own_nor_much_earlier(
    clock: TwoClocks, ahead_us: int, takes_s: float
) -> None:
    """The measured time is behind the venue's by about the way of one answer, not by the second that it is cut to."""
    venue = FakeVenue(clock, NOON_US + ahead_us)
    venue.takes_s = takes_s
    time = await measured(clock, venue)
    assert 0 <= venue.now_us - time.earliest_us("main") <= 2 * FINE_US + takes_s * SECOND_US
    assert venue.asked <= 15
    clock.passed_s += 100.0
    assert 0 <= venue.now_us - time.earliest_us("main") <= 2 * FINE_US + (takes_s + 100 * DRIFT) * SECOND_US


async def test_a_venue_that_sets_its_clock_is_believed(clock: TwoClocks) -> None:
    """What contradicts an earlier measurement replaces it."""
    venue = FakeVenue(clock)
    time = await measured(clock, venue)
    for step_us in (-5_400_000, 3_700_000):
        venue.ahead_us += step_us
        await time.measure(cast(Account, venue), cast(Venue, venue))
        assert 0 <= venue.now_us - time.earliest_us("main") <= 3 * FINE_US + venue.takes_s * SECOND_US


async def test_setting_our_clock_changes_nothing(clock: TwoClocks) -> None:
    """Only the intent's own wall time, where it alone is known, is converted by what our clock shows now."""
    time = await measured(clock, FakeVenue(clock))
    before_us = time.earliest_us("main")
    clock.wall_us += 3_600_000_000
    assert time.earliest_us("main") == before_us
    assert time.shown_at("main", clock.wall_us - 5_000_000) == (before_us - 5_000_000,) * 2


async def test_it_is_measured_again_and_again(clock: TwoClocks) -> None:
    """A venue that does not answer leaves what was measured before in force."""
    venue = FakeVenue(clock)
    time = await measured(clock, venue)
    assert (time.is_due("main"), time.is_due("other")) == (False, True)
    clock.passed_s += AGAIN_S
    assert time.is_due("main")
    venue.away = True
    with pytest.raises(NotSent, match="no connection"):
        await time.measure(cast(Account, venue), cast(Venue, venue))
    assert time.is_due("main")
    assert 0 <= venue.now_us - time.earliest_us("main") <= SECOND_US // 10


async def test_half_a_measurement_is_rough(clock: TwoClocks) -> None:
    """One answer leaves a second open, in which an order could be anybody's: only who says so gets that time."""
    venue = FakeVenue(clock)
    time = VenueTime(clock)
    proper = venue.send

    async def once(request: WireRequest, deadline: float) -> WireAnswer:
        venue.away = venue.asked > 0
        return await proper(request, deadline)

    venue.send = once  # type: ignore[assignment]
    with pytest.raises(NotSent, match="no connection"):
        await time.measure(cast(Account, venue), cast(Venue, venue))
    assert (time.is_due("main"), time.earliest_us("main")) == (True, 0)
    assert 0 <= venue.now_us - time.earliest_us("main", rough=True) <= 1.01 * SECOND_US
    least, most = time.shown_at("main", clock.now_us())
    assert least <= venue.now_us <= most <= least + 1.01 * SECOND_US


@pytest.mark.parametrize("ahead_us", [0, 1, 250_000, 731_234, 999_999])
async def test_each_answer_narrows_the_bounds(clock: TwoClocks, ahead_us: int) -> None:
    """The venue's time is between them after each answer, and they are one when the measurement is done."""
    venue = FakeVenue(clock, NOON_US + ahead_us)
    time, seen = VenueTime(clock), list[tuple[int, int]]()

    async def sleep(seconds: float) -> None:
        least, most = time.shown_at("main", clock.now_us())
        seen.append((least, most))
        assert least <= venue.now_us <= most
        clock.passed_s += seconds
        clock.wall_us += round(seconds * SECOND_US)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", sleep)
        await time.measure(cast(Account, venue), cast(Venue, venue))
    widths = [most - least for least, most in seen]
    assert len(widths) > 3
    assert all(later < sooner for sooner, later in pairwise(widths))
    least, most = time.shown_at("main", clock.now_us())
    assert least == most == time.earliest_us("main")


async def test_a_later_measurement_that_fails_changes_nothing(clock: TwoClocks) -> None:
    """Its first answer tells less than the earliest time that is known already."""
    venue = FakeVenue(clock)
    time = await measured(clock, venue)
    clock.passed_s += 100 * AGAIN_S
    known_us, proper, asked = time.earliest_us("main"), venue.send, venue.asked

    async def once(request: WireRequest, deadline: float) -> WireAnswer:
        venue.away = venue.asked > asked
        return await proper(request, deadline)

    venue.send = once  # type: ignore[assignment]
    before_s = clock.passed_s
    with pytest.raises(NotSent, match="no connection"):
        await time.measure(cast(Account, venue), cast(Venue, venue))
    since_us = (clock.passed_s - before_s) * SECOND_US
    assert time.earliest_us("main") == pytest.approx(known_us + since_us, abs=DRIFT * since_us + 2)
    assert len(set(time.shown_at("main", clock.now_us()))) == 1


async def test_who_waits_for_an_answer_hears_each(clock: TwoClocks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer but the last wakes those who wait, who then see closer bounds."""
    venue, time = FakeVenue(clock), VenueTime(clock)
    heard = 0

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        await let_others_run()

    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def listen() -> None:
        nonlocal heard
        while True:
            await time.answered("main")
            heard += 1

    listening = asyncio.create_task(listen())
    await let_others_run()
    await time.measure(cast(Account, venue), cast(Venue, venue))
    listening.cancel()
    assert heard == venue.asked - 1


def test_what_was_never_heard_is_not_known() -> None:
    """The earliest time is 0, so that no listed order is compared with it."""
    time = VenueTime(TwoClocks())
    assert (time.earliest_us("main"), time.earliest_us("main", rough=True)) == (0, 0)
    with pytest.raises(VenueError, match="not known"):
        time.shown_at("main", NOON_US)
