"""The book: what may still be spent and what is open, as a fold over the records of the audit log.

`Book.apply` is the only way to change it, but for `retract`, which undoes a begin that the log did not take. `apply`
takes every record and raises nothing: a kind that it does not know changes nothing. A record that contradicts the book
counts by the stricter of both, and `Book.contradictions` names it. Time comes from the records alone, so every machine
that folds the same log has the same book.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, final

from signer.book.acts import ACTS, lack
from signer.book.orders import BookOrders, OrderKey
from signer.book.reading import (
    UNREADABLE,
    BookCall,
    BookOrder,
    Document,
    Record,
    call_of,
    ids_of,
    list_of,
    number_of,
    order_of,
    text_of,
)
from signer.book.rows import BookChanges, Row, RowKey, RowKind, item_of, live_slots, read_item
from signer.book.windows import (
    EXACT,
    Key,
    Need,
    Window,
    key_of,
    moved,
    needs_of,
    overdue_of,
    require_fit,
    slot_at,
)
from signer.errors import Halted, NotServed
from signer.model import ChainHead, Charge, Halt, HaltScope, Intent, Json, Order, Usage
from signer.model.halts import halt_for

MOST_CONTRADICTIONS: Final = 1_000
"""How many contradictions are named. A book of a damaged log stays bounded."""

ORDER_UNSETTLED: Final = "an earlier call for this order has no outcome yet; nothing was sent"

RECORDS_MISSING: Final = "the book lacks records, and no operator has accepted that yet; nothing was sent"


@final
class Book:
    """The state after all records that were applied."""

    def __init__(self) -> None:
        self._seen_us = 0
        """The latest moment that no retraction takes back."""
        self.log = ""
        """The log that it is folded from (`signer.audit.tail.log_of`); empty if that is not known."""
        self.course: Sequence[ChainHead] = ()
        """Earlier records of that log as its checkpoint knows them, newest first."""
        self._held_us = 0
        """The latest moment by which the charges of an open call are dated."""
        self.last = 0
        """The highest number that a call ever had."""
        self._unstored: set[str] = set()
        """The open calls that no checkpoint has. One that ends leaves no row to delete."""
        self.windows: dict[Key, Window] = {}
        self.caps: dict[Key, tuple[str, Decimal]] = {}
        """The name and limit that the last charge gave each cap, for people to read. Nothing is decided by it."""
        self.calls: dict[str, BookCall] = {}
        """The calls whose end is not known, by the id of their records, oldest first."""
        self.placed = BookOrders()
        self.halts: dict[HaltScope, Halt] = {}
        """The halts in force."""
        self.revoked: dict[str, int] = {}
        """When each revoked client was revoked: for good, whatever key store is there."""
        self.gaps: dict[tuple[int, int], bool] = {}
        """First and last of records that the book lacks (each is True). Nothing begins until a person accepts it."""
        self.contradictions: list[str] = []
        self.touched: set[RowKey] = set()
        """The rows that changed since `take_changes`."""

    @property
    def now_us(self) -> int:
        """Return the latest moment by which anything was dated."""
        return max(self._seen_us, self._held_us)

    @now_us.setter
    def now_us(self, moment_us: int) -> None:
        self._seen_us = moment_us

    @property
    def orders(self) -> Mapping[OrderKey, BookOrder]:
        """The orders that are not known to be closed, by account and venue id."""
        return self.placed.open

    def fit(self, intent: Intent, now_us: int) -> None:
        """Raises `Halted`, `NotReserved` naming what is short, or `NotServed` unless ``intent`` may begin now."""
        halt = self.halted(intent.client, intent.account, intent.orders)
        if halt is not None:
            raise Halted.because(halt.reason, cancel_only=halt.cancel_only)
        if self.gaps:
            raise NotServed.unavailable(RECORDS_MISSING)
        if any(call.is_in_the_way_of(intent) for call in self.calls.values()):
            raise NotServed.unavailable(ORDER_UNSETTLED)
        needs = needs_of(intent.charges)
        overdue = self._overdue(now_us) if needs else {}
        require_fit(needs, lambda key: self._used(key, now_us, overdue))

    def halted(self, client: str, account: str, orders: Sequence[Order] = ()) -> Halt | None:
        """Return the strictest halt that stops this client on this account for these orders."""
        return halt_for(self.halts, client, account, {order.pair for order in orders}) if self.halts else None

    def used(self, key: Key, now_us: int) -> Decimal:
        """Return what is used of a cap at ``now_us``, or at the book's own time if that is later."""
        return self._used(key, now_us, self._overdue(now_us))

    def usage(self, scope: str, now_us: int) -> Sequence[Usage]:
        """Return what is used now of each cap that the scope was charged for, ordered by name."""
        found = sorted((said, key) for key, said in self.caps.items() if key[0] == scope)
        return [Usage(name, *key, self.used(key, now_us), limit) for (name, limit), key in found]

    def has_own_name(self, account: str, name: str) -> bool:
        """Return whether an order that may be open, or one of an open call, has this name of ours."""
        if self.placed.is_named(account, "own", name):
            return True
        calls = (call for call in self.calls.values() if call.account == account)
        return any(order.get("own") == name for call in calls for order in call.orders)

    def scopes(self) -> Sequence[str]:
        """Return every scope that was charged."""
        return sorted({key[0] for key in self.caps})

    def _used(self, key: Key, now_us: int, overdue: Mapping[Key, Decimal]) -> Decimal:
        window = self.windows.get(key)
        used = window.used(max(self.now_us, now_us)) if window is not None else Decimal(0)
        return EXACT.add(used, overdue[key]) if key in overdue else used

    def _overdue(self, now_us: int) -> Mapping[Key, Decimal]:
        now_us = max(self.now_us, now_us)
        # A window is a second at least, so a call that is under way is passed over at once.
        held = ((call.charges, call.held_us) for call in self.calls.values() if now_us - call.held_us > 1_000_000)
        return overdue_of(held, now_us)

    def apply(self, record: Record) -> None:
        """Change the book by one record. Total: it raises nothing, whatever the record holds."""
        kind = record.get("kind")
        change = _CHANGES.get(kind) if isinstance(kind, str) else None
        if change is not None:
            try:
                change(self, record)
            except UNREADABLE:
                self._contradict(record, f"the {kind} does not read, and changes nothing")

    def retract(self, name: str) -> None:
        """Undo the begin of a call, because no log has it."""
        call = self.calls.get(name)
        if call is not None:
            self._end(call)
            self._give_back(call.charges, call.held_us)
            self._held_us = max((other.held_us for other in self.calls.values()), default=0)
            self.last -= call.reservation == self.last

    def _begin(self, record: Record) -> None:
        if "reservation" not in record:  # a cancel, or a call that holds nothing
            return
        call = call_of(record)
        self._hold(needs_of(call.charges), call.held_us)
        self.last = max(self.last, call.reservation)
        if call.id in self.calls:
            self._see(call.held_us)
            self._contradict(record, f"call {call.id} is begun a second time, and its charges count twice")
        else:
            self._held_us = max(self._held_us, call.held_us)
            if ("call", (call.id,)) not in self.touched:
                self._unstored.add(call.id)
            self._keep(call)

    def _conclude(self, record: Record) -> None:
        if "at" not in record:  # of a call that held nothing
            return
        name, outcome, at_us = text_of(record["id"]), text_of(record["outcome"]), number_of(record["at"])
        venue_ids, by_look_up = ids_of(record), record["kind"] == "reconciled"
        call = self.calls.get(name)
        self._see(at_us if call is None else max(at_us, call.held_us))
        if call is None:
            # A crash before the intent was on record leaves only the end of the look-up.
            if not by_look_up or outcome == "accepted":
                self._contradict(record, f"call {name} ends, and is not open")
        elif outcome == "unknown":
            self._keep(call._replace(unknown=True))
        elif outcome == "accepted":
            self._accept(record, call, venue_ids, at_us)
        else:
            self._end(call)
            self._give_back(call.charges, call.held_us)

    def _accept(self, record: Record, call: BookCall, venue_ids: Sequence[str | None], at_us: int) -> None:
        at_us = max(at_us, call.held_us)
        if len(venue_ids) != len(call.orders):
            self._contradict(record, f"call {call.id} has {len(call.orders)} orders, and {len(venue_ids)} are answered")
        if record.get("part") is True:
            found = frozenset(leg for leg, venue_id in enumerate(venue_ids) if venue_id is not None)
            self._date_anew([charge for charge in call.charges if charge.leg in found], call.held_us, at_us)
            self._keep(call.without(found))
        else:
            self._end(call)
            charges = call.charges
            if None in venue_ids:
                absent = {leg for leg, venue_id in enumerate(venue_ids) if venue_id is None}
                self._give_back([charge for charge in charges if charge.leg in absent], call.held_us)
                charges = [charge for charge in charges if charge.leg not in absent]
            self._date_anew(charges, call.held_us, at_us)
        for venue_id, order in zip(venue_ids, call.orders, strict=False):
            if venue_id is not None:
                self._place(record, call, venue_id, order, at_us)

    def _keep(self, call: BookCall) -> None:
        self.calls[call.id] = call
        self.touched.add(("call", (call.id,)))

    def _end(self, call: BookCall) -> None:
        del self.calls[call.id]
        key: RowKey = ("call", (call.id,))
        if call.id in self._unstored:
            self._unstored.remove(call.id)
            self.touched.discard(key)
        else:
            self.touched.add(key)

    def _place(self, record: Record, call: BookCall, venue_id: str, order: Document, at_us: int) -> None:
        # One that had closed counts as a new one: a checkpoint may have let it go.
        key = call.account, venue_id
        known = self.placed.open.get(key)
        if known is not None and known.client != call.client and not call.targets:
            self._contradict(record, f"order {venue_id} of {known.client} is placed again by {call.client}")
        placed = BookOrder(call.client, at_us, order)
        self._put(key, placed if known is None else known._replace(order=order))

    def _put(self, key: OrderKey, order: BookOrder) -> None:
        self.placed.put(key, order)
        self.touched.add(("order", key))

    def _close(self, record: Record) -> None:
        account = text_of(record["account"])
        gone, again = ids_of(record), [order_of(one) for one in list_of(record["reappeared"])]
        for venue_id in gone:
            key = account, str(venue_id)
            if self.placed.close(key):
                self.touched.add(("order", key))
        for venue_id, placed in again:
            self._put((account, venue_id), placed)

    def _operate(self, record: Record) -> None:
        act = ACTS.get((str(record.get("act")), str(record.get("stage"))))
        if act is not None:
            act(self, record)

    def _open(self, record: Record) -> None:
        """Count every open call as unknown, because the run that began it has ended."""
        for call in list(self.calls.values()):
            self._keep(call._replace(unknown=True))
        self._see(number_of(record.get("at", 0)))

    def _hold(self, needs: Iterable[Need], at_us: int) -> None:
        for key, cap, amount, limit in needs:
            window = self.windows.get(key)
            if window is None:
                window = self.windows[key] = Window(key[2], {})
            window.drop_old(self._seen_us)
            window.add(slot_at(at_us, window.window_s), amount)
            self.touched.add(("window", key))
            said = cap, limit
            if self.caps.get(key) != said:
                self.caps[key] = said
                self.touched.add(("cap", key))

    def _give_back(self, charges: Iterable[Charge], held_us: int) -> None:
        for charge in charges:
            key = key_of(charge)
            window = self.windows.get(key)
            slot = slot_at(held_us, charge.window_s)
            if window is not None and slot in window.slots:
                window.add(slot, -charge.amount)
                self.touched.add(("window", key))

    def _date_anew(self, charges: Sequence[Charge], held_us: int, at_us: int) -> None:
        late = moved(charges, held_us, at_us)
        if late:
            self._give_back(late, held_us)
            self._hold(needs_of(late), at_us)

    def _see(self, at_us: int) -> None:
        self._seen_us = max(self._seen_us, self._held_us, at_us)

    def _contradict(self, record: Record, what: str) -> None:
        if len(self.contradictions) < MOST_CONTRADICTIONS:
            self.contradictions.append(f"record {record.get('seq', '?')}: {what}")

    def take_changes(self, head: ChainHead, *, whole: bool = False) -> BookChanges:
        """Return what changed since the last call of this (all that there is, if ``whole``), as of record ``head``."""
        keys, self.touched = (self.touched | self._keys() if whole else self.touched), set()
        rows = [Row(kind, key, self._value(kind, key)) for kind, key in keys]
        self._unstored.clear()
        return BookChanges(head, self.now_us, self.last, rows, whole, self.log)

    def _keys(self) -> set[RowKey]:
        tables = self._tables()
        keys = {(kind, key if isinstance(key, tuple) else (key,)) for kind, table in tables.items() for key in table}
        return keys | {("order", key) for key in self.placed.closed}

    def _tables(self) -> Mapping[RowKind, Mapping[Any, Any]]:
        return {
            "window": self.windows,
            "cap": self.caps,
            "call": self.calls,
            "order": self.placed.open,
            "halt": self.halts,
            "revoked": self.revoked,
            "gap": self.gaps,
        }

    def _value(self, kind: RowKind, key: Any) -> object:
        if kind == "order":
            return self.placed.get(key)
        if kind == "window":
            return live_slots(self.windows[key], self.now_us)
        return self._tables()[kind].get(key[0] if kind in {"call", "revoked"} else key)

    def touch(self, changes: BookChanges) -> None:
        """Count the rows of `take_changes` as changed again, because they were not stored."""
        self.touched.update((row.kind, row.key) for row in changes.rows)
        self._unstored.clear()

    def let_go(self, changes: BookChanges) -> None:
        """Forget the closed orders among rows that are stored now."""
        closed = self.placed.closed
        self.placed.let_go(
            [row.key for row in changes.rows if row.kind == "order" and closed.get(row.key) is row.value]
        )

    def put(self, row: Row) -> None:
        """Take a row that a checkpoint or an archive kept."""
        if row.kind == "window":
            self.windows[row.key] = Window(row.key[2], row.value)
        elif row.kind == "order":
            self.placed.put(row.key, row.value)
        else:
            table: Any = self._tables()[row.kind]
            table[row.key[0] if row.kind in {"call", "revoked"} else row.key] = row.value

    def digest(self) -> str:
        """Return the SHA-256 (hex) of `state` without the caps' names: the same for all that folded the same log."""
        state = {name: rows for name, rows in self.state().items() if name != "cap"}
        return hashlib.sha256(json.dumps(state, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()

    def state(self) -> dict[str, Json]:
        """Return all that the book knows of what counts and may be open, as JSON with one spelling for one state."""
        state: dict[str, Json] = {"now": self.now_us}
        for kind in self._tables():
            keys = sorted(key for of, key in self._keys() if of == kind)
            rows = [Row(kind, key, self._value(kind, key)) for key in keys]
            state[kind] = [item_of(row) for row in rows if _counts(row)]
        return state

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Book:
        """Return the book that `state` was taken of. Raises what `UNREADABLE` names if it is damaged."""
        book = cls()
        book.now_us = number_of(state["now"])
        kinds: Sequence[RowKind] = tuple(book._tables())
        for kind in kinds:
            for item in state[kind]:
                book.put(read_item(kind, item))
        book.last = max((call.reservation for call in book.calls.values()), default=0)
        return book


def _counts(row: Row) -> bool:
    if row.kind == "order":
        return not row.value.closed
    return bool(row.value) or row.kind != "window"


_CHANGES: Final[Mapping[str, Callable[[Book, Record], None]]] = {
    "intent": Book._begin,
    "outcome": Book._conclude,
    "reconciled": Book._conclude,
    "closed": Book._close,
    "operator": Book._operate,
    "opened": Book._open,
    "recovered": lack,
}
