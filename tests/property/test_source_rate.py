"""The rate of a source: whatever is asked and whenever, no source gets more than its rate, and memory is bounded."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from signer.gateway.source_rate import SOURCES, SourceRate
from tests.harness.clocks import SetClock

TICK_US = 125_000
"""An eighth of a second, so that no sum is rounded."""
ASKS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=200)
"""Who asks, and how many ticks later."""


@given(ASKS, st.integers(1, 8), st.integers(1, 12))
def test_no_stretch_of_time_has_more_than_burst_and_rate(
    asks: list[tuple[str, int]], per_second: int, burst: int
) -> None:
    """Between any two that were allowed lie at most the burst and what the rate adds; an idle source has its burst."""
    clock = SetClock()
    rate = SourceRate[str](per_second, burst, clock)
    allowed: dict[str, list[float]] = defaultdict(list)
    for source, ticks in asks:
        clock.us += ticks * TICK_US
        spent = rate.spent(source)
        assert rate.take(source) is not spent
        if not spent:
            allowed[source].append(clock.monotonic())
    for times in allowed.values():
        for first, since in enumerate(times):
            for last in range(first, len(times)):
                assert last - first + 1 <= burst + (times[last] - since) * per_second
    clock.us += 12 * 1_000_000
    assert [rate.take("a") for _ in range(burst + 1)] == [True] * burst + [False]


@given(ASKS, st.integers(1, 8))
def test_one_source_takes_nothing_from_another(asks: list[tuple[str, int]], per_second: int) -> None:
    """What a source is answered is what it would be answered alone."""
    clock, together = SetClock(), list[tuple[str, bool]]()
    rate = SourceRate[str](per_second, 3, clock)
    for source, ticks in asks:
        clock.us += ticks * TICK_US
        together.append((source, rate.take(source)))
    clock = SetClock()
    alone = SourceRate[str](per_second, 3, clock)
    for (source, ticks), (_, said) in zip(asks, together, strict=True):
        clock.us += ticks * TICK_US
        if source == "a":
            assert alone.take(source) is said


@given(st.integers(1, 300))
def test_memory_is_bounded_and_the_longest_unseen_is_forgotten(more: int) -> None:
    """A source that keeps coming keeps its state through any flood of others."""
    rate = SourceRate[int](0.001, 1, SetClock())
    assert rate.take(-1)
    for number in range(SOURCES + more):
        assert rate.take(number)
        if number % 1000 == 0:
            assert not rate.take(-1)
    assert len(rate._buckets) == SOURCES
    assert not rate.spent(0)
    assert rate.spent(SOURCES + more - 1)
