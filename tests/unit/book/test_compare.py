"""What a comparison of log and ledger names, and what it lets pass as unfinished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import pytest

from signer.book.book import Book
from signer.book.compare import BookComparison, BookReport
from signer.gateway.trace import closed_record, held_fields, operator_record, reconciled_record
from signer.model import Charge, Intent, Json, Outcome, PlacedOrder
from tests.unit.ledger.calls import order

Records = list[Mapping[str, Json]]
DAY_S = 86_400


def intent(name: str, amount: str = "5") -> Intent:
    """A call of one order that charges one cap."""
    charge = Charge("cap", "client/ada", "USD", DAY_S, Decimal(100), Decimal(amount))
    return Intent("ada", "main", "AddOrder", (order(),), (), (charge,), name, 1, held_us=1_000)


def begun(name: str, reservation: int, amount: str = "5") -> Mapping[str, Json]:
    """The record of a call that is about to be sent."""
    held = held_fields(intent(name, amount), reservation)
    return {"kind": "intent", "id": name, "client": "ada", "account": "main", **held}


def ended(name: str, outcome: Outcome = Outcome.ACCEPTED, at_us: int = 2_000) -> Mapping[str, Json]:
    """The record of its end."""
    ids = [f"O{name}"] if outcome is Outcome.ACCEPTED else []
    return reconciled_record(intent(name), outcome, ids, at_us)


def said(act: str, stage: str) -> Mapping[str, Json]:
    """The record of a command that concerns ada."""
    return operator_record(1, "ann", {"id": "x", "act": act, "stage": stage, "reason": "r", "client": "ada"}, 3)


def numbered(records: Sequence[Mapping[str, Json]]) -> Records:
    """The records as the log has them."""
    return [{"seq": seq, **record} for seq, record in enumerate(records, start=1)]


def compared(
    in_ledger: Sequence[Mapping[str, Json]], in_log: Sequence[Mapping[str, Json]], *, last: int = 9, head: int = 0
) -> BookReport:
    """Compare a ledger that has seen some records with a log of others."""
    ledger = Book()
    for record in in_ledger:
        ledger.apply(record)
    comparison = BookComparison(ledger, last, head)
    for record in numbered(in_log):
        comparison.take(record)
    return comparison.report()


WHOLE = [begun("a", 1), ended("a"), begun("b", 2), ended("b", Outcome.REJECTED), begun("c", 3)]
WHOLE += [said("clients revoke", "begun"), said("halt", "begun")]


def test_log_and_ledger_that_say_the_same() -> None:
    """Nothing is named, and the digest is that of the book."""
    report = compared(WHOLE, WHOLE, last=3, head=7)
    assert (report.ok, report.records, report.first_seq) == (True, 7, 1)
    assert (report.differences, report.unfinished, report.contradictions) == ([], [], [])
    book = Book()
    for record in numbered(WHOLE):
        book.apply(record)
    assert report.digest == book.digest()


def test_records_that_came_after_the_ledger_was_read_are_no_difference() -> None:
    """Later calls, later ends of earlier calls, later lists and halts: the numbers tell which are new."""
    later = [
        ended("c"),
        begun("d", 4),
        ended("d"),
        begun("e", 5),
        said("resume", "done"),
        closed_record("main", ["Oa"], [], 9),
    ]
    report = compared(WHOLE, [*WHOLE, *later], last=3, head=7)
    assert report.ok
    assert report.unfinished == ["call 3 (c) of ada ended in record 8; the ledger still holds it"]


def test_what_a_crash_leaves_is_named_as_unfinished() -> None:
    """A call that is held and not on record, one that is on record and was given back, one that ended on record."""
    report = compared([begun("a", 1), begun("b", 2)], [begun("a", 1), ended("a"), begun("c", 3)], last=3)
    assert report.ok
    assert report.unfinished == [
        "call 1 (a) of ada ended in record 2; the ledger still holds it",
        "call 2 (b) of ada is held by the ledger; the log has no intent of it",
        "call 3 (c) of ada is on record; the ledger had given it back",
    ]


def test_orders_that_are_closed_on_record_may_be_marked_later() -> None:
    """The last list of closed orders is on record before the ledger marks them; an earlier one was marked."""
    last, earlier = closed_record("main", ["Oa"], [], 9), closed_record("main", [], [], 10)
    report = compared(WHOLE, [*WHOLE, last], last=3, head=8)
    assert report.ok
    assert report.unfinished == ["order Oa of account main is closed on record; the ledger has not marked it yet"]
    report = compared(WHOLE, [*WHOLE, last, earlier], last=3, head=9)
    assert report.differences == ["order Oa of account main may be open by the ledger, and not by the log"]


def forgotten(records: Records) -> Records:
    """The ledger lost a call that was spent."""
    return records[2:]


def cheaper(records: Records) -> Records:
    """The ledger has a smaller charge for an open call."""
    return [begun("c", 3, "1") if record["id"] == "c" else record for record in records]


def earlier(records: Records) -> Records:
    """The ledger dates what was spent hours before, so that it leaves the window sooner."""
    return [ended("a", at_us=4_000_000_000) if record == ended("a") else record for record in records]


def released(records: Records) -> Records:
    """The ledger holds nothing of an open call."""
    return [record for record in records if record["id"] != "c"]


def unhalted(records: Records) -> Records:
    """The ledger has no halt."""
    return records[:-1]


def unrevoked(records: Records) -> Records:
    """The ledger forgot that a client was revoked."""
    return [record for record in records if record.get("act") != "clients revoke"]


def closed(records: Records) -> Records:
    """The ledger takes an order for closed."""
    return [*records, closed_record("main", ["Oa"], [], 9)]


def other(records: Records) -> Records:
    """The ledger has another order under the id."""
    placed = PlacedOrder("main", "ada", "Oa", order(volume=Decimal(7)), 1)
    return [*records, closed_record("main", [], [placed], 9)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            forgotten,
            ["client/ada, USD in 86400 s: 10 are used by the log, and 5 by the ledger", "order Oa of account main"],
        ),
        (cheaper, ["call 3 (c) of ada is open in both, with other", "client/ada, USD"]),
        (earlier, ["client/ada, USD in 86400 s: log and ledger have the same sum, spent at other times"]),
        (released, ["call 3 (c) of ada is open by the log; the ledger does not hold it", "client/ada, USD"]),
        (unhalted, ["client ada is halted by the log, and not by the ledger"]),
        (unrevoked, ["client ada is revoked by the log, and not by the ledger"]),
        (closed, ["order Oa of account main may be open by the log, and not by the ledger"]),
        (other, ["order Oa of account main is another order in the ledger"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_change_of_the_ledger_is_found(change: Callable[[Records], Records], words: Sequence[str]) -> None:
    """Each difference is one line that names what differs, and the comparison fails."""
    report = compared(change(list(WHOLE)), WHOLE, last=3, head=7)
    assert not report.ok
    assert report.unfinished == []
    assert len(report.differences) == len(words)
    assert all(text.startswith(start) for text, start in zip(report.differences, words, strict=True))


def test_a_log_whose_beginning_is_missing_proves_nothing() -> None:
    """The first number is reported."""
    comparison = BookComparison(Book(), 0, 0)
    comparison.take({"seq": 5, "kind": "start"})
    report = comparison.report()
    assert (report.ok, report.first_seq) == (False, 5)
