"""The book as rows: what a checkpoint stores, what an archive keeps, and what a digest is taken of.

A row is taken on the event loop as references to values that nobody changes, which costs next to nothing. `item_of`
makes it JSON later, on another thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

from signer.book.reading import BookCall, BookOrder, call_of, list_of, order_of, text_of
from signer.book.windows import Window, plain
from signer.model import ChainHead, Charge, Halt, HaltScope, Json
from signer.model.wire import as_json

RowKind: TypeAlias = Literal["window", "cap", "call", "order", "halt", "revoked", "gap"]
RowKey: TypeAlias = tuple[RowKind, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that the book knows; without a value, a thing that it no longer knows."""

    kind: RowKind
    key: tuple[Any, ...]
    value: Any


@dataclass(frozen=True, slots=True)
class BookChanges:
    """The rows that bring a checkpoint to the book of one moment."""

    head: ChainHead
    """The last record that the book of that moment stands for."""
    now_us: int
    last: int
    """The highest number that a call ever had."""
    rows: Sequence[Row]
    whole: bool
    """Whether the rows are all that there are, so that others go. Closed orders stay in any case."""
    log: str = ""
    """The log that this was folded from (`signer.audit.tail.log_of`)."""


def item_of(row: Row) -> Json:
    """Return a row with a value as JSON; `Book.put` reads it back."""
    return _WRITERS[row.kind](row.key, row.value)


def _window_item(key: tuple[Any, ...], slots: Mapping[int, Decimal]) -> Json:
    amounts: list[Json] = [[slot, plain(amount)] for slot, amount in slots.items() if amount]
    return [*key, amounts]


def _cap_item(key: tuple[Any, ...], said: tuple[str, Decimal]) -> Json:
    return [*key, said[0], plain(said[1])]


def _call_item(_: tuple[Any, ...], call: BookCall) -> Json:
    return {
        "id": call.id,
        "reservation": call.reservation,
        "client": call.client,
        "account": call.account,
        "endpoint": call.endpoint,
        "time": call.at_us,
        "at": call.held_us,
        "venue_time": call.venue_us,
        "orders": [dict(order) for order in call.orders],
        "charges": [charge_item(charge) for charge in call.charges],
        "targets": as_json(tuple(call.targets)),
        "replaces": call.replaces,
        "unknown": call.unknown,
    }


def charge_item(charge: Charge) -> Json:
    """Return a charge as JSON."""
    return {
        "cap": charge.cap,
        "scope": charge.scope,
        "unit": charge.unit,
        "window_s": charge.window_s,
        "limit": plain(charge.limit),
        "amount": plain(charge.amount),
        "leg": charge.leg,
    }


def _order_item(key: tuple[Any, ...], placed: BookOrder) -> Json:
    account, venue_id = key
    return {
        "account": account,
        "venue_id": venue_id,
        "client": placed.client,
        "placed": placed.placed_us,
        "closed": placed.closed,
        "order": dict(placed.order),
    }


def _halt_item(_: tuple[Any, ...], halt: Halt) -> Json:
    return [list(halt.scope), halt.state, list(halt.clients), halt.reason, halt.by, halt.at_us]


def _revoked_item(key: tuple[Any, ...], at_us: int) -> Json:
    return [*key, at_us]


_WRITERS: Final[Mapping[RowKind, Callable[[tuple[Any, ...], Any], Json]]] = {
    "window": _window_item,
    "cap": _cap_item,
    "call": _call_item,
    "order": _order_item,
    "halt": _halt_item,
    "revoked": _revoked_item,
    "gap": lambda key, _: [*key],
}


def read_item(kind: RowKind, item: Any) -> Row:
    """Read a row back from its JSON. Raises what `signer.book.reading.UNREADABLE` names if it is damaged."""
    return _READERS[kind](item)


def _read_window(item: Any) -> Row:
    scope, unit, window_s, slots = item
    return Row("window", (scope, unit, window_s), {int(slot): Decimal(amount) for slot, amount in slots})


def _read_cap(item: Any) -> Row:
    scope, unit, window_s, name, limit = item
    return Row("cap", (scope, unit, window_s), (str(name), Decimal(limit)))


def _read_call(item: Any) -> Row:
    call = call_of(item)
    return Row("call", (call.id,), call)


def _read_order(item: Any) -> Row:
    venue_id, placed = order_of(item)
    return Row("order", (str(item["account"]), venue_id), placed._replace(closed=item["closed"] is True))


def _read_halt(item: Any) -> Row:
    named, state, clients, reason, by, at_us = item
    scope = HaltScope(*map(text_of, list_of(named)))
    return Row("halt", scope, Halt(scope, reason, by, at_us, state, tuple(clients)))


def _read_revoked(item: Any) -> Row:
    client, at_us = item
    return Row("revoked", (client,), int(at_us))


def _read_gap(item: Any) -> Row:
    first, last = item
    return Row("gap", (int(first), int(last)), True)


_READERS: Final[Mapping[RowKind, Callable[[Any], Row]]] = {
    "window": _read_window,
    "cap": _read_cap,
    "call": _read_call,
    "order": _read_order,
    "halt": _read_halt,
    "revoked": _read_revoked,
    "gap": _read_gap,
}


def live_slots(window: Window, now_us: int) -> Mapping[int, Decimal]:
    """Return the slots of a window that still count, and hold anything."""
    oldest = window.oldest(now_us)
    return {slot: amount for slot, amount in window.slots.items() if slot >= oldest and amount}
