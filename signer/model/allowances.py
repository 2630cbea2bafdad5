"""How many calls a venue takes: counters that rise with each call and fall with time (docs/kraken.md §4)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """One counter: a call is refused that would take it above ``limit``; it falls by ``decay`` in a second."""

    limit: float
    decay: float

    @property
    def drain_s(self) -> float:
        """Return how long a full counter takes to fall to nothing."""
        return self.limit / self.decay


@dataclass(frozen=True, slots=True)
class Tier:
    """What a venue allows an account of one level of verification. None: it counts nothing."""

    reads: Allowance | None
    """The counter of each key."""
    orders: Allowance | None
    """The counter of each pair, over all keys of the account."""
