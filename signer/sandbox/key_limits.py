"""Counts for each key and caller: nonces, REST calls and consecutive failures."""

from __future__ import annotations

from typing import final

LARGEST_NONCE = 2**64 - 1

REST_TIERS = {
    "starter": (15.0, 0.33),
    "intermediate": (20.0, 0.5),
    "pro": (20.0, 1.0),
    "unlimited": (float("inf"), 0.0),
}
"""The REST counter's maximum and decay per second (docs/kraken.md §4). ``unlimited`` is for load tests."""

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
"""Failures until a lockout. Kraken states no number; this is far more than a person's mistakes."""

LOCKOUT_S = 900.0
"""The length of a lockout, which each try begins again (docs/kraken.md §3)."""


@final
class Nonces:
    """The nonces of one key. Each is accepted once, above the highest or within the key's window below it."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.highest = 0
        self._used: set[int] = set()

    def accept(self, text: str) -> bool:
        """Answer whether the nonce, as written, is accepted. What Kraken does with repeats in the window is unknown."""
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
    """The call counter of one key, which each call raises and time lowers (docs/kraken.md §4)."""

    def __init__(self, tier: str) -> None:
        self._limit, self._decay = REST_TIERS[tier]
        self._level = 0.0
        self._at = 0.0

    def set_tier(self, tier: str) -> None:
        """Change its maximum and decay. What was counted stays."""
        self._limit, self._decay = REST_TIERS[tier]

    def spend(self, endpoint: str, now: float) -> bool:
        """Count a call and answer whether it is allowed. Orders cost nothing here: they have counters of their own."""
        self._level = max(0.0, self._level - self._decay * max(0.0, now - self._at))
        self._at = now
        cost = 0 if endpoint in _FREE else 2 if endpoint in _DOUBLE else 1
        if cost and self._level + cost > self._limit:
            return False
        self._level += cost
        return True


@final
class Lockouts:
    """Locks out addresses that use unknown keys, and keys with refused nonces, too often in a row."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def locked(self, who: str, now: float) -> bool:
        """Answer whether ``who`` is locked out. A try during a lockout begins its time again."""
        if now >= self._until.get(who, 0.0):
            return False
        self._until[who] = now + LOCKOUT_S
        return True

    def failed(self, who: str, now: float) -> None:
        """Count a consecutive failure."""
        self._failures[who] = self._failures.get(who, 0) + 1
        if self._failures[who] >= FAILURES_BEFORE_LOCKOUT:
            self._until[who] = now + LOCKOUT_S
            del self._failures[who]

    def passed(self, who: str) -> None:
        """Reset the count after a success."""
        self._failures.pop(who, None)
