"""Replaying the log makes the book that wrote it, at every record, whatever happened."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from signer.audit.archive import StateFile, parse_state
from signer.book.book import Book
from signer.model import ChainHead, Intent, Order, Price
from tests.property.agreeing import agree
from tests.property.histories import STEPS, History, StoredBook, charge_of, end_record, intent_record

ORDER = Order("XXBTZUSD", "buy", "limit", Decimal(1), Price(Decimal(1)))


@given(steps=st.lists(STEPS, max_size=30))
def test_replaying_the_log_makes_the_book(steps: Sequence[tuple[str, Any]]) -> None:
    """Any mix of calls, ends, look-ups, lists, brakes, clocks, failed flushes, checkpoints and restarts; two folds that
    share no type agree."""
    history = History()
    for name, value in steps:
        history.play(name, value)
        agree(history.book, history.plain)
        assert history.book.digest() == history.resumed.digest()
        assert history.book.contradictions == []
    replayed = Book()
    for seq, record in enumerate(history.log, start=1):
        replayed.apply(record)
        assert history.digests.get(seq, replayed.digest()) == replayed.digest()


@given(steps=st.lists(STEPS, max_size=20))
def test_a_book_of_rows_is_the_book(steps: Sequence[tuple[str, Any]]) -> None:
    """Written as rows or as one state, and read back, it is the same."""
    history, stored = History(), StoredBook()
    for name, value in steps:
        history.play(name, value)
        book = history.book
        assert Book.of(json.loads(json.dumps(book.state()))).digest() == book.digest()
        changes = book.take_changes(ChainHead(len(history.log), ""), whole=True)
        book.touch(changes)  # for the history's own checkpoints
        stored.take(changes)
        assert (stored.load().digest(), stored.load().last) == (book.digest(), book.last)


@given(steps=st.lists(STEPS, max_size=20), data=st.data())
def test_a_log_goes_on_from_a_state_file(steps: Sequence[tuple[str, Any]], data: st.DataObject) -> None:
    """A book that is written as a state file at any record, read back and folded on is that of the whole log."""
    history = History()
    for name, value in steps:
        history.play(name, value)
    whole, archived = Book(), Book()
    at = data.draw(st.integers(0, len(history.log)))
    for seq, record in enumerate(history.log):
        if seq == at:
            state = parse_state(StateFile(ChainHead(seq, "ab" * 32), archived.state(), archived.last, None).encode())
            assert state is not None
            archived = state.book()
        whole.apply(record)
        archived.apply(record)
        assert (archived.digest(), archived.last) == (whole.digest(), whole.last)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["1", "0.5", "NaN", "1E+99"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["cap", "scope", "unit"]), inner),
    max_leaves=8,
)
FIELDS = ("id", "at", "reservation", "client", "account", "orders", "targets", "charges", "outcome", "venue_ids",
          "part", "reappeared", "act", "stage", "reason", "acted", "missing")  # fmt: skip
KINDS = ("intent", "outcome", "reconciled", "closed", "operator", "opened", "recovered", "start", "new-kind")
RECORDS = st.builds(
    lambda kind, fields: {"kind": kind, **fields},
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(FIELDS), JSON),
)


@given(st.lists(RECORDS, max_size=8), st.booleans())
def test_a_record_of_any_shape_is_taken(records: Sequence[dict[str, Any]], begun: bool) -> None:
    """A damaged record raises nothing, and leaves a book that can be written and read."""
    book = Book()
    if begun:
        book.apply(intent_record(call("r", "ada"), 1))
    for record in records:
        book.apply({**record, "id": "r"} if begun else record)
    assert Book.of(json.loads(json.dumps(book.state()))).digest() == book.digest()


def test_a_record_that_contradicts_counts_by_the_stricter_and_is_named() -> None:
    """A call that begins twice counts twice; an answer for fewer orders than it has leaves the others' charges."""
    book, charges = Book(), (charge_of("hour", "ada", Decimal(1), 0), charge_of("hour", "ada", Decimal(2), 1))
    begun = intent_record(replace(call("r", "ada"), orders=(ORDER, ORDER), charges=charges), 1)
    ended = end_record("reconciled", "r", "accepted", ["OA"], 2)
    for seq, record in enumerate((begun, begun, ended, ended), start=1):
        book.apply({**record, "seq": seq})
    assert book.used(("client/ada", "USD", 3600), 0) == 6
    assert [text.partition(":")[0] for text in book.contradictions] == ["record 2", "record 3", "record 4"]


def test_an_order_that_another_client_places_again_is_named() -> None:
    """The order stays that of the client who placed it first."""
    book = Book()
    for seq, client in enumerate(("ada", "bob")):
        book.apply(intent_record(call(client, client), 1))
        book.apply({"seq": seq, **end_record("outcome", client, "accepted", ["OA"], 2)})
    assert book.orders["main", "OA"].client == "ada"
    assert book.contradictions == ["record 1: order OA of ada is placed again by bob"]


def call(name: str, client: str) -> Intent:
    """A call of one order."""
    return Intent(client, "main", "AddOrder", (ORDER,), (), (), name, 1, held_us=1)
