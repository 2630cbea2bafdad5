"""When an unknown outcome is looked up again, and when its orders are given up."""

from __future__ import annotations

from itertools import pairwise

from signer.gateway.reconcile.schedule import FIRST_S, LONGEST_S, UNREAD_S, Schedule
from tests.harness.clocks import SetClock


def due_times(schedule: Schedule, clock: SetClock, number: int) -> list[float]:
    """Return the times at which it is due, if each look leaves it unknown."""
    times: list[float] = []
    while len(times) < number:
        if schedule.is_due(1):
            times.append(clock.monotonic())
            schedule.again(1, "why")
        clock.go_on(1)
    return times


def test_each_wait_is_twice_as_long_up_to_an_hour() -> None:
    """Each wait is twice the last one and at most an hour, however often the look-up failed."""
    clock = SetClock(0)
    schedule = Schedule(clock, gone_after_s=90)
    times = due_times(schedule, clock, 12)
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits == [min(FIRST_S * 2**number, LONGEST_S) for number in range(11)]
    assert (schedule.tries(1).number, schedule.tries(1).why) == (12, "why")
    schedule.tries(1).number = 1000
    schedule.again(1, "")
    assert schedule.tries(1).next_at == clock.monotonic() + LONGEST_S


def test_lists_that_could_not_be_read_say_nothing_of_it() -> None:
    """A list that could not be read is read again after half a minute, and the waits do not grow."""
    clock = SetClock(0)
    schedule = Schedule(clock, gone_after_s=90)
    for _ in range(9):
        schedule.again(1, "the exchange is away", unread=True)
        assert schedule.tries(1).next_at == clock.monotonic() + UNREAD_S
    schedule.again(1, "a twin")
    assert schedule.tries(1).next_at == clock.monotonic() + FIRST_S


def test_what_was_missed_is_looked_for_when_it_can_be_given_up() -> None:
    """A call that was missed is looked for when it can be given up, not an hour later."""
    clock = SetClock(0)
    schedule = Schedule(clock, gone_after_s=90)
    for _ in range(8):
        schedule.again(1, "")
    assert not schedule.is_gone(1, asked_at=0, doubt="")
    schedule.again(1, "")
    assert schedule.tries(1).next_at == 90


def test_it_is_gone_by_the_time_at_which_the_lists_were_asked_for() -> None:
    """Only a look without doubt counts towards giving a call up, from the time at which the lists were asked for."""
    clock = SetClock(0)
    schedule = Schedule(clock, gone_after_s=90)
    assert not schedule.is_gone(1, asked_at=0, doubt="a twin")
    clock.us = 50_000_000
    assert not schedule.is_gone(1, asked_at=40, doubt="")
    clock.us = 200_000_000
    assert not schedule.is_gone(1, asked_at=139, doubt="")
    assert not schedule.is_gone(1, asked_at=200, doubt="a twin")
    assert schedule.is_gone(1, asked_at=140, doubt="")


def test_only_open_ones_are_remembered() -> None:
    """A number that is not unknown any more begins anew."""
    schedule = Schedule(SetClock(0), gone_after_s=90)
    for number in (1, 2):
        schedule.again(number, "")
    schedule.keep_only({2})
    assert (schedule.is_due(1), schedule.is_due(2)) == (True, False)
