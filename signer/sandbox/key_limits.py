"""What Kraken counts for each key and caller: nonces, the REST counter, and failures in a row."""

from __future__ import annotations

from typing import final

LARGEST_NONCE = 2**64 - 1

REST_TIERS = {
    "starter": (15.0, 0.33),
    "intermediate": (20.0, 0.5),
    "pro": (20.0, 1.0),
    "unlimited": (float("inf"), 0.0),
}
"""REST counter's maximum and decay per second (docs/kraken.md §4); ``unlimited`` is ours, for tests under load."""

_DOUBLE = frozenset({"Ledgers", "QueryLedgers", "TradesHistory", "QueryTrades", "ClosedOrders"})
_FREE = frozenset(
    {
        "AddOrder",
        "AddOrderBatch",
        "AmendOrder",
        "EditOrder",
        "CancelOrder",
        "CancelOrderBatch",
        "CancelAll",
        "CancelAllOrdersAfter",
    }
)

FAILURES_BEFORE_LOCKOUT = 20
"""Kraken does not say how many; well above what a person's mistakes make."""

LOCKOUT_S = 900.0
"""About a quarter of an hour, begun again by each try (docs/kraken.md §3)."""


@final
class Nonces:
    """The nonces of one key: each is accepted once, above the highest or within the key's window below it."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.highest = 0
        self._used: set[int] = set()

    def accept(self, text: str) -> bool:
        """Take the nonce as written, or say no. What Kraken does with a repeat inside the window is not known."""
        if not (text.isascii() and text.isdigit() and len(text) <= 20) or not 0 < int(text) <= LARGEST_NONCE:
            return False
        nonce = int(text)
        if nonce in self._used or nonce < self.highest - self.window:
            return False
        self.highest = max(self.highest, nonce)
        self._used = {used for used in self._used | {nonce} if used >= self.highest - self.window}
        return True


@final
class RestCounter:
    """The call counter of one key: each call adds to it and time takes away (docs/kraken.md §4)."""

    def __init__(self, tier: str) -> None:
        self._limit, self._decay = REST_TIERS[tier]
        self._level = 0.0
        self._at = 0.0

    def spend(self, endpoint: str, now: float) -> bool:
        """Count a call, or say that it is one too many. Orders are free here: they have counters of their own."""
        self._level = max(0.0, self._level - self._decay * max(0.0, now - self._at))
        self._at = now
        cost = 0 if endpoint in _FREE else 2 if endpoint in _DOUBLE else 1
        if cost and self._level + cost > self._limit:
            return False
        self._level += cost
        return True


@final
class Lockouts:
    """Who failed too often in a row: an address by unknown keys, a key by nonces."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def locked(self, who: str, now: float) -> bool:
        """Whether ``who`` is locked out; a try while locked begins the time again."""
        if now >= self._until.get(who, 0.0):
            return False
        self._until[who] = now + LOCKOUT_S
        return True

    def failed(self, who: str, now: float) -> None:
        """Count a failure in a row."""
        self._failures[who] = self._failures.get(who, 0) + 1
        if self._failures[who] >= FAILURES_BEFORE_LOCKOUT:
            self._until[who] = now + LOCKOUT_S
            del self._failures[who]

    def passed(self, who: str) -> None:
        """A success ends the row."""
        self._failures.pop(who, None)
