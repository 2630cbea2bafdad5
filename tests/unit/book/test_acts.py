"""Each act of an operator changes the book by its record alone."""

from __future__ import annotations

from decimal import Decimal

import pytest

from signer.book.book import Book
from signer.errors import NotServed
from signer.gateway.trace import operator_record
from signer.model import Intent, Json

HOUR = ("client/ada", "USD", 3600)
DAY = ("client/ada", "XBT", 86_400)
AT_US = 1_800_000_000_000_000
CALL = Intent("ada", "main", "AddOrder", (), (), (), "r", AT_US)


def begun(book: Book, number: int, unit: str, window_s: int, amount: str) -> None:
    """Apply the begin of a call with one charge."""
    charge: Json = {
        "cap": "c", "scope": "client/ada", "unit": unit, "window_s": window_s, "limit": "100",
        "amount": amount, "leg": 0,
    }  # fmt: skip
    order: Json = {"pair": "XXBTZUSD", "side": "buy", "order_type": "limit", "volume": "1"}
    record: dict[str, Json] = {"kind": "intent", "id": f"r{number}", "client": "ada", "account": "main", "at": AT_US}
    book.apply({**record, "reservation": number, "charges": [charge], "orders": [order], "targets": []})


def accepted(book: Book, number: int) -> None:
    """Apply the end of a call whose order was accepted."""
    end: dict[str, Json] = {"kind": "outcome", "id": f"r{number}", "at": AT_US, "outcome": "accepted"}
    book.apply({**end, "venue_ids": [f"O{number}"]})


def act(book: Book, words: str, stage: str = "done", now_us: int = AT_US, **told: str) -> None:
    """Apply the record of an operator's act."""
    book.apply(operator_record(0, "root", {"id": "x", "act": words, "stage": stage, **told}, now_us))


def test_a_reset_forgets_what_is_spent_and_keeps_what_is_held() -> None:
    """What an open call may still spend counts after a reset."""
    book = Book()
    begun(book, 1, "USD", 3600, "40")
    accepted(book, 1)
    begun(book, 2, "USD", 3600, "7")
    act(book, "caps reset", client="ada")
    assert book.used(HOUR, AT_US) == 7
    accepted(book, 2)
    assert book.used(HOUR, AT_US) == 7


def test_a_reset_of_one_unit_leaves_the_others() -> None:
    """A record that names a unit resets no other cap, and no other client's."""
    book = Book()
    for number, (unit, window_s) in enumerate((("USD", 3600), ("XBT", 86_400)), start=1):
        begun(book, number, unit, window_s, "5")
        accepted(book, number)
    act(book, "caps reset", client="bob")
    act(book, "caps reset", client="ada", unit="XBT")
    assert (book.used(HOUR, AT_US), book.used(DAY, AT_US)) == (Decimal(5), Decimal(0))


def test_the_end_of_a_call_that_was_held_at_a_reset_gives_back_no_more_than_it_held() -> None:
    """A rejected call takes off what it added, and nothing twice."""
    book = Book()
    begun(book, 1, "USD", 3600, "40")
    act(book, "caps reset", client="ada")
    book.apply({"kind": "outcome", "id": "r1", "at": AT_US, "outcome": "rejected", "venue_ids": []})
    assert book.used(HOUR, AT_US) == 0


def test_an_accepted_clock_moves_the_books_time_and_never_back() -> None:
    """The record's own time is the one that a person accepted."""
    book = Book()
    act(book, "clock accept", now_us=AT_US + 5)
    act(book, "clock accept", now_us=AT_US)
    assert book.now_us == AT_US + 5


def test_nothing_begins_in_a_book_that_lacks_records_until_that_is_accepted() -> None:
    """All that the log says is missing is accepted at once; later gaps stop it again."""
    book = Book()
    for first, last in ((3, 4), (9, 9)):
        book.apply({"kind": "recovered", "missing": [first, last], "text": "t"})
    assert sorted(book.gaps) == [(3, 4), (9, 9)]
    with pytest.raises(NotServed, match="the book lacks records"):
        book.fit(CALL, AT_US)
    act(book, "book accept", "begun")
    assert len(book.gaps) == 2
    act(book, "book accept")
    book.fit(CALL, AT_US)
    book.apply({"kind": "recovered", "missing": [12, 13], "text": "t"})
    with pytest.raises(NotServed, match="the book lacks records"):
        book.fit(CALL, AT_US)


def test_an_act_that_only_begins_changes_nothing() -> None:
    """A reset, a resume and an accepted clock count once they are done."""
    book = Book()
    begun(book, 1, "USD", 3600, "40")
    accepted(book, 1)
    act(book, "halt", "begun", client="ada", reason="r")
    before = book.digest()
    for words in ("caps reset", "clock accept", "resume"):
        act(book, words, "begun", AT_US + 9, client="ada")
    assert book.digest() == before
