"""Opening the ledger's file: what is refused, and how."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from signer.errors import LedgerError
from signer.ledger.database import VERSION, connect


def test_a_new_ledger_is_for_its_owner_only(tmp_path: Path) -> None:
    """The file and those that SQLite puts beside it are 0600 whatever the umask."""
    umask = os.umask(0)
    try:
        db = connect(tmp_path / "ledger.db")
    finally:
        os.umask(umask)
    db.execute("UPDATE state SET seen_us = 1")
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    db.close()


def test_the_disk_is_waited_for(tmp_path: Path) -> None:
    """A commit means that the data is on the disk, and a reference to nothing is refused."""
    db = connect(tmp_path / "ledger.db")
    values = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert values == ["wal", 2, 1]
    db.close()


def test_a_newer_version_is_refused_by_number(tmp_path: Path) -> None:
    """A ledger of a newer signer is left alone; the message names both versions and the hint."""
    path = tmp_path / "ledger.db"
    db = connect(path)
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(LedgerError) as refused:
        connect(path)
    assert str(refused.value) == (
        f"{path}: the ledger has version {VERSION + 1}, this signer reads version {VERSION}; upgrade signer"
    )


def test_an_older_version_is_refused_by_number(tmp_path: Path) -> None:
    """An older ledger is not converted, and the hint says what can be done."""
    path = tmp_path / "ledger.db"
    db = connect(path)
    db.execute(f"PRAGMA user_version = {VERSION - 1}")
    db.close()
    with pytest.raises(LedgerError, match="use the signer that made it, or begin with a new home"):
        connect(path)


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    """A database with foreign tables gets none of ours."""
    path = tmp_path / "ledger.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (id INTEGER)")
    with pytest.raises(LedgerError, match="no ledger of signer"):
        connect(path)
    assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    other.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Garbage is named as such, with the path, and is not overwritten."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerError, match=r"ledger\.db: the ledger failed: file is not a database"):
        connect(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A missing folder raises an error that names it."""
    with pytest.raises(LedgerError, match="No such file or directory"):
        connect(tmp_path / "nowhere" / "ledger.db")
