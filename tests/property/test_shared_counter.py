"""The venue's counter, shared by client: never more than the venue takes, and always some for who holds little."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.lanes.shares import SharedCounter
from signer.model.allowances import Allowance
from signer.venues.kraken.encode import TIERS

STARTER = Allowance(15, 0.25)
"""Decays by a binary fraction, so that the oracle's exact numbers and floats agree."""
CLIENTS = ("a", "b", "c", "d")


@dataclass
class Oracle:
    """Kraken's side, by its own words: one number that rises with each call and falls with time; and who added what."""

    limit: Fraction
    decay: Fraction
    level: Fraction = Fraction(0)
    held: dict[str, Fraction] = field(default_factory=dict)

    def pass_time(self, seconds: Fraction) -> None:
        """Everybody's part falls as the whole does."""
        left = max(Fraction(0), self.level - self.decay * seconds)
        for client, part in self.held.items():
            self.held[client] = part * left / self.level if self.level else Fraction(0)
        self.level = left

    def add(self, client: str, cost: int) -> None:
        """A call arrived."""
        self.level += cost
        self.held[client] = self.held.get(client, Fraction(0)) + cost


EVENTS = st.lists(
    st.tuples(st.sampled_from(CLIENTS), st.sampled_from([1, 2]), st.integers(0, 40).map(lambda n: Fraction(n, 4))),
    max_size=80,
)


@given(EVENTS)
def test_the_venue_never_refuses_what_we_let_through(events: list[tuple[str, int, Fraction]]) -> None:
    """The venue's own count stays within its bound whoever calls whenever, and ours agrees with it."""
    counter, venue, now = SharedCounter(STARTER), Oracle(Fraction(15), Fraction(1, 4)), Fraction(0)
    for client, cost, later in events:
        now += later
        venue.pass_time(later)
        if counter.fits(client, cost, float(now)):
            counter.add(client, cost, float(now))
            venue.add(client, cost)
        assert venue.level <= venue.limit
        assert counter.level(float(now)) == pytest.approx(float(venue.level), abs=1e-5)


@given(EVENTS)
def test_who_holds_less_than_an_equal_part_is_refused_only_when_it_is_full(
    events: list[tuple[str, int, Fraction]],
) -> None:
    """A client whose part is below a fifth of what is shared (four clients and the gateway) needs room, and no more."""
    counter, venue, now = SharedCounter(STARTER), Oracle(Fraction(15), Fraction(1, 4)), Fraction(0)
    fifth = Fraction(15) * Fraction(5, 6) / 5
    for client, cost, later in events:
        now += later
        venue.pass_time(later)
        fits = counter.fits(client, cost, float(now))
        held = venue.held.get(client, Fraction(0))
        if not fits and held + cost <= fifth - Fraction(1, 1000):
            assert venue.level + cost > venue.limit - Fraction(1, 1000)
        if fits:
            counter.add(client, cost, float(now))
            venue.add(client, cost)


def flood(counter: SharedCounter, clients: str, since: float, until: float) -> dict[str, int]:
    """How many calls each gets through that tries ten times a second."""
    passed = dict.fromkeys(clients, 0)
    for tick in range(round(since * 10), round(until * 10)):
        for client in clients:
            if counter.fits(client, 1, tick / 10):
                counter.add(client, 1, tick / 10)
                passed[client] += 1
    return passed


@pytest.mark.parametrize("tier", ["starter", "intermediate", "pro"])
def test_a_lone_client_may_use_all(tier: str) -> None:
    """All of the counter at once, and then what falls off it."""
    allowance = TIERS[tier].reads
    assert allowance is not None
    passed = flood(SharedCounter(allowance), "a", 0, 60)
    assert passed["a"] == pytest.approx(allowance.limit + 60 * allowance.decay, abs=1.5)


@pytest.mark.parametrize("tier", ["starter", "intermediate", "pro"])
@pytest.mark.parametrize("flooders", ["ab", "abcd"])
def test_a_newcomer_finds_room_beside_flooders(tier: str, flooders: str) -> None:
    """Each of its calls passes, a dear one too, as soon as it comes; flooders share the rest evenly."""
    allowance = TIERS[tier].reads
    assert allowance is not None
    counter = SharedCounter(allowance)
    flood(counter, flooders, 0, 100)
    for minute in range(5):
        start = 100 + 60 * minute
        assert counter.fits("z", 2, start)
        counter.add("z", 2, start)
        passed = flood(counter, flooders, start, start + 60)
        assert sum(passed.values()) >= 0.8 * allowance.decay * 60 - 2
        assert max(passed.values()) - min(passed.values()) <= 2


def test_a_client_may_borrow_what_the_others_do_not_want() -> None:
    """Clients that have gone silent keep nothing but the newcomer's part from who calls."""
    counter = SharedCounter(STARTER)
    flood(counter, "abcd", 0, 10)
    passed = flood(counter, "a", 200, 202)
    assert passed["a"] == 12


def test_our_own_questions_take_at_most_half() -> None:
    """Our own questions wait as long as the counter says and not longer, beside a flood too."""
    counter, now, asked = SharedCounter(STARTER), 0.0, 0
    for _ in range(40):
        flood(counter, "ab", now, now + 0.1)
        wait = counter.wait_for_own(2, now)
        if wait:
            assert counter.wait_for_own(2, now + wait * 0.9) > 0
            now += wait + 1e-6
            assert counter.wait_for_own(2, now) == pytest.approx(0, abs=1e-5)
        counter.add_own(2, now)
        asked += 2
        assert counter.level(now) <= 15 + 1e-4
    assert asked <= 7.5 + now * 0.25
    assert now <= asked / (0.25 / 2)  # beside a flood they get half of what falls off


def test_ours_alone_stop_at_half() -> None:
    """Our own questions stop at half of the counter even if nobody else calls."""
    counter, asked = SharedCounter(STARTER), 0
    while not counter.wait_for_own(1, 0.0):
        counter.add_own(1, 0.0)
        asked += 1
    assert asked == 7
    assert counter.fits("a", 1, 0.0)


def test_a_counter_that_the_venue_calls_full_is_full() -> None:
    """A counter may be full for the venue and not for us, if somebody else uses the key or the tier is lower."""
    counter = SharedCounter(STARTER)
    counter.fill(0.0)
    assert not counter.fits("a", 1, 0.0)
    assert counter.fits("a", 1, 4.1)


def test_without_an_allowance_all_fits() -> None:
    """Every call passes at the sandbox, which is under load and has no counter."""
    counter = SharedCounter()
    assert all(counter.fits("a", 1000, 0.0) for _ in range(3))
    counter.add("a", 1000, 0.0)
    assert counter.wait_for_own(1000, 0.0) == 0
