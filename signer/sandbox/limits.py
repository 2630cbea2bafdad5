"""The trading engine's order counters: one for each account and pair, shared by all keys (docs/kraken.md §4)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from signer.sandbox.rejected import Rejected


@dataclass(frozen=True, slots=True)
class CounterTier:
    """The bounds on each pair by the account's verification level."""

    threshold: int
    decay: float
    """How much the counter falls in a second."""
    open_orders: int


TIERS = {
    "starter": CounterTier(60, 1.0, 60),
    "intermediate": CounterTier(125, 2.34, 80),
    "pro": CounterTier(180, 3.75, 225),
    "unlimited": CounterTier(10**9, 1.0, 10**9),  # not one of Kraken's, but for load tests
}

_AGES = (5, 10, 15, 45, 90, 300)
_AMEND = (3, 2, 1, 0, 0, 0, 0)
_EDIT = (6, 5, 4, 2, 1, 0, 0)
_CANCEL = (8, 6, 5, 4, 2, 1, 0)

FIXED = 1.0
"""The cost of an order, amend or edit on arrival, even if it fails."""
ADD = FIXED


def amend_cost(age: float) -> float:
    """Answer the cost of amending an order of this age in seconds."""
    return 1.0 + _AMEND[bisect_right(_AGES, age)]


def edit_cost(age: float) -> float:
    """Answer the cost of editing an order of this age in seconds."""
    return 1.0 + _EDIT[bisect_right(_AGES, age)]


def cancel_cost(age: float) -> float:
    """Answer the cost of cancelling an order of this age in seconds."""
    return float(_CANCEL[bisect_right(_AGES, age)])


def batch_cost(orders: int) -> float:
    """Answer the cost of placing a batch."""
    return 1.0 + orders / 2


class CallCounters:
    """Counts one account's calls, by pair. The counters fall with time."""

    def __init__(self, tier: CounterTier) -> None:
        self.tier = tier
        self._counts: dict[str, tuple[float, float]] = {}

    def count(self, pair: str, now: float) -> float:
        """Answer the value of a pair's counter."""
        count, at = self._counts.get(pair, (0.0, now))
        return max(0.0, count - self.tier.decay * max(0.0, now - at))

    def charge(self, pair: str, cost: float, now: float) -> None:
        """Count a call. Raises `Rejected` above the threshold, and still counts the call's fixed part."""
        if self.count(pair, now) + cost > self.tier.threshold:
            self.add(pair, FIXED, now)
            raise Rejected("EOrder:Rate limit exceeded")
        self.add(pair, cost, now)

    def require_room(self, pair: str, now: float) -> None:
        """Raise `Rejected` if the counter has reached the threshold, above which even cancels are refused."""
        if self.count(pair, now) >= self.tier.threshold:
            raise Rejected("EOrder:Rate limit exceeded")

    def add(self, pair: str, cost: float, now: float) -> None:
        """Count a cancel, which may raise the counter above the threshold, or a call that fails."""
        self._counts[pair] = (self.count(pair, now) + cost, now)
