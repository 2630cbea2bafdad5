"""What an operator's act changes in the book, by the act's words and its stage, and what a damaged log changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from signer.book.reading import Record, gap_of, list_of, number_of, text_of
from signer.book.windows import Window, key_of, slot_at
from signer.model import Gap, Halt, HaltScope
from signer.model.halts import joined

if TYPE_CHECKING:
    from signer.book.book import Book


def halt(book: Book, record: Record) -> None:
    """Put a halt in force, in the place of one for the same scope if that one is not stricter."""
    scope = _scope(record)
    made = Halt(
        scope,
        text_of(record.get("reason", "")),
        text_of(record.get("by", "")),
        _at_us(record),
        "cancel_only" if record.get("state") == "cancel_only" else "halted",
        _clients(record),
    )
    book.halts[scope] = made.after(book.halts.get(scope))
    book.touched.add(("halt", scope))


def join(book: Book, record: Record) -> None:
    """Add clients to a halted group."""
    scope = _scope(record)
    halted = book.halts.get(scope)
    if halted is not None:
        book.halts[scope] = replace(halted, clients=joined(halted.clients, _clients(record)))
        book.touched.add(("halt", scope))


def resume(book: Book, record: Record) -> None:
    """End a halt, and no other: one that has begun meanwhile stays in force."""
    scope = _scope(record)
    book.halts.pop(scope, None)
    book.touched.add(("halt", scope))


def revoke(book: Book, record: Record) -> None:
    """Remember for good that a client was revoked then."""
    client = _scope(record).client
    book.revoked[client] = max(_at_us(record), book.revoked.get(client, 0))
    book.touched.add(("revoked", (client,)))


def accept_clock(book: Book, record: Record) -> None:
    """Go on from the time of the machine's clock."""
    book.now_us = max(book.now_us, _at_us(record))


def reset_caps(book: Book, record: Record) -> None:
    """Forget what a client has spent of its caps (of one unit, if the record names it), but not what is held."""
    client = _scope(record).client
    unit = text_of(record.get("unit", ""))
    wanted = [key for key in book.windows if key[0] == f"client/{client}" and unit in {"", key[1]}]
    for key in wanted:
        book.windows[key] = Window(key[2], {})
        book.touched.add(("window", key))
    for call in book.calls.values():
        for charge in call.charges:
            if key_of(charge) in wanted:
                book.windows[key_of(charge)].add(slot_at(call.held_us, charge.window_s), charge.amount)


def accept_gaps(book: Book, _: Record) -> None:
    """Let calls begin again, though the book lacks records: a person knows it."""
    book.touched.update(("gap", gap) for gap in book.gaps)
    book.gaps.clear()


def add_gap(book: Book, gap: Gap) -> None:
    """Have the book know that it lacks records."""
    key = gap.first, gap.last
    book.gaps[key] = True
    book.touched.add(("gap", key))


def lack(book: Book, record: Record) -> None:
    """Remember that the book lacks records, if this record says so."""
    if "missing" in record:
        add_gap(book, gap_of(record))


ACTS: Final[Mapping[tuple[str, str], Callable[[Book, Record], None]]] = {
    ("halt", "begun"): halt,
    ("halt", "joined"): join,
    ("resume", "done"): resume,
    ("clients revoke", "begun"): revoke,
    ("clock accept", "done"): accept_clock,
    ("caps reset", "done"): reset_caps,
    ("book accept", "done"): accept_gaps,
}


def _scope(record: Record) -> HaltScope:
    return HaltScope(*(text_of(record.get(kind, "")) for kind in HaltScope._fields))


def _clients(record: Record) -> tuple[str, ...]:
    return tuple(sorted({text_of(one) for one in list_of(record.get("clients", []))}))


def _at_us(record: Record) -> int:
    return number_of(record.get("acted", record.get("time", 0)))
