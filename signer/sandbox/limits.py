"""The trading engine's order counter: one for each account and pair, whoever's key it is (docs/kraken.md §4)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from signer.sandbox.rejected import Rejected


@dataclass(frozen=True, slots=True)
class CounterTier:
    """What an account's verification level allows on each pair."""

    threshold: int
    decay: float
    """By how much the counter falls in a second."""
    open_orders: int


TIERS = {
    "starter": CounterTier(60, 1.0, 60),
    "intermediate": CounterTier(125, 2.34, 80),
    "pro": CounterTier(180, 3.75, 225),
    "unlimited": CounterTier(10**9, 1.0, 10**9),  # none of Kraken's: for load tests
}

_AGES = (5, 10, 15, 45, 90, 300)
_AMEND = (3, 2, 1, 0, 0, 0, 0)
_EDIT = (6, 5, 4, 2, 1, 0, 0)
_CANCEL = (8, 6, 5, 4, 2, 1, 0)

FIXED = 1.0
"""What an order, amend or edit counts on its arrival, even if it fails."""
ADD = FIXED


def amend_cost(age: float) -> float:
    """Answer what it costs to amend an order of this age (seconds)."""
    return 1.0 + _AMEND[bisect_right(_AGES, age)]


def edit_cost(age: float) -> float:
    """Answer what it costs to edit an order of this age (seconds)."""
    return 1.0 + _EDIT[bisect_right(_AGES, age)]


def cancel_cost(age: float) -> float:
    """Answer what it costs to cancel an order of this age (seconds)."""
    return float(_CANCEL[bisect_right(_AGES, age)])


def batch_cost(orders: int) -> float:
    """Answer what it costs to place a batch."""
    return 1.0 + orders / 2


class CallCounters:
    """One account's counters, each falling with time."""

    def __init__(self, tier: CounterTier) -> None:
        self.tier = tier
        self._counts: dict[str, tuple[float, float]] = {}

    def count(self, pair: str, now: float) -> float:
        """Answer where a pair's counter stands."""
        count, at = self._counts.get(pair, (0.0, now))
        return max(0.0, count - self.tier.decay * max(0.0, now - at))

    def charge(self, pair: str, cost: float, now: float) -> None:
        """Count a call; `Rejected` if it passes the threshold. Then its fixed part counts all the same."""
        if self.count(pair, now) + cost > self.tier.threshold:
            self.add(pair, FIXED, now)
            raise Rejected("EOrder:Rate limit exceeded")
        self.add(pair, cost, now)

    def require_room(self, pair: str, now: float) -> None:
        """Raise `Rejected` if the counter has reached the threshold: then not even a cancel is taken."""
        if self.count(pair, now) >= self.tier.threshold:
            raise Rejected("EOrder:Rate limit exceeded")

    def add(self, pair: str, cost: float, now: float) -> None:
        """Count a cancel, which may carry the counter past the threshold; or a call that fails."""
        self._counts[pair] = (self.count(pair, now) + cost, now)
