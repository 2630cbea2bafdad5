"""Compares a book with the second fold of the same records."""

from __future__ import annotations

from fractions import Fraction

from signer.book.book import Book
from tests.property.plain_fold import PlainFold


def agree(book: Book, plain: PlainFold) -> None:
    """Check that both say the same of calls, orders, brakes and caps, now and later."""
    assert book.now_us == plain.now
    assert {name: (call.unknown, list(call.orders)) for name, call in book.calls.items()} == {
        name: (call["unknown"], [order for _, order in call["left"]]) for name, call in plain.calls.items()
    }
    assert {key: (one.client, one.placed_us, one.order) for key, one in book.orders.items()} == plain.orders
    assert plain.halts == {
        scope: {
            "reason": halt.reason,
            "by": halt.by,
            "at": halt.at_us,
            "state": halt.state,
            "clients": list(halt.clients),
        }
        for scope, halt in book.halts.items()
    }
    assert book.revoked == plain.revoked
    assert set(book.gaps) == plain.lacks
    for key in book.windows:
        for later_s in (0, 1, 1800, 3600):
            now_us = book.now_us + later_s * 1_000_000
            assert Fraction(book.used(key, now_us)) == plain.used(key, now_us)
