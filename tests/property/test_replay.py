"""Client nonces against an oracle that never forgets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.errors import NotAuthentic
from signer.gateway.replay import CALLS_PER_NONCE, NonceWindow, mark_ahead
from signer.venues.kraken.answers import words

CALLS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=120)


def accepted(window: NonceWindow, nonce: int, signature: int) -> bool:
    """Whether the window takes the call."""
    try:
        window.accept(nonce, bytes([signature]))
    except NotAuthentic:
        return False
    return True


@given(CALLS, st.integers(0, 20), st.integers(1, 8), st.booleans())
def test_no_call_is_accepted_twice(calls: list[tuple[int, int]], floor: int, size: int, strict: bool) -> None:
    """Whatever the order, size and rule: a pair of nonce and signature is accepted once at most, and never below the
    floor."""
    window, seen = NonceWindow(floor, size, strict), set[tuple[int, int]]()
    for call in calls:
        if accepted(window, *call):
            assert call not in seen
            assert call[0] > floor
            seen.add(call)
    assert window.highest == max([floor, *(nonce for nonce, _ in seen)])


@given(CALLS, st.integers(0, 20))
def test_a_window_that_holds_all_refuses_only_replays(calls: list[tuple[int, int]], floor: int) -> None:
    """With room for every nonce exactly the repeated calls, and those at or below the floor, are refused."""
    window, seen = NonceWindow(floor, 64), set[tuple[int, int]]()
    for call in calls:
        assert accepted(window, *call) == (call[0] > floor and call not in seen)
        seen.add(call)


@given(CALLS, st.integers(0, 20))
def test_strict_is_krakens_rule(calls: list[tuple[int, int]], floor: int) -> None:
    """Strict accepts a nonce exactly if it is above all accepted before."""
    window, highest = NonceWindow(floor, strict=True), floor
    for nonce, signature in calls:
        assert accepted(window, nonce, signature) == (nonce > highest)
        highest = max(highest, nonce)


@given(st.permutations(range(1, 17)))
def test_parallel_calls_may_overtake_each_other(order: list[int]) -> None:
    """As many calls as the window holds arrive in any order, and all are accepted."""
    window = NonceWindow(0, 16)
    assert all(accepted(window, nonce, 0) for nonce in order)


@given(st.lists(st.integers(1, 10_000), unique=True, min_size=10, max_size=60))
def test_what_falls_below_the_window_is_a_replay(nonces: list[int]) -> None:
    """A nonce below all remembered ones is refused once the window is full, seen or not."""
    window, size = NonceWindow(0, 8), 8
    taken: list[int] = []
    for nonce in nonces:
        dropped = sorted(taken)[:-size]
        assert accepted(window, nonce, 0) == (not dropped or nonce > dropped[-1])
        if nonce > max(dropped, default=0):
            taken.append(nonce)


def test_a_replay_is_refused_in_krakens_words() -> None:
    """The answer is Kraken's exact text, without a suffix: client libraries compare it."""
    window = NonceWindow(5)
    with pytest.raises(NotAuthentic) as refused:
        window.accept(5, b"signature")
    assert words(refused.value) == ("EAPI:Invalid nonce",)


def test_calls_that_share_a_nonce_are_bounded() -> None:
    """Memory is bounded: of one nonce only so many different calls are accepted."""
    window = NonceWindow(0)
    assert [accepted(window, 7, signature) for signature in range(CALLS_PER_NONCE + 3)] == (
        [True] * CALLS_PER_NONCE + [False] * 3
    )


@given(st.integers(1, 2**64 - 1), st.integers(0, 2**61))
def test_a_mark_covers_its_nonce(nonce: int, now_us: int) -> None:
    """The mark is never below the nonce it is stored for, and is a nonce itself."""
    assert nonce <= mark_ahead(nonce, now_us) < 2**64


def test_a_mark_is_two_seconds_ahead_in_every_unit() -> None:
    """Seconds, ms, µs, 10 ns and ns are told apart by size; a counter gets nothing ahead."""
    now_us = 1_795_346_144_713_000
    now_s = now_us // 1_000_000
    for unit in (1, 10**3, 10**6, 10**8, 10**9):
        assert mark_ahead(now_s * unit, now_us) == (now_s + 2) * unit
    assert mark_ahead(123_456, now_us) == 123_456
