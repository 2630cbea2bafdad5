"""Opening a file of ours: who may read it, and what is refused."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from signer.errors import LedgerError
from signer.ledger.database import FileFormat

FORMAT = FileFormat("the file", 0x74657374, 3, ["CREATE TABLE ours (id INTEGER)"], "FULL", "put it back", "upgrade")
OTHER = FileFormat("the other file", 0x74657375, 3, FORMAT.tables, "NORMAL", "make it anew", "upgrade")


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """The file and those that SQLite puts beside it are 0600 whatever the umask."""
    umask = os.umask(0)
    try:
        db = FORMAT.connect(tmp_path / "x.db")
    finally:
        os.umask(umask)
    db.execute("INSERT INTO ours VALUES (1)")
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    db.close()


def test_each_file_waits_for_the_disk_as_its_format_says(tmp_path: Path) -> None:
    """Full: a commit means that the data is on the disk. Normal: only that it is consistent there."""
    for form, synchronous in ((FORMAT, 2), (OTHER, 1)):
        db = form.connect(tmp_path / form.what)
        values = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        db.close()
        assert values == ["wal", synchronous]


@pytest.mark.parametrize(("version", "hint"), [(4, "upgrade"), (2, "put it back")])
def test_another_version_is_refused_by_number(tmp_path: Path, version: int, hint: str) -> None:
    """The message names both versions and the hint, to a reader and to a writer."""
    path = tmp_path / "x.db"
    db = FORMAT.connect(path)
    db.execute(f"PRAGMA user_version = {version}")
    db.close()
    for connect in (FORMAT.connect, FORMAT.connect_to_read):
        with pytest.raises(LedgerError) as refused:
            connect(path)
        assert str(refused.value) == f"{path}: the file has version {version}, this signer reads version 3; {hint}"


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    """A database with foreign tables gets none of ours, nor does one file of ours stand for another."""
    path = tmp_path / "x.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (id INTEGER)")
    with pytest.raises(LedgerError, match="the file is not the file of signer; put it back"):
        FORMAT.connect(path)
    assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    other.close()
    OTHER.connect(tmp_path / "y.db").close()
    with pytest.raises(LedgerError, match="not the file of signer"):
        FORMAT.connect(tmp_path / "y.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Garbage is named as such, with the path and the hint, and is not overwritten."""
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database" * 100)
    for connect in (FORMAT.connect, FORMAT.connect_to_read):
        with pytest.raises(LedgerError, match=r"x\.db: the file cannot be used: file is not a database; put it back"):
            connect(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A missing folder raises an error that names it."""
    with pytest.raises(LedgerError, match="No such file or directory"):
        FORMAT.connect(tmp_path / "nowhere" / "x.db")


def test_a_reader_changes_nothing(tmp_path: Path) -> None:
    """A reader makes no file and writes to none; it sees what the last writer left, even one that was killed."""
    path = tmp_path / "a ?#%.db"
    assert FORMAT.connect_to_read(path) is None
    path.touch()
    assert FORMAT.connect_to_read(path) is None
    assert path.stat().st_size == 0
    writer = FORMAT.connect(path)
    writer.execute("INSERT INTO ours VALUES (7)")
    copy = tmp_path / "copy.db"
    for end in ("", "-wal"):  # what a killed process leaves on the disk
        copy.with_name(f"{copy.name}{end}").write_bytes(path.with_name(f"{path.name}{end}").read_bytes())
    for readable in (path, copy):
        reader = FORMAT.connect_to_read(readable)
        assert reader is not None
        assert reader.execute("SELECT id FROM ours").fetchall() == [(7,)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM ours")
        reader.close()
    writer.close()
