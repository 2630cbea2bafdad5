"""The checkpoint's file: what is stored is read back, a crash leaves no half of it, and damage is found."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from signer.book.book import Book
from signer.book.rows import BookChanges, Row
from signer.errors import LedgerError
from signer.ledger import checkpoint
from signer.ledger.book_format import BOOK
from signer.ledger.checkpoint import COURSE, BookFile
from signer.ledger.database import FileFormat
from signer.model import ChainHead, Halt, HaltScope, OrderRef
from signer.model.halts import EVERYBODY
from tests.unit.ledger.books import KEY, book_of, call, changes, close, known_of, placed, rows, store, window
from tests.unit.ledger.calls import START_US
from tests.unit.ledger.disks import Breakable

TAG = OrderRef("client-tag", "7")


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "book.db"


@pytest.fixture(name="file")
def _file(path: Path) -> Iterator[BookFile]:
    file = BookFile(path)
    file.load()
    yield file
    file.close()


@pytest.fixture(name="one_row_a_step")
def _one_row_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SLICE_S", 0)
    monkeypatch.setattr(checkpoint, "ROWS_AT_ONCE", 1)


def loaded(path: Path) -> object:
    """What a start finds in the file."""
    file = BookFile(path)
    try:
        return known_of(file.load())
    finally:
        file.close()


def test_there_is_none_at_first(file: BookFile) -> None:
    """A new file knows no record, no book and no closed order."""
    assert file.load() is None
    assert file.closed("main", TAG) == file.closed_among("main", ["A"]) == []
    assert file.step()


def test_the_records_of_earlier_checkpoints_are_kept(path: Path) -> None:
    """The newest hundred or so, newest first, whether all rows were stored anew or not."""
    file = BookFile(path)
    for seq in range(1, 151):
        store(file, changes(window("1"), seq=seq, whole=seq % 7 == 0))
    loaded = file.load()
    assert loaded is not None
    assert loaded[0].course == [ChainHead(seq, f"{seq:064x}") for seq in range(150, 150 - COURSE, -1)]
    file.close()


def test_what_a_record_says_is_missing_is_stored(path: Path) -> None:
    """A book that lacks records lacks them after a start, until that is accepted."""
    file, book = BookFile(path), Book()
    book.apply({"kind": "recovered", "missing": [3, 4], "text": "t"})
    store(file, book.take_changes(ChainHead(9, f"{9:064x}")))
    first = file.load()
    assert first is not None
    assert first[0].gaps == {(3, 4): True}
    first[0].apply({"kind": "operator", "act": "book accept", "stage": "done"})
    store(file, first[0].take_changes(ChainHead(10, f"{10:064x}")))
    second = file.load()
    assert second is not None
    assert (second[0].gaps, second[1].seq) == ({}, 10)
    file.close()


def test_a_book_reads_back_as_it_was(file: BookFile, path: Path) -> None:
    """Every kind of row is there after a start, to the last zero of an amount; closed orders are not in memory."""
    store(file, changes(*rows(), whole=True))
    file.close()
    file = BookFile(path)
    found = file.load()
    assert found is not None
    book, head = found
    expected = book_of(*rows())
    assert (book.state(), book.digest(), book.last, head) == (
        expected.state(),
        expected.digest(),
        10,
        ChainHead(1, f"{1:064x}"),
    )
    assert str(book.caps[KEY][1]) == "1000"
    assert [one.reservation for one in book.calls.values()] == [1, 2]
    assert [venue_id for _, venue_id in book.orders] == ["OPEN-1", "OPEN-2"]
    assert not book.placed.closed
    assert [one.venue_id for one in file.closed_among("main", ["OPEN-1", "CLOSED", "NONE"])] == ["CLOSED"]
    file.close()


def test_only_changed_rows_are_written(file: BookFile, path: Path) -> None:
    """A row without a value is gone, one that is not named stays, and an order is closed, amended or opened again."""
    store(file, changes(*rows(), whole=True))
    halt = Row("halt", EVERYBODY, Halt(EVERYBODY, "stop", "ann", START_US))
    gone = [Row("call", call(1).key, None), Row("halt", HaltScope("bot"), None), Row("order", ("main", "OPEN-2"), None)]
    now = [window("0.25"), halt, placed("OPEN-1", client_tag="8"), placed("CLOSED")]
    store(file, changes(*gone, *now, seq=2, now_us=START_US + 5))
    changed = {(one.kind, one.key) for one in [*gone[:2], *now]}
    left = [row for row in rows() if (row.kind, row.key) not in changed]
    file.close()
    expected = book_of(*left, *now, now_us=START_US + 5, last=20)
    assert loaded(path) == (expected.state(), 20, ChainHead(2, f"{2:064x}"))


def test_whole_changes_take_the_place_of_all_but_closed_orders(file: BookFile, path: Path) -> None:
    """Rows and open orders that are not among them go, and closed orders stay."""
    many = [placed(f"OLD{number}") for number in range(50)] + [call(number) for number in range(1, 60)]
    store(file, changes(*many, close(placed("CLOSED"))))
    store(file, changes(window("7"), placed("OLD3", client_tag="9"), seq=2, whole=True))
    found = [one.venue_id for one in file.closed_among("main", ["CLOSED", "OLD3", "OLD4"])]
    file.close()
    expected = book_of(window("7"), placed("OLD3", client_tag="9"))
    assert (loaded(path), found) == ((expected.state(), 20, ChainHead(2, f"{2:064x}")), ["CLOSED"])


@pytest.mark.usefixtures("one_row_a_step")
@pytest.mark.parametrize("whole", [False, True])
def test_a_kill_between_two_steps_leaves_the_book_before_or_after(
    file: BookFile, path: Path, tmp_path: Path, whole: bool
) -> None:
    """The files as they are after each step hold one of the two books, and the new one once it is said to be stored."""
    store(file, changes(*rows()))
    before = known_of(file.load())
    amended = placed("OPEN-2", client_id="new")
    file.begin(changes(window("9"), Row("call", call(2).key, None), amended, seq=2, whole=whole))
    seen: list[object] = []
    is_stored = False
    while not is_stored:
        is_stored = file.step()
        seen.append(loaded(_copy(path, tmp_path / f"killed-{len(seen)}")))
    after = known_of(file.load())
    turn = seen.index(after)
    assert turn >= 4
    assert seen == [before] * turn + [after] * (len(seen) - turn)


@pytest.mark.usefixtures("one_row_a_step")
def test_a_power_failure_leaves_the_book_before_or_after(file: BookFile, path: Path, tmp_path: Path) -> None:
    """SQLite's log may be cut off anywhere while the disk has not been waited for."""
    store(file, changes(*rows()))
    before = known_of(file.load())
    whole = _copy(path, tmp_path / "stored")
    file.begin(changes(window("9"), *(placed(f"NEW{number}") for number in range(100)), seq=2))
    steps = 0
    while (after := loaded(_copy(path, tmp_path / f"step-{steps}"))) == before:
        file.step()
        steps += 1
    log = (tmp_path / "book.db-wal").read_bytes()
    found = []
    for length in (*range(0, len(log), 1000), len(log)):
        cut = _copy(whole, tmp_path / f"cut-{length}")
        (cut.parent / "book.db-wal").write_bytes(log[:length])
        found.append(loaded(cut))
    turn = found.index(after)
    assert turn > 1
    assert found == [before] * turn + [after] * (len(found) - turn)


