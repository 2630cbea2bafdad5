"""Rolling windows: how much of a cap is used, in bounded space and constant time.

A window is counted in 120 slots. A charge belongs to the slot of its time and leaves the total when its *whole slot*
has left the window: never before ``window`` has passed, and at most a 120th of it later. So a cap is never exceeded,
however many charges the window holds, and the ledger keeps at most 121 sums for each cap.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Clamped, Context, Decimal, Inexact, InvalidOperation, Overflow, Underflow

SLOTS = 120

EXACT = Context(prec=100, traps=[Clamped, Inexact, InvalidOperation, Overflow, Underflow])
"""Sums of money are exact, or an error: the default context would round at 28 digits."""


def slot_at(at_us: int, window_s: int) -> int:
    """The slot that a moment lies in. Slots are numbered from the epoch; one lasts ``window_s / 120``."""
    return at_us * SLOTS // (window_s * 1_000_000)


class Window:
    """What is used of one cap. Time never goes back here: the ledger passes ``max(last seen, now)``."""

    def __init__(self, window_s: int, slots: Mapping[int, Decimal]) -> None:
        self.window_s = window_s
        self.slots = dict(sorted(slots.items()))
        """Amount by slot, oldest first."""
        self._total = Decimal(0)
        for amount in self.slots.values():
            self._total = EXACT.add(self._total, amount)

    def used(self, now_us: int) -> Decimal:
        """The sum of all charges that are, or may still be, inside the window."""
        oldest = self.oldest(now_us)
        while self.slots and (first := next(iter(self.slots))) < oldest:
            self._total = EXACT.subtract(self._total, self.slots.pop(first))
        return self._total

    def oldest(self, now_us: int) -> int:
        """The first slot that still counts."""
        return slot_at(now_us, self.window_s) - SLOTS

    def add(self, slot: int, amount: Decimal) -> Decimal:
        """Add to a slot (less, where ``amount`` is negative); the slot's new sum."""
        self.slots[slot] = EXACT.add(self.slots.get(slot, Decimal(0)), amount)
        self._total = EXACT.add(self._total, amount)
        return self.slots[slot]
