"""The ledger's tables, and how a connection to them is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signer.errors import LedgerError

VERSION = 1
"""Kept in ``PRAGMA user_version``; a database of a newer version is refused."""

BUSY_S = 2.0
"""How long to wait for another process's transaction; theirs are as short as ours."""

TABLES = (
    # One row. seen_us: the latest time at which anything was charged; head: the audit chain's last durable record.
    """CREATE TABLE state (
        id INTEGER PRIMARY KEY CHECK (id = 1), seen_us INTEGER NOT NULL, head_seq INTEGER, head_digest TEXT
    ) STRICT""",
    "INSERT INTO state (id, seen_us) VALUES (1, 0)",
    # A total is the scope's, by unit and window; name and limit are the policy's last words for it and may change.
    """CREATE TABLE caps (
        id INTEGER PRIMARY KEY, scope TEXT NOT NULL, unit TEXT NOT NULL, window_s INTEGER NOT NULL, name TEXT NOT NULL,
        upper TEXT NOT NULL, UNIQUE (scope, unit, window_s)
    ) STRICT""",
    # What is held and spent, by slot of the cap's window (windows.py).
    """CREATE TABLE spent (
        cap INTEGER NOT NULL REFERENCES caps (id), slot INTEGER NOT NULL, amount TEXT NOT NULL, PRIMARY KEY (cap, slot)
    ) STRICT, WITHOUT ROWID""",
    # AUTOINCREMENT: a number is never given twice, so a late settle cannot hit another call's reservation.
    """CREATE TABLE reservations (
        id INTEGER PRIMARY KEY AUTOINCREMENT, held_us INTEGER NOT NULL, unknown INTEGER NOT NULL DEFAULT 0,
        intent TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE orders (
        id INTEGER PRIMARY KEY, account TEXT NOT NULL, client TEXT NOT NULL, txid TEXT NOT NULL, userref INTEGER,
        cl_ord_id TEXT, placed_us INTEGER NOT NULL, document TEXT NOT NULL,
        closed INTEGER NOT NULL DEFAULT 0, UNIQUE (account, txid)
    ) STRICT""",
    # An order that is not marked as closed may be open. Such orders are few.
    "CREATE INDEX orders_not_closed ON orders (account) WHERE closed = 0",
    "CREATE INDEX orders_closed ON orders (placed_us) WHERE closed = 1",
    "CREATE INDEX orders_by_userref ON orders (account, userref, client, closed) WHERE userref IS NOT NULL",
    "CREATE INDEX orders_by_cl_ord_id ON orders (account, cl_ord_id, client, closed) WHERE cl_ord_id IS NOT NULL",
    # Always empty. What was in it has left free pages behind (room.py).
    "CREATE TABLE ballast (data BLOB NOT NULL) STRICT",
    # TEXT, since a nonce has 64 bits and an INTEGER here 63.
    "CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE halts (
        client TEXT NOT NULL, account TEXT NOT NULL, reason TEXT NOT NULL, halted_by TEXT NOT NULL,
        at_us INTEGER NOT NULL, PRIMARY KEY (client, account)
    ) STRICT, WITHOUT ROWID""",
)


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the ledger at ``path``, which is made (mode 0600) if there is none.

    Raises `LedgerError` if the file cannot be opened, is no ledger, or was written by a newer version.
    """
    with ledger_errors(path):
        _create(path)
        db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        try:
            _prepare(db, path)
        except BaseException:
            db.close()
            raise
    return db


@contextmanager
def ledger_errors(path: Path) -> Iterator[None]:
    """Turns what SQLite and the file system raise into `LedgerError`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        hint = "check the disk's free space, and the file's owner and mode"
        raise LedgerError(f"the ledger failed: {what}", where=str(path), hint=hint) from error


def _create(path: Path) -> None:
    # Only where there is none: closing a second descriptor of a database drops this process's locks on it.
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise LedgerError("the file system has no shared memory", where=str(path), hint="use a local disk")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA fullfsync = ON")  # macOS: its fsync alone leaves data in the drive's cache
    db.execute("PRAGMA foreign_keys = ON")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        what = f"the ledger has version {version}, this signer reads version {VERSION}"
        raise LedgerError(what, where=str(path), hint="upgrade signer")
    if version < VERSION:
        _make_tables(db, path)


def _make_tables(db: sqlite3.Connection, path: Path) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        if db.execute("PRAGMA user_version").fetchone() == (0,):  # nobody else made them while we waited
            if db.execute("SELECT 1 FROM sqlite_schema").fetchone():
                raise LedgerError("the file is no ledger of signer", where=str(path), hint="choose another home")
            for statement in TABLES:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
