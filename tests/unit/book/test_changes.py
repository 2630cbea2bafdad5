"""The rows that a checkpoint is to store: what changed since the one before it."""

from __future__ import annotations

from collections.abc import Sequence

from signer.book.book import Book
from signer.model import ChainHead, Json

HEAD = ChainHead(1, "")


def begin(book: Book, name: str, reservation: int = 1) -> None:
    """Begin a call without orders and charges."""
    of: dict[str, Json] = {"client": "bot", "account": "main", "orders": [], "charges": [], "targets": []}
    book.apply({"kind": "intent", "id": name, "reservation": reservation, "at": 1, **of})


def end(book: Book, name: str) -> None:
    """End a call."""
    book.apply({"kind": "outcome", "id": name, "at": 2, "outcome": "rejected", "venue_ids": []})


def calls(book: Book) -> Sequence[tuple[str, bool]]:
    """The calls among the rows that changed, and whether each is open."""
    rows = book.take_changes(HEAD).rows
    return sorted((row.key[0], row.value is not None) for row in rows if row.kind == "call")


def test_a_call_that_no_checkpoint_has_leaves_no_row() -> None:
    """It began and ended, or was retracted, between two checkpoints."""
    book = Book()
    begin(book, "a")
    end(book, "a")
    begin(book, "b")
    book.retract("b")
    begin(book, "c")
    assert calls(book) == [("c", True)]


def test_a_call_that_a_checkpoint_may_have_is_deleted_there() -> None:
    """Also when it began again under the same id meanwhile, or when the rows that were taken are not stored."""
    book = Book()
    begin(book, "a")
    begin(book, "b")
    taken = book.take_changes(HEAD)
    end(book, "a")
    begin(book, "a")
    end(book, "a")
    assert calls(book) == [("a", False)]
    begin(book, "c")
    begin(book, "a")
    book.touch(taken)
    for name in "abc":
        end(book, name)
    assert calls(book) == [("a", False), ("b", False), ("c", False)]
