"""The marks on a full or failing disk, and with several processes."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from signer.errors import LedgerError
from signer.home.layout import Home
from signer.ledger import open_marks, room
from signer.ledger.database import FileFormat
from signer.ledger.marks import MARKS, SqliteMarks
from signer.model import ChainHead
from tests.unit.ledger.calls import InlineWorker
from tests.unit.ledger.disks import Breakable
from tests.unit.ledger.raising import ENOUGH


async def opened(path: Path) -> SqliteMarks:
    """Marks that are written where they are asked for."""
    marks = SqliteMarks(path, InlineWorker(), patience_s=0)
    await marks.open()
    return marks


@pytest.fixture(name="disk")
def _disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Breakable:
    disk = Breakable(MARKS.connect(tmp_path / "marks.db"))
    monkeypatch.setattr(FileFormat, "connect", lambda _format, _path: cast(sqlite3.Connection, disk))
    return disk


@pytest_asyncio.fixture(name="marks")
async def _marks(tmp_path: Path, disk: Breakable) -> AsyncIterator[SqliteMarks]:
    marks = await opened(tmp_path / "marks.db")
    yield marks
    disk.broken = ""
    await marks.close()


@pytest.mark.parametrize("broken", ["COMMIT", "BEGIN IMMEDIATE", "INSERT OR REPLACE INTO marks"])
async def test_a_batch_that_cannot_be_stored_raises_no_mark(marks: SqliteMarks, disk: Breakable, broken: str) -> None:
    """Every caller of the batch is told. The marks stay as they were, and can be raised later."""
    await marks.raise_mark("a", 1)
    disk.broken = broken
    answers = await asyncio.gather(*(marks.raise_mark(name, 2) for name in "abc"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LedgerError] * 3
    assert "the file of marks cannot be used: disk I/O error; check the disk" in str(answers[0])
    disk.broken = ""
    assert await marks.marks() == {"a": 1}
    await marks.raise_mark("a", 2)
    assert await marks.marks() == {"a": 2}


async def test_marks_that_cannot_be_read_are_an_error(marks: SqliteMarks, disk: Breakable) -> None:
    """A mark that cannot be read is not taken for none."""
    await marks.raise_mark("a", 1)
    disk.broken = "SELECT"
    for ask in (marks.marks, marks.head):
        with pytest.raises(LedgerError, match="disk I/O error"):
            await ask()


async def test_a_full_disk(tmp_path: Path) -> None:
    """When nothing can be written, the caller is told so with the hint. With space it goes on."""
    marks = await opened(tmp_path / "marks.db")
    await marks.raise_mark("a", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(LedgerError, match="free space"):
            await marks.raise_mark("a", 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await marks.marks() == {"a": 1}
    await marks.raise_mark("a", 2)
    assert await marks.marks() == {"a": 2}
    await marks.close()


async def test_there_is_room_for_marks_on_a_full_disk(tmp_path: Path) -> None:
    """An open file has free pages and its log's space, and a closed one has space for the next start."""
    path = tmp_path / "marks.db"
    marks = await opened(path)
    assert (tmp_path / "marks.db-wal").stat().st_blocks * 512 >= room.LOG_BYTES
    size = path.stat().st_size
    await asyncio.gather(*(marks.raise_mark(f"client/bot-{number}", number) for number in range(1_000)))
    await marks.close()
    assert path.stat().st_size == size
    assert (tmp_path / "marks.db-spare").stat().st_blocks * 512 >= room.SPARE_BYTES
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM ballast").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM marks").fetchone() == (1_000,)


async def test_free_pages_are_made_again_while_there_is_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When fewer free pages are left than are wanted, the file grows; it does not if the disk has no space for it."""
    path = tmp_path / "marks.db"
    monkeypatch.setattr(room, "LOOK_EVERY", 1)
    marks = await opened(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO ballast VALUES (zeroblob(?))", (room.GROWTH_BYTES - (100 << 10),))
        with monkeypatch.context() as full:
            full.setattr(room.Room, "_disk_has", lambda _room, _size: False)
            await marks.raise_mark("a", 1)
            assert db.execute("PRAGMA freelist_count").fetchone()[0] < room.LEAST_PAGES
        await marks.raise_mark("a", 2)
        assert db.execute("PRAGMA freelist_count").fetchone()[0] >= room.LEAST_PAGES
    await marks.close()


async def test_a_start_on_a_full_disk_takes_the_spare_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spare file is removed, and the marks are opened in its place."""
    path = tmp_path / "marks.db"
    await (await opened(path)).close()
    spare = tmp_path / "marks.db-spare"
    connect = MARKS.connect

    def on_full_disk(_format: FileFormat, path: Path) -> sqlite3.Connection:
        if spare.exists():
            raise LedgerError("the disk is full")
        return connect(path)

    monkeypatch.setattr(FileFormat, "connect", on_full_disk)
    marks = await opened(path)
    await marks.raise_mark("a", 1)
    assert await marks.marks() == {"a": 1}
    await marks.close()


async def test_two_processes_share_the_marks(tmp_path: Path) -> None:
    """A command may raise marks beside a running gateway; neither loses one of the other's."""
    path = tmp_path / "marks.db"
    both = [_raising(path, name) for name in ("a", "b")]
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    assert await _stored(path) == {"a": ENOUGH, "b": ENOUGH, "shared": ENOUGH}


async def test_a_killed_process_loses_no_mark_that_it_was_told_of(tmp_path: Path) -> None:
    """After `kill -9` in the middle the mark is at least as high as the last answer."""
    process = _raising(tmp_path / "marks.db", "a")
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(50)]
    process.kill()
    told += [int(line) for line in process.communicate()[0].split(b"\n")[:-1]]
    assert (await _stored(tmp_path / "marks.db"))["a"] in {told[-1], told[-1] + 1}


async def test_marks_of_a_home_end_their_thread_when_they_are_closed(tmp_path: Path) -> None:
    """A home's marks write on a thread of their own; a file that cannot be opened leaves none behind."""
    marks = await open_marks(Home(tmp_path))
    await asyncio.gather(marks.raise_mark("a", 1), marks.keep_head(ChainHead(1, "aa")))
    await marks.close()
    assert await _stored(tmp_path / "marks.db") == {"a": 1}
    (tmp_path / "marks.db").write_text("nonsense")
    with pytest.raises(LedgerError, match=r"restore marks\.db from a backup"):
        await open_marks(Home(tmp_path))


def _raising(path: Path, name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.unit.ledger.raising", str(path), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


async def _stored(path: Path) -> dict[str, int]:
    marks = await opened(path)
    stored = dict(await marks.marks())
    await marks.close()
    return stored
