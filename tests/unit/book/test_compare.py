"""What a comparison of the log with checkpoint and gateway names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import pytest

from signer.audit.chain import START
from signer.book.book import Book
from signer.book.compare import BookComparison, BookReport
from signer.gateway.trace import closed_record, operator_record
from signer.model import ChainHead, Json, PlacedOrder
from tests.unit.audit.archives import begun, ended
from tests.unit.ledger.calls import order

Records = Sequence[Mapping[str, Json]]


def said(act: str, stage: str) -> Mapping[str, Json]:
    """The record of a command that concerns grid-bot."""
    return operator_record(1, "ann", {"id": "x", "act": act, "stage": stage, "reason": "r", "client": "grid-bot"}, 3)


def numbered(records: Records) -> Records:
    """The records as the log has them."""
    return [{"seq": seq, "prev": f"{seq - 1}", **record} for seq, record in enumerate(records, start=1)]


def book_of(records: Records) -> Book:
    """The book that they make."""
    book = Book()
    for record in numbered(records):
        book.apply(record)
    return book


def compared(
    log: Records,
    checkpoint: tuple[Book, int] | None = None,
    gateway: tuple[int, str] | None = None,
    start: tuple[Book, int] | None = None,
) -> BookReport:
    """Compare the book of a log with others, each at a record."""
    begin = (Book(), START) if start is None else (start[0], ChainHead(start[1], f"{start[1]}"))
    stored = None if checkpoint is None else (checkpoint[0], ChainHead(checkpoint[1], "x"))
    comparison = BookComparison(begin, stored, gateway)
    for record in numbered(log)[begin[1].seq :]:
        comparison.take(record, f"{record['seq']}")
    return comparison.report()


WHOLE = [begun("a", 1, 1_000), ended("a", 2_000), begun("b", 2, 1_000), ended("b", 2_000, "rejected")]
WHOLE += [begun("c", 3, 1_000), dict(said("clients revoke", "begun")), dict(said("halt", "begun"))]


def test_all_say_the_same() -> None:
    """Nothing is named, at whichever records checkpoint and gateway stand, and the digest is that of the book."""
    for seq in range(1, len(WHOLE) + 1):
        report = compared(WHOLE, (book_of(WHOLE[:seq]), seq), (seq, book_of(WHOLE[:seq]).digest()))
        assert (report.ok, report.differences, report.contradictions) == (True, [], [])
        assert (report.checkpoint, report.gateway, report.begin, report.last) == (seq, seq, 0, len(WHOLE))
        assert report.digest == book_of(WHOLE).digest()


def test_a_log_that_begins_later_goes_on_from_the_archived_book() -> None:
    """The book of a state file and the records after it make the book of the whole log."""
    report = compared(WHOLE, (book_of(WHOLE[:3]), 3), (5, book_of(WHOLE[:5]).digest()), start=(book_of(WHOLE[:3]), 3))
    assert (report.ok, report.begin, report.digest) == (True, 3, book_of(WHOLE).digest())


def test_a_log_alone_proves_a_book() -> None:
    """Without checkpoint and gateway nothing is compared, and the digest is told."""
    report = compared(WHOLE)
    assert (report.ok, report.checkpoint, report.gateway, report.digest) == (True, 0, 0, book_of(WHOLE).digest())


def test_a_gateway_with_another_book_is_named() -> None:
    """A gateway whose digest is another one at its record is a difference."""
    report = compared(WHOLE, gateway=(4, "ab" * 32))
    assert report.differences == [
        f"the gateway's book at record 4 has the digest {'ab' * 32}, and the log makes {book_of(WHOLE[:4]).digest()}"
    ]


def test_a_record_that_the_log_lacks_is_named() -> None:
    """A checkpoint or a gateway of a record before the log's first or behind its last cannot be compared."""
    report = compared(WHOLE, (book_of(WHOLE), 9), (8, "ab"), start=(book_of(WHOLE[:3]), 3))
    assert report.differences == [
        "the checkpoint stands for record 9, and the log has records 4 to 7",
        "the gateway told its book of record 8, and the log has records 4 to 7",
    ]
    assert not compared(WHOLE, (book_of(WHOLE[:1]), 1), start=(book_of(WHOLE[:3]), 3)).ok


