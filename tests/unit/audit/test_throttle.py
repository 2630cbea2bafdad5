"""Floods of refusals: recorded in part, counted in full."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.audit.throttle import (
    BURST_S,
    BYTES_IN_FULL,
    DAY_US,
    IN_FULL,
    MOST_SUMMARIES,
    OTHERS,
    WINDOW_US,
    RecordThrottle,
)
from signer.model import Json


def test_the_first_are_recorded_and_the_rest_counted() -> None:
    """The first twenty of a minute are admitted; the others appear in one summary, once."""
    throttle = RecordThrottle()
    admitted = [throttle.admit("10.0.0.9", "login-failed", 0) for _ in range(100)]
    assert admitted == [True] * IN_FULL + [False] * 80
    (summary,) = throttle.summaries(5)
    assert (summary["source"], summary["throttled"], summary["count"]) == ("10.0.0.9", "login-failed", 80)
    assert not throttle.summaries(6)


def test_each_minute_starts_anew() -> None:
    """After the window, and when the clock was set back, records are admitted again."""
    throttle = RecordThrottle(in_full=1)
    times = [WINDOW_US * 5, WINDOW_US * 6 - 1, WINDOW_US * 6, 0]
    assert [throttle.admit("a", "denied", at) for at in times] == [True, False, True, True]


def test_sources_kinds_and_clients_do_not_share() -> None:
    """One noisy source cannot keep another's refusals out of the log."""
    throttle = RecordThrottle(in_full=1)
    keys = [("a", "denied", ""), ("b", "denied", ""), ("a", "login-failed", ""), ("a", "denied", "y")]
    assert all(throttle.admit(source, kind, 0, client) for source, kind, client in keys)


@pytest.mark.parametrize(
    ("addresses", "client"),
    [("127.0.{}.1", ""), ("2001:db8::{}", ""), ("10.0.0.{}", "a-bot"), ("2001:db8:0:{}::1", "a-bot")],
)
def test_one_caller_with_many_addresses_is_one(addresses: str, client: str) -> None:
    """Loopback, a network of IPv6; and a client that proved who it is, wherever it calls from."""
    throttle = RecordThrottle()
    admitted = [throttle.admit(addresses.format(number), "denied", 0, client) for number in range(200)]
    assert sum(admitted) == IN_FULL
    assert [entry["count"] for entry in throttle.summaries(1)] == [180]


def test_all_strangers_together_have_one_budget() -> None:
    """Ten a second, however many they are; a client's answers of our own count with them, its refusals do not."""
    throttle = RecordThrottle(per_second=10, most_sources=10_000)
    burst = [throttle.admit(f"10.0.{number // 250}.{number % 250}", "login-failed", 0) for number in range(1000)]
    assert sum(burst) == 10 * BURST_S
    assert not throttle.admit("10.9.9.9", "read", 0, "a-bot")
    assert throttle.admit("10.9.9.9", "denied", 0, "a-bot")
    second = [throttle.admit(f"10.1.{number // 250}.{number % 250}", "login-failed", 1_000_000) for number in range(99)]
    assert sum(second) == 10


def test_a_day_has_so_many_bytes_and_no_more() -> None:
    """What proves nothing has a budget for each day, and clients' refusals have another; both begin anew the next
    day."""
    most, size = 1 << 20, 10_000
    throttle = RecordThrottle(bytes_a_day=most, most_sources=100_000)
    for client in ("", "bot-{}"):
        written = sum(
            size * throttle.admit(f"10.{minute % 200}.0.1", "denied", minute * WINDOW_US, client.format(minute), size)
            for minute in range(1000)
        )
        assert most - size < written <= most
        assert throttle.admit("10.0.0.1", "denied", DAY_US + 1, client.format("x"), size)


def test_one_client_cannot_use_up_the_day_of_all() -> None:
    """The longest refusals of one client use 64 KiB a minute of the day's 1 GiB."""
    throttle = RecordThrottle()
    admitted = sum(throttle.admit("10.0.0.1", "denied", 0, "a-bot", 20_000) for _ in range(50))
    assert admitted == BYTES_IN_FULL // 20_000
    assert throttle.admit("10.0.0.1", "denied", 0, "b-bot", 20_000)


def test_the_counts_themselves_are_bounded() -> None:
    """The busiest of very many sources are named, and the rest are added up."""
    throttle = RecordThrottle(in_full=0)
    for number in range(500):
        for _ in range(1 + (number < 10)):
            throttle.admit(f"10.0.{number // 250}.{number % 250}", "login-failed", 0)
    summaries = throttle.summaries(1)
    assert len(summaries) == MOST_SUMMARIES + 1
    assert [entry["count"] for entry in summaries[:10]] == [2] * 10
    assert sum(int(str(entry["count"])) for entry in summaries) == 510
    assert not throttle.summaries(2)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["denied", "login-failed"]), st.booleans()), max_size=300))
def test_nothing_is_lost_whatever_is_forgotten(events: list[tuple[int, str, bool]]) -> None:
    """Admitted and counted add up to all, by kind, though more sources come than are remembered."""
    throttle = RecordThrottle(in_full=2, most_sources=3)
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
    throttle = RecordThrottle(in_full=1, most_sources=5)
    for source in range(100):
        throttle.admit(str(source), "login-failed", 0)
        throttle.admit(str(source), "login-failed", 0)
    summaries = throttle.summaries(1)
    assert len(summaries) == 6
    assert [entry["count"] for entry in summaries if entry["source"] == OTHERS] == [95]
