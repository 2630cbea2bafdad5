"""What a call may spend: the caps in the database, and halts. Also intents and orders as JSON text."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

from pydantic import TypeAdapter, ValidationError

from signer.book.windows import EXACT, Key, Need, Window, key_of, moved, needs_of, overdue_of, require_fit, slot_at
from signer.errors import Halted, LedgerError
from signer.model import Charge, Halt, Intent, Order, Usage


@dataclass
class _Cap:
    id: int | None  # None until something is charged
    said: tuple[str, str]  # its name and limit, as stored
    window: Window


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
        needs = needs_of(charges)
        overdue = still_open(self._db, min(need.key[2] for need in needs), now_us) if needs else {}
        require_fit(needs, lambda key: self._used(key, now_us, overdue))
        return needs

    def hold(self, needs: Iterable[Need], now_us: int) -> None:
        """Count what `fit` has let pass."""
        for need in needs:
            cap = self._cap(need.key)
            cap_id = self._stored(cap, need)
            slot = slot_at(now_us, cap.window.window_s)
            if slot not in cap.window.slots:  # once for each slot: so old rows cannot pile up
                self._db.execute("DELETE FROM spent WHERE cap = ? AND slot < ?", (cap_id, cap.window.oldest(now_us)))
                cap.window.drop_old(now_us)
            self._write(cap_id, slot, cap.window.add(slot, need.amount))

    def give_back(self, charges: Iterable[Charge], held_us: int) -> None:
        """Take charges held at ``held_us`` off the totals, where they still count."""
        for charge in charges:
            cap = self._cap(key_of(charge))
            slot = slot_at(held_us, charge.window_s)
            if cap.id is not None and slot in cap.window.slots:
                self._write(cap.id, slot, cap.window.add(slot, -charge.amount))

    def date_anew(self, charges: Sequence[Charge], held_us: int, now_us: int) -> None:
        """Let charges held at ``held_us`` count from now on: only now it is known that they were spent by now."""
        late = moved(charges, held_us, now_us)
        self.give_back(late, held_us)
        self.hold(needs_of(late), now_us)

    def _used(self, key: Key, now_us: int, overdue: Mapping[Key, Decimal]) -> Decimal:
        return EXACT.add(self._cap(key).window.used(now_us), overdue.get(key, Decimal(0)))

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
    old = db.execute("SELECT intent, held_us FROM reservations WHERE held_us < ?", (now_us - shortest_s * 1_000_000,))
    return overdue_of(((to_intent(text).charges, held_us) for text, held_us in old), now_us)


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
    return {
        ("", ""): Halt("", "", "the ledger cannot be read", "signer", now_us, "it ends when the ledger can be read")
    }


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
