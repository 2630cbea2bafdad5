"""Keeps a book small that is folded from a whole log."""

from __future__ import annotations

from typing import Final

from signer.book.book import Book
from signer.model import ChainHead

EVERY: Final = 10_000


def let_go_now_and_then(book: Book, head: ChainHead) -> None:
    """Forget the closed orders of a book that is of record ``head`` now, each time after so many records."""
    if head.seq % EVERY == 0:
        book.let_go(book.take_changes(head))
