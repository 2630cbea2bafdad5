"""What a call may spend: caps, whose charges are held and given back, and halts. Also intents and orders as JSON text.

A rolling window is counted in 120 slots. A charge belongs to the slot of its time and leaves the total when its *whole
slot* has left the window: never before ``window`` has passed, and at most a 120th of it later. So a cap is never
exceeded, however many charges the window holds, and the ledger keeps at most 121 sums for each cap.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Clamped, Context, Decimal, Inexact, InvalidOperation, Overflow, Underflow
from pathlib import Path
from typing import TypeAlias

from pydantic import TypeAdapter, ValidationError

from signer.errors import Halted, LedgerError, NotReserved, RefusalKind
from signer.model import Charge, Halt, Intent, Order, Usage

DIGITS = 35
"""Amounts and limits have no more digits than this on either side of the point."""

Key: TypeAlias = tuple[str, str, int]
"""Scope, unit and window: what a total belongs to. Not the cap's name, which holds the limit: a policy that changes a
limit must not make what was spent forgotten."""


@dataclass
class _Cap:
    id: int | None  # None until something is charged
    said: tuple[str, str]  # its name and limit, as stored
    window: Window


@dataclass(frozen=True)
class Need:
    """All that one call charges to one cap."""

    key: Key
    cap: str
    amount: Decimal
    limit: Decimal


class Caps:
    """The caps' totals: in the database, and in memory as far as they have been asked for.

    Lives inside the writer's transactions. Whoever rolls one back calls `forget`, so that memory is read again.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[Key, _Cap] = {}

    def forget(self) -> None:
        """Believe nothing but the database."""
        self._known.clear()

    def fit(self, charges: Sequence[Charge], now_us: int) -> Sequence[Need]:
        """Return what ``charges`` need of each cap. Writes nothing.

        Raises `NotReserved` naming every cap that would be passed, and `LedgerError` for a charge that makes no sense.
        """
        needs = _needs(charges)
        overdue = still_open(self._db, min(need.key[2] for need in needs), now_us) if needs else {}
        short = [(need, left) for need in needs if (left := self._left(need, now_us, overdue)) < need.amount]
        if short:
            raise _refusal(short)
        return needs

    def hold(self, needs: Iterable[Need], now_us: int) -> None:
        """Count what `fit` has let pass."""
        for need in needs:
            cap = self._cap(need.key)
            cap_id = self._stored(cap, need)
            slot = slot_at(now_us, cap.window.window_s)
            if slot not in cap.window.slots:  # once for each slot: so old rows cannot pile up
                self._db.execute("DELETE FROM spent WHERE cap = ? AND slot < ?", (cap_id, cap.window.oldest(now_us)))
            self._write(cap_id, slot, cap.window.add(slot, need.amount))

    def give_back(self, charges: Iterable[Charge], held_us: int) -> None:
        """Take charges held at ``held_us`` off the totals, where they still count."""
        for charge in charges:
            cap = self._cap(_key(charge))
            slot = slot_at(held_us, charge.window_s)
            if cap.id is not None and slot in cap.window.slots:
                self._write(cap.id, slot, cap.window.add(slot, -charge.amount))

    def date_anew(self, charges: Sequence[Charge], held_us: int, now_us: int) -> None:
        """Let charges held at ``held_us`` count from now on: only now it is known that they were spent by now."""
        moved = [charge for charge in charges if slot_at(held_us, charge.window_s) != slot_at(now_us, charge.window_s)]
        self.give_back(moved, held_us)
        self.hold(_needs(moved), now_us)

    def _left(self, need: Need, now_us: int, overdue: Mapping[Key, Decimal]) -> Decimal:
        used = EXACT.add(self._cap(need.key).window.used(now_us), overdue.get(need.key, Decimal(0)))
        return EXACT.subtract(need.limit, used)

    def _cap(self, key: Key) -> _Cap:
        if (known := self._known.get(key)) is None:
            known = self._known[key] = self._load(key)
        return known

    def _load(self, key: Key) -> _Cap:
        query = "SELECT id, name, upper FROM caps WHERE (scope, unit, window_s) = (?, ?, ?)"
        row = self._db.execute(query, key).fetchone()
        if row is None:
            return _Cap(None, ("", ""), Window(key[2], {}))
        return _Cap(row[0], (row[1], row[2]), _window(self._db, row[0], key[2]))

    def _stored(self, cap: _Cap, need: Need) -> int:
        says = need.cap, str(need.limit)
        if cap.id is None or cap.said != says:
            write = """INSERT INTO caps (scope, unit, window_s, name, upper) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT DO UPDATE SET name = excluded.name, upper = excluded.upper RETURNING id"""
            (cap.id,) = self._db.execute(write, (*need.key, *says)).fetchone()
            cap.said = says
        assert cap.id is not None  # noqa: S101 - for the type checker
        return cap.id

    def _write(self, cap_id: int, slot: int, amount: Decimal) -> None:
        write = "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET amount = excluded.amount"
        self._db.execute(write, (cap_id, slot, str(amount)))


