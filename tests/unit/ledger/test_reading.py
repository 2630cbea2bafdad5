"""Reading the book beside a gateway: the checkpoint and what the log has after it, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from signer.book.book import Book
from signer.book.reading import Record
from signer.errors import LedgerError
from signer.home.layout import Home
from signer.ledger.checkpoint import BookFile
from signer.ledger.reading import ReadBook, fold_book
from signer.model import ChainHead, Gap, OrderRef
from signer.operator.reading_book import with_marks
from tests.unit.ledger.books import book_of, changes, close, placed, rows, store
from tests.unit.ledger.calls import START_US

TAG = OrderRef("client-tag", "7")


def closing(venue_id: str, seq: int) -> Record:
    """The record that closes an order."""
    return {"seq": seq, "kind": "closed", "account": "main", "venue_ids": [venue_id], "reappeared": []}


class GivenLog:
    """A log of these records, whose digests are their numbers."""

    def __init__(
        self, *records: Record, start: tuple[Book, ChainHead] | None = None, why: str = "", error: OSError | None = None
    ) -> None:
        self._error = error
        self._records = records
        self._start = start
        self._why = why

    def start(self) -> tuple[Book, ChainHead] | None:
        return self._start

    def records_after(self, seq: int) -> Iterable[tuple[Record, str]]:
        if self._error is not None:
            raise self._error
        for record in self._records:
            number = int(str(record["seq"]))
            if number > seq:
                yield {**record, "prev": f"{number - 1:064x}"}, f"{number:064x}"

    def why_unusable(self, head: ChainHead, book: Book) -> str:
        return self._why

    def unknown_gap(self, head: ChainHead, kept: ChainHead | None, checkpoint: ChainHead | None) -> Gap | None:
        return Gap(head.seq + 1, kept.seq) if kept is not None and kept.seq > head.seq else None


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture(name="file")
def _file(home: Home) -> Iterator[BookFile]:
    file = BookFile(home.book)
    file.load()
    yield file
    file.close()


@pytest.fixture(name="read")
def _read(home: Home) -> Iterator[Callable[..., ReadBook]]:
    opened: list[ReadBook] = []

    def read(*records: Record) -> ReadBook:
        opened.append(fold_book(home, GivenLog(*records), lambda: START_US))
        return opened[-1]

    yield read
    for one in opened:
        one.close()


def test_without_a_checkpoint_the_log_makes_the_book(home: Home, read: Callable[..., ReadBook]) -> None:
    """No file is made, and the whole log is folded."""
    found = read({"seq": 1, "kind": "operator", "act": "halt", "stage": "begun", "client": "bot", "time": 7})
    assert found.checkpoint_head is None
    assert [(halt.scope.client, halt.at_us) for halt in found.halts()] == [("bot", 7)]
    assert found.find_orders("main", TAG) == []
    assert list(home.folder.iterdir()) == []


def test_a_log_whose_beginning_was_archived_has_a_book_to_start_with(file: BookFile, home: Home) -> None:
    """Without a checkpoint it is the one that was archived; a checkpoint is newer."""
    archived = book_of(placed("A"), placed("B")), ChainHead(7, f"{7:064x}")
    found = fold_book(home, GivenLog(closing("A", 7), closing("B", 8), start=archived))
    assert [one.venue_id for one in found.open_orders("", "")] == ["A"]
    found.close()
    store(file, changes(placed("C"), seq=9))
    found = fold_book(home, GivenLog(start=archived))
    assert [one.venue_id for one in found.open_orders("", "")] == ["C"]
    found.close()


def test_the_tail_of_the_log_is_folded_into_the_checkpoint(file: BookFile, read: Callable[..., ReadBook]) -> None:
    """Records that the checkpoint stands for are not folded again; later ones are."""
    store(file, changes(*rows(), seq=5))
    found = read(closing("OPEN-1", 5), closing("OPEN-2", 6))
    assert found.checkpoint_head == ChainHead(5, f"{5:064x}")
    assert [one.venue_id for one in found.open_orders("", "")] == ["OPEN-1"]
    names = found.reappeared("main", ["OPEN-1", "OPEN-2", "CLOSED"])
    assert sorted(one.venue_id for one in names) == ["CLOSED", "OPEN-2"]
    left = [row for row in rows() if row.key != ("main", "OPEN-2")]
    assert found.book.digest() == book_of(*left).digest()


def test_a_book_is_read_beside_a_gateway_that_writes(file: BookFile, read: Callable[..., ReadBook]) -> None:
    """A reader has the book of before a checkpoint under way, and closed orders as they are now."""
    one = placed("A", client_tag="7")
    store(file, changes(one))
    file.begin(changes(close(one), placed("B", closed=True, client_tag="7"), seq=2))
    file.step()
    found = read()
    while not file.step():
        pass
    assert [order.venue_id for order in found.find_orders("main", TAG)] == ["A"]
    later = read(closing("A", 2))
    assert sorted(order.venue_id for order in later.find_orders("main", TAG)) == ["A", "B"]


def test_a_damaged_checkpoint_is_named_and_left_as_it_is(home: Home, read: Callable[..., ReadBook]) -> None:
    """A command does not put it aside: that is for the process that writes it."""
    home.book.write_text("nonsense" * 100)
    with pytest.raises(LedgerError, match=r"book\.db: .* the gateway puts it aside when it starts"):
        read()
    assert home.book.read_text().startswith("nonsense")


def test_a_log_that_cannot_be_read_is_an_error(home: Home, file: BookFile) -> None:
    """The checkpoint alone is not taken for the book of now."""
    store(file, changes(*rows()))
    with pytest.raises(OSError, match="disk I/O error"):
        fold_book(home, GivenLog(error=OSError("disk I/O error")))


def test_a_checkpoint_of_another_log_is_named(home: Home, file: BookFile) -> None:
    """It is not taken for the book, and is left as it is."""
    store(file, changes(*rows()))
    with pytest.raises(LedgerError, match=r"book\.db: it is of another log; the gateway puts it aside when it starts"):
        fold_book(home, GivenLog(why="it is of another log"))
    assert home.book.exists()


def test_a_book_that_lacks_records_says_so(home: Home, read: Callable[..., ReadBook]) -> None:
    """Those between two records, those that only the marks know, and none that an operator has accepted."""
    halt = {"kind": "operator", "act": "halt", "stage": "begun", "client": "bot", "time": 7}
    accepted = {"kind": "operator", "act": "book accept", "stage": "done", "time": 8}
    told = {"kind": "recovered", "missing": [2, 3], "text": "t"}
    assert read({"seq": 1, **halt}, {"seq": 4, **halt}).gaps() == [Gap(2, 3)]
    assert read({"seq": 1, **halt}, {"seq": 4, **halt}, {"seq": 5, **told}).gaps() == [Gap(2, 3)]
    assert read({"seq": 1, **halt}, {"seq": 4, **told}, {"seq": 5, **accepted}).gaps() == []
    home.audit.mkdir()
    with_marks(home, lambda marks: marks.keep_head(ChainHead(9, "aa")))
    assert read({"seq": 1, **halt}).gaps() == [Gap(2, 9)]
