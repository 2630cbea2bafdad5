"""Room for the ledger on a full disk: nonces are stored before they are used, so without room no cancel could leave.

What is written on a full disk goes into SQLite's write-ahead log, in room that was claimed for it, and from there into
free pages that the database already has. Orders are refused before these are short: they use some up, nonces do not.
SQLite removes its log at a clean stop, so a spare file keeps the room from then until the next start.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

from signer.errors import LedgerError
from signer.offload.room import claim

LOG_BYTES: Final = 8 << 20
"""Twice what SQLite writes into its log before it begins anew (1,000 pages of 4 KiB, with their headers)."""

SPARE_BYTES: Final = LOG_BYTES + (1 << 20)
"""The log, and the other little files of a start."""

LEAST_PAGES: Final = 256
"""Free pages (of 4 KiB) for what is on its way when the disk is found full: more than a thousand orders."""

GROWTH_BYTES: Final = 4 << 20
"""How much the database grows when it has fewer: the disk is asked seldom."""

LOOK_EVERY: Final = 64
"""Commits between two looks at the free pages."""


@final
class Room:
    """The room of one open ledger. Used on the ledger's own thread."""

    def __init__(self, path: Path) -> None:
        self.short = False
        """Whether the disk is full, and nothing that uses up free pages may be begun."""
        self._path = path
        self._commits = 0

    def open(self, connect: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        """The connection, opened in the room that was spared if there is no other. Raises `LedgerError` if not even so.

        Raises `sqlite3.Error` too.
        """
        try:
            db = connect()
        except LedgerError:
            if not self._spare.exists():
                raise
            self._spare.unlink()
            db = connect()
        _claim(self._path.with_name(f"{self._path.name}-wal"), LOG_BYTES)
        self.spare()
        self._look(db)
        return db

    def committed(self, db: sqlite3.Connection) -> None:
        """See now and then that there are free pages left. Raises `sqlite3.Error`."""
        self._commits += 1
        if self.short or self._commits % LOOK_EVERY == 0:
            self._look(db)

    def spare(self) -> None:
        """Keep room for the next start. A disk that is full keeps what it can."""
        _claim(self._spare, SPARE_BYTES)

    def _look(self, db: sqlite3.Connection) -> None:
        (free,) = db.execute("PRAGMA freelist_count").fetchone()
        if free < LEAST_PAGES and self._disk_has(2 * GROWTH_BYTES):
            _grow(db)
            (free,) = db.execute("PRAGMA freelist_count").fetchone()
        self.short = free < LEAST_PAGES

    def _disk_has(self, size: int) -> bool:
        """Asked first: pages that reach the log and not the database would keep the log from beginning anew."""
        found = os.statvfs(self._path.parent)
        return found.f_bavail * found.f_frsize >= size

    @property
    def _spare(self) -> Path:
        return self._path.with_name(f"{self._path.name}-spare")


def _grow(db: sqlite3.Connection) -> None:
    """Give the database free pages: what a large row took and let go of."""
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("INSERT INTO ballast (data) VALUES (zeroblob(?))", (GROWTH_BYTES,))
        db.execute("DELETE FROM ballast")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def _claim(path: Path, size: int) -> None:
    with contextlib.suppress(OSError):  # full, or a file system that cannot: then there is no room to be had
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            claim(file, size)
        finally:
            os.close(file)