def still_open(db: sqlite3.Connection, shortest_s: int, now_us: int) -> Mapping[Key, Decimal]:
    """Return what reservations without outcome hold although their time has left the window: it may yet be spent."""
    overdue: dict[Key, Decimal] = {}
    old = db.execute("SELECT intent, held_us FROM reservations WHERE held_us < ?", (now_us - shortest_s * 1_000_000,))
    for text, held_us in old:
        for charge in to_intent(text).charges:
            if slot_at(held_us, charge.window_s) < slot_at(now_us, charge.window_s) - SLOTS:
                key = _key(charge)
                overdue[key] = EXACT.add(overdue.get(key, Decimal(0)), charge.amount)
    return overdue


def usage(db: sqlite3.Connection, scope: str, now_us: int) -> Sequence[Usage]:
    """Return what is used now of each cap that ``scope`` was ever charged for."""
    query = "SELECT id, name, unit, window_s, upper FROM caps WHERE scope = ? ORDER BY name"
    overdue = still_open(db, 0, now_us)
    found = []
    for cap_id, name, unit, window_s, upper in db.execute(query, (scope,)).fetchall():
        late = overdue.get((scope, unit, window_s), Decimal(0))
        used = EXACT.add(_window(db, cap_id, window_s).used(now_us), late)
        found.append(Usage(name, scope, unit, window_s, used, Decimal(upper)))
    return found


def _window(db: sqlite3.Connection, cap_id: int, window_s: int) -> Window:
    rows = db.execute("SELECT slot, amount FROM spent WHERE cap = ?", (cap_id,))
    return Window(window_s, {slot: Decimal(amount) for slot, amount in rows})


def _key(charge: Charge) -> Key:
    return charge.scope, charge.unit, charge.window_s


def _needs(charges: Iterable[Charge]) -> Sequence[Need]:
    needs: dict[Key, Need] = {}
    for charge in charges:
        if not (_countable(charge.amount) and _countable(charge.limit) and charge.window_s > 0):
            raise LedgerError(f"a charge makes no sense: {charge.amount} of {charge.limit} in {charge.window_s} s")
        key = _key(charge)
        so_far = needs.get(key, Need(key, charge.cap, Decimal(0), charge.limit))
        # Two limits for one total cannot both be meant: the lower one is safe.
        limit, cap = min((so_far.limit, so_far.cap), (charge.limit, charge.cap))
        needs[key] = Need(key, cap, EXACT.add(so_far.amount, charge.amount), limit)
    return [need for need in needs.values() if need.amount]


def _countable(amount: Decimal) -> bool:
    # Sums of such amounts are exact in a hundred digits, so one caller's charge can never spoil the others' batch.
    if not amount.is_finite() or amount < 0:
        return False
    return amount.adjusted() <= DIGITS and -int(amount.as_tuple().exponent) <= DIGITS


