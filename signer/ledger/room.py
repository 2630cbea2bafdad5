"""Keeps disk space for the marks, so that a nonce can be stored when the disk is full.

A nonce is stored before it is used, so without room for it no cancel could leave. A write goes into SQLite's
write-ahead log, in space that was claimed for it, and from there into free pages that the file already has. SQLite
removes its log at a clean stop, so a spare file keeps the space from then until the next start.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

from signer.errors import LedgerError
from signer.home.disk_space import claim
from signer.ledger.database import transaction

LOG_PAGES: Final = 250
"""Pages of 4 KiB that SQLite writes into its log before it moves them into the file and begins the log anew."""

LOG_BYTES: Final = 2 << 20
"""Twice what the log holds then."""

SPARE_BYTES: Final = LOG_BYTES + (1 << 20)
"""The log, and the other little files of a start."""

LEAST_PAGES: Final = 64
"""Free pages of 4 KiB in the file: room for more than a thousand new marks. An old one is replaced in its place."""

GROWTH_BYTES: Final = 1 << 20
"""How much the file grows when it has fewer."""

LOOK_EVERY: Final = 64
"""Commits between two looks at the free pages."""

BALLAST: Final = "CREATE TABLE ballast (data BLOB NOT NULL) STRICT"
"""A table that is always empty. The row that was in it has left free pages behind."""


@final
class Room:
    """The room of one open file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._commits = 0

    def open(self, connect: Callable[[Path], sqlite3.Connection]) -> sqlite3.Connection:
        """Open the connection; on a full disk, free the space that was kept for this.

        Raises `LedgerError` if even that is too little, and `sqlite3.Error`.
        """
        try:
            db = connect(self._path)
        except LedgerError:
            if not self._spare.exists():
                raise
            self._spare.unlink()
            db = connect(self._path)
        db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        _claim(self._path.with_name(f"{self._path.name}-wal"), LOG_BYTES)
        self.spare()
        self._look(db)
        return db

    def committed(self, db: sqlite3.Connection) -> None:
        """Count the commit; after each so many, make sure that free pages are left. Raises `sqlite3.Error`."""
        self._commits += 1
        if self._commits % LOOK_EVERY == 0:
            self._look(db)

    def spare(self) -> None:
        """Keep room for the next start. A disk that is full keeps what it can."""
        _claim(self._spare, SPARE_BYTES)

    def _look(self, db: sqlite3.Connection) -> None:
        (free,) = db.execute("PRAGMA freelist_count").fetchone()
        if free < LEAST_PAGES and self._disk_has(2 * GROWTH_BYTES):
            _grow(db)

    def _disk_has(self, size: int) -> bool:
        """Tell whether the disk has room. Without it, pages would fill the write-ahead log and not the file."""
        found = os.statvfs(self._path.parent)
        return found.f_bavail * found.f_frsize >= size

    @property
    def _spare(self) -> Path:
        return self._path.with_name(f"{self._path.name}-spare")


def _grow(db: sqlite3.Connection) -> None:
    """Give the file free pages: what a large row took and let go of."""
    with transaction(db):
        db.execute("INSERT INTO ballast (data) VALUES (zeroblob(?))", (GROWTH_BYTES,))
        db.execute("DELETE FROM ballast")
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def _claim(path: Path, size: int) -> None:
    with contextlib.suppress(OSError):  # full, or a file system that cannot: then there is no room to be had
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            claim(file, size)
        finally:
            os.close(file)