def _copy(path: Path, folder: Path) -> Path:
    """The files as the disk has them when a process is killed."""
    folder.mkdir()
    for file in path.parent.glob("book.db*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, folder)
    return folder / path.name


def test_what_is_stored_is_in_the_file_itself(file: BookFile, path: Path, tmp_path: Path) -> None:
    """When all is stored, SQLite's log is no longer needed."""
    store(file, changes(*rows()))
    stored = known_of(file.load())
    shutil.copy(path, tmp_path / "alone.db")
    assert loaded(tmp_path / "alone.db") == stored


def test_a_step_ends_when_its_time_is_up(file: BookFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice that takes a quarter of its time for each row that it stores at once has four of them."""
    now = [0.0]

    def later() -> float:
        now[0] += checkpoint.SLICE_S / 4
        return now[0]

    monkeypatch.setattr("signer.ledger.checkpoint.time.perf_counter", later)
    monkeypatch.setattr(checkpoint, "ROWS_AT_ONCE", 1)
    file.begin(changes(*(placed(f"A{number}") for number in range(40))))
    lengths, before = [], 0.0
    while not file.step():
        lengths.append((now[0] - before) / checkpoint.SLICE_S)
        before = now[0]
    assert lengths[:10] == pytest.approx([1.25] * 10)
    assert max(lengths) < 1.5


@pytest.fixture(name="disk")
def _disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> Breakable:
    disk = Breakable(BOOK.connect(path))
    monkeypatch.setattr(FileFormat, "connect", lambda _format, _path: cast(sqlite3.Connection, disk))
    return disk


@pytest.mark.parametrize(
    "broken", ["BEGIN IMMEDIATE", "INSERT OR REPLACE INTO rows", "COMMIT", "PRAGMA wal_checkpoint"]
)
def test_a_step_that_fails_stores_nothing_more_and_the_next_changes_are_stored(
    disk: Breakable, file: BookFile, broken: str
) -> None:
    """The caller is told, the file has the book before or after, and whole changes bring it up to date."""
    store(file, changes(*rows()))
    before = known_of(file.load())
    disk.broken = broken
    with pytest.raises(LedgerError, match="the checkpoint cannot be used: disk I/O error; check the disk"):
        store(file, changes(window("9"), placed("NEW"), seq=2))
    disk.broken = ""
    assert file.step()
    assert (known_of(file.load()) == before) == (broken != "PRAGMA wal_checkpoint")
    store(file, changes(window("9"), seq=3, whole=True))
    assert known_of(file.load()) == (book_of(window("9")).state(), 30, ChainHead(3, f"{3:064x}"))


def test_changes_that_cannot_be_written_are_an_error(file: BookFile) -> None:
    """A number that JSON does not hold is named, and stored is what was before."""
    store(file, changes(*rows()))
    before = known_of(file.load())
    with pytest.raises(LedgerError, match="the book cannot be stored"):
        store(file, changes(Row("revoked", ("bot",), 2**70), seq=2))
    assert known_of(file.load()) == before


def test_new_changes_take_the_place_of_those_that_were_being_stored(file: BookFile) -> None:
    """Nothing of the first ones is stored."""
    store(file, changes(window("1")))
    file.begin(changes(*rows(), seq=2))
    file.step()
    store(file, changes(window("2"), seq=3))
    assert known_of(file.load()) == (book_of(window("2")).state(), 30, ChainHead(3, f"{3:064x}"))


def test_damage_is_found(file: BookFile, path: Path, tmp_path: Path) -> None:
    """Whatever byte of the file changes, the book is read as it was or not at all."""
    store(file, changes(*rows(), whole=True))
    stored = known_of(file.load())
    file.close()
    content, refused = bytearray(path.read_bytes()), 0
    chosen = random.Random(7)  # noqa: S311 - the same at each run
    written = [place for place, byte in enumerate(content) if byte]
    for number, place in enumerate(chosen.sample(written, 300)):
        damaged = tmp_path / f"{number}.db"
        damaged.write_bytes(bytes(content[:place]) + bytes([content[place] ^ 1 << number % 8]) + content[place + 1 :])
        try:
            found = loaded(damaged)
        except LedgerError:
            refused += 1
        else:
            assert found == stored, place
        for one in tmp_path.glob(f"{number}.db*"):
            one.unlink()
    assert refused > 100


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_text("nonsense" * 100), "file is not a database"),
        (lambda path: _alter(path, "PRAGMA user_version = 2"), "has version 2, this signer reads version 1"),
        (lambda path: _alter(path, "PRAGMA application_id = 1"), "is not the checkpoint of signer"),
        (lambda path: _alter(path, "UPDATE state SET now_us = 1"), "the checkpoint is damaged"),
        (lambda path: _alter(path, "UPDATE rows SET item = '[]' WHERE kind = 'cap'"), "the checkpoint is damaged"),
        (lambda path: _alter(path, "UPDATE orders SET closed = 0"), "the checkpoint is damaged"),
        (lambda path: _alter(path, "DROP TABLE state"), "no such table: state"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_put_aside_and_made_anew(
    file: BookFile, path: Path, spoil: object, said: str
) -> None:
    """The error says what is wrong and that the log makes the book anew; one file is kept for a person to look at."""
    store(file, changes(*rows()))
    file.close()
    (path.parent / "book.db.damaged-19700101T000000Z").write_text("older")
    assert callable(spoil)
    spoil(path)
    again = BookFile(path)
    with pytest.raises(LedgerError, match=rf"book\.db: .*{said}") as refused:
        again.load()
    assert "from the audit log" in str(refused.value) or "no such table" in str(refused.value)
    again.discard()
    assert again.load() is None
    store(again, changes(window("1")))
    assert known_of(again.load()) == (book_of(window("1")).state(), 10, ChainHead(1, f"{1:064x}"))
    again.close()
    (aside,) = path.parent.glob("book.db.damaged-*")
    assert aside.read_bytes() != b"older"


def _alter(path: Path, statement: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA ignore_check_constraints = 1")
    db.execute("PRAGMA writable_schema = 1")
    db.execute(statement.replace("'[]'", "x'5b5d'"))
    db.close()


def test_a_file_that_was_deleted_is_made_anew_without_its_old_log(file: BookFile, path: Path, tmp_path: Path) -> None:
    """A log that a killed process left is not taken for the new file's."""
    store(file, changes(*rows()))
    copy = _copy(path, tmp_path / "killed")
    assert (copy.parent / "book.db-wal").stat().st_size
    copy.unlink()
    assert loaded(copy) is None


def test_a_new_file_is_begun_by_changes_if_nothing_was_loaded(path: Path) -> None:
    """Changes can be stored without `load` before."""
    file = BookFile(path)
    store(file, changes(window("1")))
    assert known_of(file.load()) == (book_of(window("1")).state(), 10, ChainHead(1, f"{1:064x}"))
    file.close()


def test_a_full_disk_keeps_nobody_from_a_start_without_a_checkpoint(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be made is put aside like a damaged one. It is made later, when the disk has space."""
    path.write_text("nonsense" * 100)
    file = BookFile(path)
    with monkeypatch.context() as full:

        def refuse(_format: FileFormat, path: Path) -> sqlite3.Connection:
            raise LedgerError("the disk is full", where=str(path))

        full.setattr(FileFormat, "connect", refuse)
        with pytest.raises(LedgerError):
            file.load()
        file.discard()
        assert not file.closed("main", TAG)
        with pytest.raises(LedgerError, match="the disk is full"):
            store(file, changes(window("1")))
    store(file, changes(window("1")))
    assert known_of(file.load()) == (book_of(window("1")).state(), 10, ChainHead(1, f"{1:064x}"))
    file.close()


def test_a_full_disk_does_not_cost_a_whole_checkpoint(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite finds no room for the files beside it. The book and its closed orders are read without, and kept."""
    file = BookFile(path)
    store(file, changes(window("1"), placed("A", closed=True, client_tag="7")))
    file.close()
    with monkeypatch.context() as full:

        def refuse(_format: FileFormat, path: Path) -> sqlite3.Connection:
            path.with_name("book.db-wal").touch()
            raise LedgerError("the disk is full", where=str(path))

        full.setattr(FileFormat, "connect", refuse)
        file = BookFile(path)
        assert known_of(file.load()) == (book_of(window("1")).state(), 10, ChainHead(1, f"{1:064x}"))
        assert [one.venue_id for one in file.closed("main", TAG)] == ["A"]
        with pytest.raises(LedgerError, match="the disk is full"):
            store(file, changes(window("2")))
    store(file, changes(window("2"), placed("B", closed=True, client_tag="7")))
    assert {one.venue_id for one in file.closed("main", TAG)} == {"A", "B"}
    file.close()


def test_a_full_disk_does_not_cost_the_checkpoint_that_a_crash_left(
    file: BookFile, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The book and its closed orders are read, though some of it stands in SQLite's log alone, and nothing is lost."""
    store(file, changes(window("1"), placed("A", closed=True, client_tag="7")))
    reader = BOOK.connect_to_read(path)
    assert reader is not None
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM state").fetchone()  # what is stored from now on stays in SQLite's log
    store(file, changes(window("2"), placed("B", closed=True, client_tag="7")))
    left = _copy(path, tmp_path / "killed")
    assert (left.parent / "book.db-wal").stat().st_size
    reader.close()
    with monkeypatch.context() as full:

        def refuse(_format: FileFormat, path: Path) -> sqlite3.Connection:
            raise LedgerError("the disk is full", where=str(path))

        full.setattr(FileFormat, "connect", refuse)
        found = BookFile(left)
        assert known_of(found.load()) == (book_of(window("2")).state(), 10, ChainHead(1, f"{1:064x}"))
        assert {one.venue_id for one in found.closed("main", TAG)} == {"A", "B"}
    store(found, changes(window("3")))
    assert loaded(left) == (book_of(window("3")).state(), 10, ChainHead(1, f"{1:064x}"))
    found.close()


def test_closed_orders_are_found_while_changes_are_being_stored(file: BookFile) -> None:
    """A reader neither waits nor sees half of a change."""
    one = placed("A", client_tag="7")
    store(file, changes(close(one)))
    taken: BookChanges = changes(one, close(placed("B", client_tag="7")), seq=2)
    file.begin(taken)
    seen: list[Sequence[str]] = [[order.venue_id for order in file.closed("main", TAG)]]
    while not file.step():
        seen.append([order.venue_id for order in file.closed("main", TAG)])
    assert seen[0] == ["A"]
    assert [order.venue_id for order in file.closed("main", TAG)] == ["B"]
    assert all(found in (["A"], ["B"]) for found in seen)