def forgotten(records: Records) -> Records:
    """The checkpoint lost a call that was spent."""
    return records[2:]


def cheaper(records: Records) -> Records:
    """The checkpoint has a smaller charge for an open call."""
    return [begun("c", 3, 1_000, "1") if record["id"] == "c" else record for record in records]


def earlier(records: Records) -> Records:
    """The checkpoint dates what was spent hours before, so that it leaves the window sooner."""
    return [
        ended("a", 9_000_000_000) if (record["id"], record["kind"]) == ("a", "outcome") else record
        for record in records
    ]


def released(records: Records) -> Records:
    """The checkpoint holds nothing of an open call."""
    return [record for record in records if record["id"] != "c"]


def unhalted(records: Records) -> Records:
    """The checkpoint has no halt."""
    return records[:-1]


def unrevoked(records: Records) -> Records:
    """The checkpoint forgot that a client was revoked."""
    return [record for record in records if record.get("act") != "clients revoke"]


def closed(records: Records) -> Records:
    """The checkpoint takes an order for closed."""
    return [*records, closed_record("main", ["Oa"], [], 9)]


def other(records: Records) -> Records:
    """The checkpoint has another order under the id."""
    placed = PlacedOrder("main", "grid-bot", "Oa", order(volume=Decimal(7)), 1)
    return [*records, closed_record("main", [], [placed], 9)]


CAP = "client/grid-bot, USD in 604800 s"


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (
            forgotten,
            [
                f"{CAP}: 10 are used by the log, and 5 by the checkpoint",
                "order Oa of account main: the log has it, and the checkpoint does not",
            ],
        ),
        (
            cheaper,
            [
                f"{CAP}: 10 are used by the log, and 6 by the checkpoint",
                "call 3 (c) of grid-bot: the checkpoint has another one under this name",
            ],
        ),
        (
            earlier,
            [
                f"{CAP}: log and checkpoint have the same sum, spent at other times",
                "order Oa of account main: the checkpoint has another one under this name",
                "time of the book: 2000 by the log, and 9000000000 by the checkpoint",
            ],
        ),
        (
            released,
            [
                f"{CAP}: 10 are used by the log, and 5 by the checkpoint",
                "call 3 (c) of grid-bot: the log has it, and the checkpoint does not",
            ],
        ),
        (unhalted, ["halt of client grid-bot: the log has it, and the checkpoint does not"]),
        (unrevoked, ["revocation of client grid-bot: the log has it, and the checkpoint does not"]),
        (closed, ["order Oa of account main: the log has it, and the checkpoint does not"]),
        (other, ["order Oa of account main: the checkpoint has another one under this name"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_change_of_the_checkpoint_is_found(change: Callable[[Records], Records], lines: Sequence[str]) -> None:
    """Each difference is one line that names what differs, and the comparison fails."""
    report = compared(WHOLE, (book_of(change(WHOLE)), len(WHOLE)))
    assert (report.ok, report.differences) == (False, lines)


def test_what_the_checkpoint_has_more_is_found() -> None:
    """A halt that the log does not know is a difference too."""
    report = compared(WHOLE[:-1], (book_of(WHOLE), len(WHOLE) - 1))
    assert report.differences == ["halt of client grid-bot: the checkpoint has it, and the log does not"]


def test_a_log_that_contradicts_itself_proves_nothing() -> None:
    """A call that begins twice is named."""
    report = compared([*WHOLE, begun("c", 3, 1_000)])
    assert (report.ok, len(report.contradictions)) == (False, 1)
