"""Threat: a call of a client is sent again after a restart; and its price: a client that its own nonces lock out.

The units of time that a client counts in are apart, and in none of them a nonce that was used is accepted again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.errors import NotAuthentic
from signer.gateway.replay import FORGIVEN, MOST_AHEAD_US, MOST_WINDOWS, TOO_FAR_AHEAD, ClientNonces, name_of
from signer.venues.kraken.answers import words

NOW_US = 1_795_000_000_123_456
NAME = name_of("bot", "abcd")
UNITS: Mapping[str, int] = {
    "seconds": NOW_US // 1_000_000,
    "milliseconds since 2020": NOW_US // 1000 - 1_577_836_800_000,
    "milliseconds": NOW_US // 1000,
    "microseconds": NOW_US,
    "tens of nanoseconds": NOW_US * 100,
    "nanoseconds": NOW_US * 1000,
    "tenths of nanoseconds": NOW_US * 10_000,
}


class Life:
    """The nonces of one client through restarts, with their marks."""

    def __init__(self, *, strict: bool = False) -> None:
        self.marks: dict[str, int] = {}
        self.now_us = NOW_US
        self._strict = strict
        self.restart()

    def restart(self) -> None:
        self.nonces = ClientNonces(NAME, dict(self.marks), strict=self._strict)

    def forgive(self) -> None:
        """Forgive as `signer clients forgive` does beside a gateway."""
        self.marks[f"{NAME}/{FORGIVEN}"] = max(self.marks.values())
        self.nonces.forgive(self.marks)

    def accepted(self, nonce: int, signature: bytes = b"s") -> bool:
        """Whether a call passes, its mark stored first."""
        try:
            self.nonces.accept(nonce, signature, self.now_us)
        except NotAuthentic:
            return False
        wanted = self.nonces.mark_for(nonce, self.now_us)
        if wanted is not None:
            self.marks[wanted[0]] = max(wanted[1], self.marks.get(wanted[0], 0))
            self.nonces.stored(nonce, wanted[1])
        return True


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit != "tenths of nanoseconds"])
@pytest.mark.parametrize("larger", ["nanoseconds", "tenths of nanoseconds", "tens of nanoseconds"])
def test_a_nonce_in_a_larger_unit_locks_nobody_out(unit: str, larger: str) -> None:
    """The client goes on in its usual unit, before and after a restart."""
    life = Life()
    assert life.accepted(UNITS[unit])
    if UNITS[larger] > UNITS[unit]:
        assert life.accepted(UNITS[larger])
    assert life.accepted(UNITS[unit] + 1)
    life.restart()
    per_second = UNITS[unit] // (NOW_US // 1_000_000)
    assert life.accepted(UNITS[unit] + 3 * max(per_second, 1) + 1)


def _as_it_is(_: Life) -> None:
    """Change nothing."""


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("between", [_as_it_is, Life.restart, Life.forgive], ids=["at once", "restarted", "forgiven"])
def test_no_call_is_accepted_twice(between: Callable[[Life], None], strict: bool) -> None:
    """Whatever units it has used in which order, and however it was forgiven and restarted meanwhile."""
    life = Life(strict=strict)
    used = [nonce for nonce in sorted(UNITS.values()) if life.accepted(nonce)]
    assert used == sorted(UNITS.values())
    between(life)
    assert not any(life.accepted(nonce) for nonce in used)
    life.forgive()
    life.restart()
    assert not any(life.accepted(nonce) for nonce in used)


def test_a_strict_client_is_forgiven_a_larger_unit() -> None:
    """Kraken's own rule shuts its usual unit; forgiven, it counts on from where it was, also after a restart."""
    life = Life(strict=True)
    ms = UNITS["milliseconds"]
    assert life.accepted(ms)
    assert life.accepted(UNITS["nanoseconds"])
    assert not life.accepted(ms + 5000)
    life.forgive()
    assert not life.accepted(ms)
    assert life.accepted(ms + 5000)
    assert not life.accepted(ms + 4999)
    life.restart()
    assert not life.accepted(ms + 5000)
    assert life.accepted(ms + 10_000)
    assert not life.accepted(UNITS["nanoseconds"])


def test_units_beyond_the_remembered_ones_stay_shut_below_their_highest() -> None:
    """Memory is bounded: of a unit that was not used lately everything up to its highest counts as used."""
    life = Life()
    numbers = [10**digits for digits in range(10, 10 + MOST_WINDOWS + 2)]
    assert all(life.accepted(number + 50) for number in numbers)
    assert not life.accepted(numbers[0] + 49, b"another call")
    assert life.accepted(numbers[0] + 51)
    assert not life.accepted(numbers[0] + 50)


PER_SECOND = {
    "seconds": 1,
    "milliseconds": 10**3,
    "microseconds": 10**6,
    "tens of nanoseconds": 10**8,
    "nanoseconds": 10**9,
}
DAY_S = MOST_AHEAD_US // 1_000_000


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("unit", PER_SECOND)
@pytest.mark.parametrize("ahead_s", [DAY_S + 60, 400 * DAY_S, 5_000_000_000])
def test_a_nonce_from_far_in_the_future_shuts_nobody_out(unit: str, ahead_s: int, strict: bool) -> None:
    """A client that counts by the clock is refused such a nonce, and goes on at once and after a restart."""
    life, per_second = Life(strict=strict), PER_SECOND[unit]
    assert life.accepted(UNITS[unit])
    assert not life.accepted(UNITS[unit] + ahead_s * per_second)
    assert life.accepted(UNITS[unit] + 5 * per_second)
    life.restart()
    assert not life.accepted(UNITS[unit] + ahead_s * per_second)
    assert life.accepted(UNITS[unit] + 10 * per_second)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("ahead_s", [DAY_S + 60, 400 * DAY_S, 5_000_000_000])
