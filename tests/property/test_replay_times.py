"""Client timestamps against an oracle that never forgets, through restarts and clocks set back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signer.errors import NotAuthentic
from signer.gateway.replay import AHEAD_S, FUTURE_US, TIMES, ClientTimes
from signer.model import Timestamp

SECOND_US = 1_000_000
WINDOW_US = 30 * SECOND_US
NOON_US = 1_795_000_000 * SECOND_US
CALLS = st.lists(st.tuples(st.integers(-40, 5), st.integers(0, 2), st.integers(-40, 40)), max_size=60)
"""Of each call: its time against noon, which call it is, and what our clock shows, in seconds."""


def accepted(times: ClientTimes, at_us: int, digest: int, now_us: int, marks: dict[str, int] | None = None) -> bool:
    """Whether a call passes, its mark stored first."""
    time = Timestamp(at_us, WINDOW_US)
    try:
        times.accept(time, bytes([digest]), now_us)
    except NotAuthentic:
        return False
    wanted = times.mark_for(time, now_us)
    if wanted is not None:
        times.stored(time, wanted[1])
        if marks is not None:
            marks[wanted[0]] = max(wanted[1], marks.get(wanted[0], 0))
    return True


@given(CALLS, st.integers(1, 8), st.integers(0, 60))
def test_no_call_is_accepted_twice(calls: list[tuple[int, int, int]], most: int, restart_after: int) -> None:
    """Whatever the order, the clock and the room, and through a restart: each call passes once at most."""
    marks: dict[str, int] = {}
    times, seen = ClientTimes("c", marks, most), set[tuple[int, int]]()
    for number, (at_s, digest, now_s) in enumerate(calls):
        if number == restart_after:
            times = ClientTimes("c", dict(marks), most)
        at_us = NOON_US + at_s * SECOND_US
        if accepted(times, at_us, digest, NOON_US + now_s * SECOND_US, marks):
            assert (at_us, digest) not in seen
            seen.add((at_us, digest))


@given(st.lists(st.tuples(st.integers(-35, 5), st.integers(0, 2)), max_size=60))
def test_a_fresh_call_that_was_not_seen_passes(calls: list[tuple[int, int]]) -> None:
    """While the clock stands, exactly the repeated calls and those outside the window are refused."""
    times, seen = ClientTimes("c", {}), set[tuple[int, int]]()
    for at_s, digest in calls:
        inside = -WINDOW_US <= at_s * SECOND_US <= FUTURE_US
        passes = accepted(times, NOON_US + at_s * SECOND_US, digest, NOON_US)
        assert passes == (inside and (at_s, digest) not in seen)
        seen.add((at_s, digest))


@given(st.integers(0, 10 * SECOND_US))
def test_what_a_restart_refuses_is_over_soon(after_us: int) -> None:
    """A call passes again as soon as its time is beyond the mark, which lies two seconds ahead."""
    marks: dict[str, int] = {}
    assert accepted(ClientTimes("c", {}), NOON_US, 0, NOON_US, marks)
    assert marks == {f"c/{TIMES}": NOON_US + AHEAD_S * SECOND_US}
    at_us = NOON_US + after_us
    assert accepted(ClientTimes("c", marks), at_us, 1, at_us) == (after_us > AHEAD_S * SECOND_US)


def test_memory_is_bounded() -> None:
    """More calls than there is room for make the oldest count as used, and leave no more behind."""
    times = ClientTimes("c", {}, limit=4)
    assert all(accepted(times, NOON_US + n, 0, NOON_US) for n in range(20))
    assert len(times._seen) == len(times._order) == 4
    assert not accepted(times, NOON_US + 15, 1, NOON_US)
    assert accepted(times, NOON_US + 16, 1, NOON_US)


def test_a_window_that_moves_on_forgets() -> None:
    """Calls that could not pass any more are not remembered."""
    times = ClientTimes("c", {})
    for second in range(1000):
        now_us = NOON_US + second * SECOND_US
        assert accepted(times, now_us, 0, now_us)
    assert len(times._seen) == WINDOW_US // SECOND_US + 1
