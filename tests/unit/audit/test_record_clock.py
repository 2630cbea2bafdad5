"""The time by which charges are dated goes on from the last record, and a clock far ahead of it needs a witness."""

from __future__ import annotations

from signer.audit.record_clock import MOST_AHEAD_US, RecordClock
from tests.harness.clocks import NOON_US


class TwoClocks:
    """A wall clock and a monotonic one, each set by hand."""

    def __init__(self) -> None:
        self.wall_us, self.passed_s = NOON_US, 0.0

    def now_us(self) -> int:
        """Return the wall clock."""
        return self.wall_us

    def monotonic(self) -> float:
        """Return the seconds that passed."""
        return self.passed_s


def started(last_us: int) -> tuple[RecordClock, TwoClocks]:
    """Return the time of a journal that was opened at noon after a record of ``last_us``."""
    clock = TwoClocks()
    time = RecordClock(clock)
    time.start(last_us)
    return time, clock


def test_a_first_start_believes_the_clock() -> None:
    """Without a record there is nothing to compare the clock with."""
    time, _ = started(0)
    assert (time.now_us(), time.ahead_us) == (NOON_US, 0)


def test_a_clock_within_an_hour_is_believed() -> None:
    """An hour ahead of the last record is as good as no time at all."""
    time, _ = started(NOON_US - MOST_AHEAD_US)
    assert (time.now_us(), time.ahead_us) == (NOON_US, 0)


def test_time_stands_at_the_last_record_while_the_clock_is_in_doubt() -> None:
    """A clock years ahead dates no charge before somebody agrees with it."""
    last_us = NOON_US - MOST_AHEAD_US - 1
    time, clock = started(last_us)
    clock.passed_s = 2.0
    assert (time.now_us(), time.ahead_us) == (last_us + 2_000_000, MOST_AHEAD_US + 1)


def test_time_is_the_clocks_once_somebody_agrees() -> None:
    """The doubt ends with the witness."""
    time, clock = started(NOON_US - 2 * MOST_AHEAD_US)
    time.trust()
    clock.passed_s = 1.5
    assert (time.now_us(), time.ahead_us) == (NOON_US + 1_500_000, 0)


def test_a_clock_that_was_set_back_takes_no_time_back() -> None:
    """After a record of the future, time goes on from that record."""
    time, clock = started(NOON_US + 5_000_000)
    clock.passed_s = 1.0
    assert time.now_us() == NOON_US + 6_000_000


def test_a_clock_that_is_set_while_we_run_moves_nothing() -> None:
    """Only the monotonic clock counts within a process."""
    time, clock = started(NOON_US)
    clock.wall_us += 365 * 86_400_000_000
    clock.passed_s = 1.0
    assert time.now_us() == NOON_US + 1_000_000


def test_an_agreement_never_takes_time_back() -> None:
    """A clock that was set back before somebody agreed with it leaves time where it is."""
    time, clock = started(NOON_US - 2 * MOST_AHEAD_US)
    clock.wall_us = NOON_US - 3 * MOST_AHEAD_US
    clock.passed_s = 1.0
    before = time.now_us()
    time.trust()
    assert time.now_us() == before