def test_a_first_nonce_from_far_in_the_future_shuts_nobody_out(unit: str, ahead_s: int, strict: bool) -> None:
    """A wrong date in the first call of a client, or in its first call in a unit, leaves no mark."""
    life = Life(strict=strict)
    far = UNITS[unit] + ahead_s * {**PER_SECOND, "tenths of nanoseconds": 10**10}.get(unit, 1000)
    if far < 2**64:
        assert not life.accepted(far)
    life.restart()
    assert life.accepted(UNITS[unit])


@pytest.mark.parametrize("nonce", [2**64 - 1, 10**19 - 1, 10**18 - 1, 9_999_999_999_999, 5_000_000_000], ids=str)
def test_a_first_nonce_of_no_known_clock_is_refused(nonce: int) -> None:
    """After it the client could make few calls or none in that unit, and in no larger one."""
    life = Life()
    assert not life.accepted(nonce)
    assert not life.marks


@pytest.mark.parametrize("hours", [-24 * 365 * 9, -14, 0, 14])
@pytest.mark.parametrize("unit", [*UNITS, ".NET ticks", "Windows ticks"])
def test_a_first_nonce_of_each_known_clock_passes(unit: str, hours: int) -> None:
    """The clock of the bot's machine may be in another time zone, or far behind."""
    ticks = {".NET ticks": NOW_US * 10 + 621_355_968 * 10**9, "Windows ticks": NOW_US * 10 + 116_444_736 * 10**9}
    per_second = {**PER_SECOND, "tenths of nanoseconds": 10**10, ".NET ticks": 10**7, "Windows ticks": 10**7}
    first = {**UNITS, **ticks}[unit] + hours * 3600 * per_second.get(unit, 1000)
    if first > 0:  # a clock since 2020 shows nothing nine years ago
        assert Life().accepted(first)


@pytest.mark.parametrize("year", [1970, 2025])
def test_our_own_clock_before_its_time_bounds_no_first_nonce(year: int) -> None:
    """A machine without a battery begins in 1970 until it hears the time."""
    life = Life()
    life.now_us = (year - 1970) * 365 * 24 * 3600 * 1_000_000
    assert all(life.accepted(nonce) for nonce in UNITS.values())


def test_the_refusal_says_what_to_look_at() -> None:
    """The answer is Kraken's; the log names the two clocks and the unit."""
    life = Life()
    assert life.accepted(UNITS["milliseconds"])
    with pytest.raises(NotAuthentic) as refused:
        life.nonces.accept(UNITS["milliseconds"] * 2, b"s", NOW_US)
    assert (words(refused.value), refused.value.detail) == (("EAPI:Invalid nonce",), TOO_FAR_AHEAD)


@pytest.mark.parametrize("start", [0, 1_000_000, 638_900_000_000_000_000, 134_300_000_000_000_000], ids=str)
def test_what_does_not_count_by_the_clock_is_not_bound_by_it(start: int) -> None:
    """Counters, and ticks since the year 1 or 1601, may rest for a year and go on."""
    life, year = Life(), 365 * 24 * 3600 * 10**7
    assert life.accepted(start + 1)
    life.restart()
    assert life.accepted(start + 1 + (year if start > 10**9 else 10**8))


@pytest.mark.parametrize("wrong_us", [1_000_000, NOW_US - 90 * 24 * 3600 * 1_000_000])
def test_our_own_wrong_clock_shuts_nobody_out(wrong_us: int) -> None:
    """A gateway whose clock has fallen back takes the nonces of a client that goes on."""
    life = Life()
    assert life.accepted(UNITS["milliseconds"])
    life.now_us = wrong_us
    life.restart()
    assert life.accepted(UNITS["milliseconds"] + 60_000)


def test_a_client_that_counts_up_from_the_clock_may_run_ahead_of_it() -> None:
    """A bot that adds one to a nonce in seconds for each call passes the bound step by step."""
    life = Life()
    assert all(life.accepted(UNITS["seconds"] + step) for step in range(0, 3 * DAY_S, 3600))


_STEPS = st.lists(
    st.tuples(
        st.sampled_from([10**10, 10**13, 10**16, NOW_US // 10**6, NOW_US // 1000, NOW_US, 638_900_000_000_000_000]),
        st.integers(0, 3 * MOST_AHEAD_US),
        st.integers(-2 * MOST_AHEAD_US, 2 * MOST_AHEAD_US),
        st.sampled_from(["", "restart", "forgive"]),
    ),
    max_size=40,
)


@given(_STEPS, st.booleans())
def test_no_call_is_accepted_twice_whatever_the_clock_does(
    steps: list[tuple[int, int, int, str]], strict: bool
) -> None:
    """The clock jumps, the client jumps, the gateway restarts: each call is accepted once at most."""
    life, seen = Life(strict=strict), set[int]()
    for base, ahead, drift, event in steps:
        life.now_us = NOW_US + drift
        for nonce in (base + ahead, *seen):
            if life.accepted(nonce):
                assert nonce not in seen
                seen.add(nonce)
        if event and life.marks:
            getattr(life, event)()
