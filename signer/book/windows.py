"""How much of a cap is used: rolling windows, counted in 120 slots.

A charge belongs to the slot of its time and leaves the total when its *whole slot* has left the window: never before
``window`` has passed, and at most a 120th of it later. So a cap is never exceeded, however many charges the window
holds, and there are at most 121 sums for each cap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Clamped, Context, Decimal, Inexact, InvalidOperation, Overflow, Underflow
from typing import Final, NamedTuple, TypeAlias

from signer.errors import LedgerError, NotReserved, RefusalKind
from signer.model import Charge

SLOTS: Final = 120

EXACT: Final = Context(prec=100, traps=[Clamped, Inexact, InvalidOperation, Overflow, Underflow])
"""Sums of money are exact, or an error: the default context would round at 28 digits."""

DIGITS: Final = 35
"""Amounts and limits have no more digits than this on either side of the point."""

Key: TypeAlias = tuple[str, str, int]
"""Scope, unit and window in seconds: what a total belongs to. It does not hold the cap's name, which tells the limit: a
policy that changes a limit must not make what was spent forgotten."""


def slot_at(at_us: int, window_s: int) -> int:
    """Return the slot that a moment lies in. Slots are numbered from the epoch; one lasts ``window_s / 120``."""
    return at_us * SLOTS // (window_s * 1_000_000)


class Window:
    """What is used of one cap."""

    def __init__(self, window_s: int, slots: Mapping[int, Decimal]) -> None:
        self.window_s = window_s
        self.slots = dict(sorted(slots.items()))
        """Amount by slot, oldest first."""
        self._total = Decimal(0)
        for amount in self.slots.values():
            self._total = EXACT.add(self._total, amount)

    def used(self, now_us: int) -> Decimal:
        """Return the sum of all charges that are, or may still be, inside the window. Drops nothing."""
        oldest, used = self.oldest(now_us), self._total
        for slot, amount in self.slots.items():
            if slot >= oldest:
                break
            used = EXACT.subtract(used, amount)
        return used

    def oldest(self, now_us: int) -> int:
        """Return the first slot that still counts."""
        return slot_at(now_us, self.window_s) - SLOTS

    def add(self, slot: int, amount: Decimal) -> None:
        """Add to a slot; less, where ``amount`` is negative."""
        self._total = EXACT.add(self._total, amount)
        so_far = self.slots.get(slot)
        if so_far is not None:
            self.slots[slot] = EXACT.add(so_far, amount)
            return
        is_late = bool(self.slots) and slot < next(reversed(self.slots))
        self.slots[slot] = amount
        if is_late:
            self.slots = dict(sorted(self.slots.items()))

    def drop_old(self, now_us: int) -> None:
        """Forget the slots that have left the window. Only for a moment after which none before it is asked for."""
        oldest = self.oldest(now_us)
        while self.slots and (first := next(iter(self.slots))) < oldest:
            self._total = EXACT.subtract(self._total, self.slots.pop(first))


class Need(NamedTuple):
    """All that one call charges to one cap."""

    key: Key
    cap: str
    amount: Decimal
    limit: Decimal


def key_of(charge: Charge) -> Key:
    """Return the total that a charge belongs to."""
    return charge.scope, charge.unit, charge.window_s


def needs_of(charges: Iterable[Charge]) -> Sequence[Need]:
    """Return what ``charges`` together need of each cap. Raises `LedgerError` for a charge that makes no sense."""
    needs: dict[Key, Need] = {}
    for cap, scope, unit, window_s, limit, amount, _ in charges:
        if not (_countable(amount) and _countable(limit) and window_s > 0):
            raise LedgerError(f"a charge makes no sense: {amount} of {limit} in {window_s} s")
        key = scope, unit, window_s
        so_far = needs.get(key)
        if so_far is None:
            needs[key] = Need(key, cap, amount, limit)
        else:
            # Two limits for one total cannot both be meant: the lower one is safe.
            lower, named = min((so_far.limit, so_far.cap), (limit, cap))
            needs[key] = Need(key, named, EXACT.add(so_far.amount, amount), lower)
    return [need for need in needs.values() if need.amount]


def _countable(amount: Decimal) -> bool:
    # Sums of such amounts are exact in a hundred digits, so one caller's charge can never spoil the others' batch.
    if not amount.is_finite() or amount.adjusted() > DIGITS:
        return False
    if len(text := str(amount)) <= DIGITS and "E" not in text and "-" not in text:
        return True
    sign, _, exponent = amount.as_tuple()
    return not (sign and amount) and int(exponent) >= -DIGITS


def overdue_of(held: Iterable[tuple[Sequence[Charge], int]], now_us: int) -> Mapping[Key, Decimal]:
    """Return what open calls hold although their time has left the window: it may yet be spent.

    ``held`` has the charges of each open call and the moment by which they are dated.
    """
    overdue: dict[Key, Decimal] = {}
    for charges, held_us in held:
        for charge in charges:
            if slot_at(held_us, charge.window_s) < slot_at(now_us, charge.window_s) - SLOTS:
                key = key_of(charge)
                overdue[key] = EXACT.add(overdue.get(key, Decimal(0)), charge.amount)
    return overdue


def moved(charges: Iterable[Charge], held_us: int, at_us: int) -> Sequence[Charge]:
    """Return the charges that lie in another slot once they are dated at ``at_us`` instead of ``held_us``."""
    held, at = held_us * SLOTS, at_us * SLOTS
    return [one for one in charges if held // (one.window_s * 1_000_000) != at // (one.window_s * 1_000_000)]


def require_fit(needs: Iterable[Need], used: Callable[[Key], Decimal]) -> None:
    """Raises `NotReserved`, naming each cap that would be passed, unless all ``needs`` fit beside what is used."""
    left = [(need, EXACT.subtract(need.limit, used(need.key))) for need in needs]
    short = [(need, rest) for need, rest in left if rest < need.amount]
    if short:
        raise _refusal(short)


def _refusal(short: Sequence[tuple[Need, Decimal]]) -> NotReserved:
    """Return the refusal for the first cap that has too little left."""
    (need, left), *_ = short
    _, unit, _ = need.key
    reason = f"policy cap '{need.cap}' has {plain(max(left, Decimal(0)))} {unit} left and this call needs "
    reason += plain(need.amount)
    rules = tuple(need.cap for need, _ in short)
    kind = RefusalKind.CAP_OF_ORDERS if unit == "orders" else RefusalKind.CAP
    return NotReserved(kind, reason, rules=rules)


def plain(amount: Decimal) -> str:
    """Return the one decimal text of an amount: without exponent and without zeros at its end."""
    return f"{amount.normalize(EXACT):f}"
