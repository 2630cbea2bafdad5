"""Floods of refusals: recorded in part, counted in full."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signer.audit.throttle import IN_FULL, OTHERS, WINDOW_US, Throttle
from signer.model import Json


def test_the_first_are_recorded_and_the_rest_counted() -> None:
    """The first twenty of a minute are admitted; the others appear in one summary, once."""
    throttle = Throttle()
    admitted = [throttle.admit("10.0.0.9", "login-failed", 0) for _ in range(100)]
    assert admitted == [True] * IN_FULL + [False] * 80
    (summary,) = throttle.summaries(5)
    assert (summary["source"], summary["throttled"], summary["count"]) == ("10.0.0.9", "login-failed", 80)
    assert not throttle.summaries(6)


def test_each_minute_starts_anew() -> None:
    """After the window, and when the clock was set back, records are admitted again."""
    throttle = Throttle(in_full=1)
    times = [WINDOW_US * 5, WINDOW_US * 6 - 1, WINDOW_US * 6, 0]
    assert [throttle.admit("a", "denied", at) for at in times] == [True, False, True, True]


def test_sources_kinds_and_clients_do_not_share() -> None:
    """One noisy source cannot keep another's refusals out of the log."""
    throttle = Throttle(in_full=1)
    keys = [("a", "denied", "x"), ("b", "denied", "x"), ("a", "login-failed", "x"), ("a", "denied", "y")]
    assert all(throttle.admit(source, kind, 0, client) for source, kind, client in keys)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["denied", "login-failed"]), st.booleans()), max_size=300))
def test_nothing_is_lost_whatever_is_forgotten(events: list[tuple[int, str, bool]]) -> None:
    """Admitted and counted add up to all, by kind, though more sources come than are remembered."""
    throttle = Throttle(in_full=2, most_sources=3)
    told: dict[str, int] = {"denied": 0, "login-failed": 0}
    happened = dict(told)
    summaries: list[dict[str, Json]] = []
    for now, (source, kind, collect) in enumerate(events):
        happened[kind] += 1
        told[kind] += throttle.admit(str(source), kind, now)
        summaries += throttle.summaries(now) if collect else []
    for summary in [*summaries, *throttle.summaries(len(events))]:
        count = summary["count"]
        assert isinstance(count, int)
        assert count > 0
        told[str(summary["throttled"])] += count
    assert told == happened


def test_the_memory_is_bounded() -> None:
    """A million sources take no more room than the limit; what is forgotten is still counted."""
    throttle = Throttle(in_full=1, most_sources=5)
    for source in range(100):
        throttle.admit(str(source), "login-failed", 0)
        throttle.admit(str(source), "login-failed", 0)
    summaries = throttle.summaries(1)
    assert len(summaries) == 6
    assert [entry["count"] for entry in summaries if entry["source"] == OTHERS] == [95]