def _refusal(short: Sequence[tuple[Need, Decimal]]) -> NotReserved:
    """Return the refusal for the first cap that has too little left."""
    (need, left), *_ = short
    _, unit, _ = need.key
    reason = f"policy cap '{need.cap}' has {_plain(max(left, Decimal(0)))} {unit} left and this call needs "
    reason += _plain(need.amount)
    rules = tuple(need.cap for need, _ in short)
    if unit == "orders":
        return NotReserved(RefusalKind.CAP_OF_ORDERS, reason, rules=rules)
    return NotReserved(RefusalKind.CAP, reason, rules=rules)


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize(EXACT):f}"


SLOTS = 120

EXACT = Context(prec=100, traps=[Clamped, Inexact, InvalidOperation, Overflow, Underflow])
"""Sums of money are exact, or an error: the default context would round at 28 digits."""


def slot_at(at_us: int, window_s: int) -> int:
    """Return the slot that a moment lies in. Slots are numbered from the epoch; one lasts ``window_s / 120``."""
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
        """Return the sum of all charges that are, or may still be, inside the window."""
        oldest = self.oldest(now_us)
        while self.slots and (first := next(iter(self.slots))) < oldest:
            self._total = EXACT.subtract(self._total, self.slots.pop(first))
        return self._total

    def oldest(self, now_us: int) -> int:
        """Return the first slot that still counts."""
        return slot_at(now_us, self.window_s) - SLOTS

    def add(self, slot: int, amount: Decimal) -> Decimal:
        """Add to a slot (less, where ``amount`` is negative); the slot's new sum."""
        self.slots[slot] = EXACT.add(self.slots.get(slot, Decimal(0)), amount)
        self._total = EXACT.add(self._total, amount)
        return self.slots[slot]


_INTENT = TypeAdapter(Intent)
_ORDER = TypeAdapter(Order)


def from_intent(intent: Intent) -> str:
    """Write an intent as text; amounts travel as their own text."""
    return _INTENT.dump_json(intent, exclude_defaults=True).decode()


def to_intent(text: str) -> Intent:
    """Read an intent from its text. Raises `LedgerError` if the text is damaged."""
    try:
        return _INTENT.validate_json(text)
    except ValidationError:
        raise _damaged("an intent") from None


def from_order(order: Order) -> str:
    """Write an order as text."""
    return _ORDER.dump_json(order, exclude_defaults=True).decode()


def to_order(text: str) -> Order:
    """Read an order from its text. Raises `LedgerError` if the text is damaged."""
    try:
        return _ORDER.validate_json(text)
    except ValidationError:
        raise _damaged("an order") from None


def _damaged(what: str) -> LedgerError:
    return LedgerError(f"{what} in the ledger does not read", hint="restore ledger.db from a backup")


Halts: TypeAlias = Mapping[tuple[str, str], Halt]
"""Keyed by client and account, either of them empty for all."""


def read_halts(db: sqlite3.Connection) -> Halts:
    """Return all halts in force, oldest first."""
    rows = db.execute("SELECT client, account, reason, halted_by, at_us FROM halts ORDER BY at_us, client, account")
    return {(row[0], row[1]): Halt(*row) for row in rows}


def halt_for(halts: Halts, client: str, account: str) -> Halt | None:
    """Return the widest halt that stops this client on this account."""
    if not halts:
        return None
    whom = (("", ""), ("", account), (client, ""), (client, account))
    return next((halts[key] for key in whom if key in halts), None)


def unreadable(now_us: int) -> Halts:
    """Return what to believe while the store cannot be read: an operator's halt might be in it."""
    return {("", ""): Halt("", "", "the ledger cannot be read", "signer", now_us)}


def refuse_if_halted(halts: Halts, client: str, account: str) -> None:
    """Raises `Halted` with the operator's reason."""
    if (halt := halt_for(halts, client, account)) is not None:
        raise Halted.because(halt.reason)


@contextmanager
def ledger_errors(path: Path) -> Iterator[None]:
    """Turns what SQLite and the file system raise into `LedgerError`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        hint = "check the disk's free space, and the file's owner and mode"
        raise LedgerError(f"the ledger failed: {what}", where=str(path), hint=hint) from error
