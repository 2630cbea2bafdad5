"""Reading the book beside a gateway: the checkpoint and what the log has after it, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from signer.book.reading import Record
from signer.errors import LedgerError
from signer.home.layout import Home
from signer.ledger.checkpoint import BookFile
from signer.ledger.reading import ReadBook, fold_book
from signer.model import ChainHead, OrderRef
from tests.unit.ledger.books import book_of, changes, close, placed, rows, store
from tests.unit.ledger.calls import START_US

TAG = OrderRef("client-tag", "7")


def closing(venue_id: str, seq: int) -> Record:
    """The record that closes an order."""
    return {"seq": seq, "kind": "closed", "account": "main", "venue_ids": [venue_id], "reappeared": []}


def log(*records: Record) -> Callable[[int], Iterable[Record]]:
    """A log of these records."""

    def after(seq: int) -> Iterator[Record]:
        return (record for record in records if isinstance(number := record["seq"], int) and number > seq)

    return after


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
        opened.append(fold_book(home, log(*records), lambda: START_US))
        return opened[-1]

    yield read
    for one in opened:
        one.close()


def test_without_a_checkpoint_the_log_makes_the_book(home: Home, read: Callable[..., ReadBook]) -> None:
    """No file is made, and the whole log is folded."""
    found = read({"seq": 1, "kind": "operator", "act": "halt", "stage": "begun", "client": "bot", "time": 7})
    assert found.checkpoint_head is None
    assert [(halt.client, halt.at_us) for halt in found.halts()] == [("bot", 7)]
    assert found.find_orders("main", TAG) == []
    assert list(home.folder.iterdir()) == []


def test_a_log_whose_beginning_was_archived_has_a_book_to_start_with(file: BookFile, home: Home) -> None:
    """Without a checkpoint it is the one that was archived; a checkpoint is newer."""
    archived = book_of(placed("A"), placed("B")), ChainHead(7, "aa")
    found = fold_book(home, log(closing("A", 7), closing("B", 8)), start=lambda: archived)
    assert [one.venue_id for one in found.open_orders("", "")] == ["A"]
    found.close()
    store(file, changes(placed("C"), seq=9))
    found = fold_book(home, log(), start=lambda: archived)
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

    def broken(_seq: int) -> Iterable[Record]:
        raise OSError("disk I/O error")

    with pytest.raises(OSError, match="disk I/O error"):
        fold_book(home, broken)
