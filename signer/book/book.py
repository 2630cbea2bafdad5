"""The book: what may still be spent and what is open, as a fold over the records of the audit log.

`Book.apply` is the only way to change it. It takes every record and raises nothing: a kind that it does not know
changes nothing. A record that contradicts the book counts by the stricter of both, and `Book.contradictions` names it.
Time comes from the records alone, so every machine that folds the same log has the same book.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, final

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
from signer.book.windows import (
    EXACT,
    Key,
    Need,
    Window,
    key_of,
    moved,
    needs_of,
    overdue_of,
    plain,
    require_fit,
    slot_at,
)
from signer.errors import Halted
from signer.model import Charge, Intent, Json

MOST_CONTRADICTIONS: Final = 1_000
"""How many contradictions are named. A book of a damaged log stays bounded."""


@final
class Book:
    """The state after all records that were applied."""

    def __init__(self) -> None:
        self.now_us = 0
        """The latest moment by which anything was dated."""
        self.windows: dict[Key, Window] = {}
        self.calls: dict[str, BookCall] = {}
        """The calls whose end is not known, by the id of their records."""
        self.orders: dict[tuple[str, str], BookOrder] = {}
        """The orders that are not known to be closed, by account and venue id."""
        self.halts: dict[tuple[str, str], str] = {}
        """The reason of each halt in force, by client and account, either of them empty for all."""
        self.revoked: dict[str, int] = {}
        """When each revoked client was revoked: for good, whatever key store is there."""
        self.contradictions: list[str] = []

    def fit(self, intent: Intent, now_us: int) -> None:
        """Raises `Halted`, or `NotReserved` naming what is short, unless ``intent`` may be held now."""
        whom = (("", ""), ("", intent.account), (intent.client, ""), (intent.client, intent.account))
        for key in whom:
            if key in self.halts:
                raise Halted.because(self.halts[key])
        require_fit(needs_of(intent.charges), lambda key: self.used(key, now_us))

    def used(self, key: Key, now_us: int) -> Decimal:
        """Return what is used of a cap at ``now_us``, or at the book's own time if that is later."""
        now_us = max(self.now_us, now_us)
        window = self.windows.get(key)
        used = window.used(now_us) if window is not None else Decimal(0)
        held = ((call.charges, call.held_us) for call in self.calls.values())
        return EXACT.add(used, overdue_of(held, now_us).get(key, Decimal(0)))

    def apply(self, record: Record) -> None:
        """Change the book by one record. Total: it raises nothing, whatever the record holds."""
        kind = record.get("kind")
        change = _CHANGES.get(kind) if isinstance(kind, str) else None
        if change is not None:
            try:
                change(self, record)
            except UNREADABLE:
                self._contradict(record, f"the {kind} does not read, and changes nothing")

    def _begin(self, record: Record) -> None:
        if "reservation" not in record:  # a cancel, or a call that holds nothing
            return
        call = call_of(record)
        self._hold(needs_of(call.charges), call.held_us)
        self._see(call.held_us)
        if call.id in self.calls:
            self._contradict(record, f"call {call.id} is begun a second time, and its charges count twice")
        else:
            self.calls[call.id] = call

    def _conclude(self, record: Record) -> None:
        if "at" not in record:  # of a call that held nothing
            return
        name, outcome, at_us = text_of(record["id"]), text_of(record["outcome"]), number_of(record["at"])
        venue_ids, by_look_up = ids_of(record), record["kind"] == "reconciled"
        call = self.calls.get(name)
        if call is None:
            # A crash before the intent was on record leaves only the end of the look-up.
            if not by_look_up or outcome == "accepted":
                self._contradict(record, f"call {name} ends, and is not open")
        elif outcome == "unknown":
            self.calls[name] = replace(call, unknown=True)
        elif outcome == "accepted":
            self._accept(record, call, venue_ids, at_us)
        else:
            del self.calls[name]
            self._give_back(call.charges, call.held_us)

    def _accept(self, record: Record, call: BookCall, venue_ids: Sequence[str | None], at_us: int) -> None:
        at_us = max(at_us, call.held_us)
        absent = frozenset(leg for leg, venue_id in enumerate(venue_ids) if venue_id is None)
        found = frozenset(leg for leg, venue_id in enumerate(venue_ids) if venue_id is not None)
        if len(venue_ids) != len(call.orders):
            self._contradict(record, f"call {call.id} has {len(call.orders)} orders, and {len(venue_ids)} are answered")
        if record.get("part") is True:
            self._date_anew([charge for charge in call.charges if charge.leg in found], call.held_us, at_us)
            self.calls[call.id] = call.without(found)
        else:
            del self.calls[call.id]
            self._give_back([charge for charge in call.charges if charge.leg in absent], call.held_us)
            self._date_anew([charge for charge in call.charges if charge.leg not in absent], call.held_us, at_us)
        self._see(at_us)
        for venue_id, order in zip(venue_ids, call.orders, strict=False):
            if venue_id is not None:
                self._place(record, call, venue_id, order, at_us)

    def _place(self, record: Record, call: BookCall, venue_id: str, order: Document, at_us: int) -> None:
        known = self.orders.get((call.account, venue_id))
        if known is not None and known.client != call.client and not call.changes:
            self._contradict(record, f"order {venue_id} of {known.client} is placed again by {call.client}")
        placed = BookOrder(call.client, at_us, order) if known is None else replace(known, order=order)
        self.orders[call.account, venue_id] = placed

    def _close(self, record: Record) -> None:
        account = text_of(record["account"])
        gone, again = ids_of(record), [order_of(one) for one in list_of(record["reappeared"])]
        for venue_id in gone:
            self.orders.pop((account, str(venue_id)), None)
        for venue_id, placed in again:
            self.orders[account, venue_id] = placed

    def _operate(self, record: Record) -> None:
        act, stage = record.get("act"), record.get("stage")
        whom = text_of(record.get("client", "")), text_of(record.get("account", ""))
        if (act, stage) == ("halt", "begun"):
            self.halts[whom] = text_of(record.get("reason", ""))
        elif (act, stage) == ("resume", "done"):
            if whom == ("", ""):
                self.halts.clear()
            self.halts.pop(whom, None)
        elif (act, stage) == ("clients revoke", "begun"):
            at_us = number_of(record.get("acted", record.get("time", 0)))
            self.revoked[whom[0]] = max(at_us, self.revoked.get(whom[0], 0))

    def _start(self, _: Record) -> None:
        """Count every open call as unknown: the run that began it has ended."""
        self.calls = {name: replace(call, unknown=True) for name, call in self.calls.items()}

    def _hold(self, needs: Iterable[Need], at_us: int) -> None:
        for need in needs:
            window = self.windows.setdefault(need.key, Window(need.key[2], {}))
            window.drop_old(self.now_us)
            window.add(slot_at(at_us, window.window_s), need.amount)

    def _give_back(self, charges: Iterable[Charge], held_us: int) -> None:
        for charge in charges:
            window = self.windows.get(key_of(charge))
            slot = slot_at(held_us, charge.window_s)
            if window is not None and slot in window.slots:
                window.add(slot, -charge.amount)

    def _date_anew(self, charges: Sequence[Charge], held_us: int, at_us: int) -> None:
        late = moved(charges, held_us, at_us)
        self._give_back(late, held_us)
        self._hold(needs_of(late), at_us)

    def _see(self, at_us: int) -> None:
        self.now_us = max(self.now_us, at_us)

    def _contradict(self, record: Record, what: str) -> None:
        if len(self.contradictions) < MOST_CONTRADICTIONS:
            self.contradictions.append(f"record {record.get('seq', '?')}: {what}")

    def digest(self) -> str:
        """Return the SHA-256 (hex) of `state`, which is the same for every book that the same records made."""
        text = json.dumps(self.state(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def state(self) -> dict[str, Json]:
        """Return all that the book knows but its contradictions, as JSON with one spelling for one state."""
        return {
            "now": self.now_us,
            "windows": [_window_json(key, window, self.now_us) for key, window in sorted(self.windows.items())],
            "calls": [_call_json(call) for _, call in sorted(self.calls.items())],
            "orders": [
                _order_json(*key, placed) for key, placed in sorted(self.orders.items(), key=lambda one: one[0])
            ],
            "halts": [[*whom, reason] for whom, reason in sorted(self.halts.items())],
            "revoked": [[client, at_us] for client, at_us in sorted(self.revoked.items())],
        }

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Book:
        """Return the book that `state` was taken of. Raises what `UNREADABLE` names if it is damaged."""
        book = cls()
        book.now_us = state["now"]
        for scope, unit, window_s, slots in state["windows"]:
            amounts = {slot: Decimal(amount) for slot, amount in slots}
            book.windows[scope, unit, window_s] = Window(window_s, amounts)
        book.calls = {call["id"]: call_of(call) for call in state["calls"]}
        book.orders = {(one["account"], one["venue_id"]): order_of(one)[1] for one in state["orders"]}
        book.halts = {(client, account): reason for client, account, reason in state["halts"]}
        book.revoked = dict(state["revoked"])
        return book


_CHANGES: Final[Mapping[str, Callable[[Book, Record], None]]] = {
    "intent": Book._begin,
    "outcome": Book._conclude,
    "reconciled": Book._conclude,
    "closed": Book._close,
    "operator": Book._operate,
    "start": Book._start,
}


def _window_json(key: Key, window: Window, now_us: int) -> Json:
    oldest = window.oldest(now_us)
    slots: list[Json] = [[slot, plain(amount)] for slot, amount in window.slots.items() if slot >= oldest and amount]
    return [*key, slots]


def _call_json(call: BookCall) -> Json:
    return {
        "id": call.id,
        "reservation": call.reservation,
        "client": call.client,
        "account": call.account,
        "at": call.held_us,
        "orders": [dict(order) for order in call.orders],
        "charges": [_charge_json(charge) for charge in call.charges],
        "targets": [True] if call.changes else [],
        "unknown": call.unknown,
    }


def _charge_json(charge: Charge) -> Json:
    return {
        "cap": charge.cap,
        "scope": charge.scope,
        "unit": charge.unit,
        "window_s": charge.window_s,
        "limit": plain(charge.limit),
        "amount": plain(charge.amount),
        "leg": charge.leg,
    }


def _order_json(account: str, venue_id: str, placed: BookOrder) -> Json:
    return {
        "account": account,
        "venue_id": venue_id,
        "client": placed.client,
        "placed": placed.placed_us,
        "order": dict(placed.order),
    }
