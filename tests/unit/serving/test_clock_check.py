"""A clock in doubt is confirmed by a venue's, and by nothing else but a person."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from signer.contracts import Journal
from signer.errors import Unanswered
from signer.gateway.snapshot import Snapshot
from signer.gateway.trace import Watch
from signer.serving.admin import Operator
from signer.serving.clock_check import MOST_OFF_US, ClockCheck
from tests.harness.clocks import NOON_US, SetClock


class Doubted:
    """A journal whose clock is a day ahead."""

    clock_ahead_us = 86_400_000_000

    def now_us(self) -> int:
        """Return the last record's time."""
        return NOON_US - self.clock_ahead_us

    def trust_clock(self) -> None:
        """Believe the clock."""
        self.clock_ahead_us = 0


class LeftBehind:
    """A journal whose clock stood still for eight hours of the machine's."""

    clock_ahead_us = 0

    def __init__(self) -> None:
        self.us = NOON_US - 8 * 3_600_000_000

    def now_us(self) -> int:
        """Return the journal's time."""
        return self.us

    def trust_clock(self) -> None:
        """Go on from the machine's clock."""
        self.us = NOON_US


class Venue:
    """An exchange that shows a time, or does not answer if there is none."""

    def __init__(self, shown_us: int | None) -> None:
        self.shown_us, self.asked = shown_us, 0
        self.name, self.venue, self.upstream = "main", self, self

    def time_request(self) -> None:
        """Ask for the time."""

    async def send(self, _request: object, _deadline: float) -> int:
        """Return the time that is shown."""
        self.asked += 1
        if self.shown_us is None:
            raise Unanswered("nothing came back")
        return self.shown_us

    def read_time(self, answer: int) -> int:
        """Read the answer."""
        return answer


async def asked(*shown_us: int | None) -> tuple[bool, Sequence[str]]:
    """Whether the clock is believed after a start at noon, with exchanges that show these times, and the alarms."""
    journal, alarms = Doubted(), list[str]()
    accounts = {str(number): Venue(shown) for number, shown in enumerate(shown_us)}
    check = ClockCheck(
        lambda: cast("Snapshot", SimpleNamespace(accounts=accounts)),
        cast("Journal", journal),
        watch=cast("Watch", SimpleNamespace(alarm=lambda _kind, text: alarms.append(text))),
        clock=SetClock(),
    )
    await check.at_start()
    return journal.clock_ahead_us == 0, alarms


@pytest.mark.parametrize("off_us", [0, MOST_OFF_US, -MOST_OFF_US])
async def test_an_exchange_within_a_minute_confirms_the_clock(off_us: int) -> None:
    """A minute changes nobody's caps."""
    assert await asked(NOON_US - off_us) == (True, [])


@pytest.mark.parametrize("off_us", [MOST_OFF_US + 1, -MOST_OFF_US - 1, 365 * 86_400_000_000])
async def test_an_exchange_that_shows_another_time_leaves_the_doubt_and_says_so(off_us: int) -> None:
    """The alarm says how far both are apart, and what to do."""
    believed, alarms = await asked(NOON_US - off_us)
    assert not believed
    assert ["signer clock accept" in text and "86400 s ahead of the last record" in text for text in alarms] == [True]


async def test_an_exchange_that_does_not_answer_confirms_nothing() -> None:
    """The doubt stays without an alarm: it is asked again."""
    assert await asked(None) == (False, [])


async def test_one_exchange_of_several_is_enough() -> None:
    """One that is away or wrong does not outweigh one that agrees."""
    assert (await asked(None, NOON_US))[0]


async def test_an_operator_ends_the_doubt() -> None:
    """The verb answers whether there was one."""
    journal = Doubted()
    check = ClockCheck(
        lambda: cast("Snapshot", None), cast("Journal", journal), watch=cast("Watch", None), clock=SetClock()
    )
    accept = check.verbs()["accept_clock"]
    assert await accept(cast("Operator", None), {}) is True
    assert await accept(cast("Operator", None), {}) is False


@pytest.mark.parametrize(("shown_us", "asked", "left_behind"), [(NOON_US, 1, False), (0, 1, True), (None, 2, True)])
async def test_time_that_the_machine_slept_counts_once_an_exchange_agrees(
    shown_us: int | None, asked: int, *, left_behind: bool
) -> None:
    """One that denies it is not asked again about the same gap, and one that does not answer is."""
    journal, venue = LeftBehind(), Venue(shown_us)
    check = ClockCheck(
        lambda: cast("Snapshot", SimpleNamespace(accounts={"main": venue})),
        cast("Journal", journal),
        watch=cast("Watch", None),
        clock=SetClock(),
    )
    await check.look()
    await check.look()
    assert (venue.asked, journal.us < NOON_US) == (asked, left_behind)
