"""The ledger's file: its tables, the orders in it, and the connection that reads.

In write-ahead mode a reader neither waits for a writer nor holds one up, so these few indexed rows are read in place,
in some 20 µs, rather than queued behind a flush.
"""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from signer.errors import LedgerError
from signer.ledger.caps import ledger_errors, read_halts, to_intent, to_order, usage
from signer.model import ChainHead, Halt, OpenIntent, OrderRef, PlacedOrder, RefKind, Usage

VERSION = 3
"""Kept in ``PRAGMA user_version``; a database of another version is refused."""

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
    # What is held and spent, by slot of the cap's window.
    """CREATE TABLE spent (
        cap INTEGER NOT NULL REFERENCES caps (id), slot INTEGER NOT NULL, amount TEXT NOT NULL, PRIMARY KEY (cap, slot)
    ) STRICT, WITHOUT ROWID""",
    # AUTOINCREMENT: a number is never given twice, so a late settle cannot hit another call's reservation.
    """CREATE TABLE reservations (
        id INTEGER PRIMARY KEY AUTOINCREMENT, held_us INTEGER NOT NULL, unknown INTEGER NOT NULL DEFAULT 0,
        after_seq INTEGER NOT NULL, intent TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE orders (
        id INTEGER PRIMARY KEY, account TEXT NOT NULL, client TEXT NOT NULL, venue_id TEXT NOT NULL, client_tag TEXT,
        client_id TEXT, placed_us INTEGER NOT NULL, document TEXT NOT NULL,
        closed INTEGER NOT NULL DEFAULT 0, UNIQUE (account, venue_id)
    ) STRICT""",
    # An order that is not marked as closed may be open. Such orders are few.
    "CREATE INDEX orders_not_closed ON orders (account) WHERE closed = 0",
    "CREATE INDEX orders_closed ON orders (placed_us) WHERE closed = 1",
    "CREATE INDEX orders_by_client_tag ON orders (account, client_tag, client, closed) WHERE client_tag IS NOT NULL",
    "CREATE INDEX orders_by_client_id ON orders (account, client_id, client, closed) WHERE client_id IS NOT NULL",
    # Always empty. What was in it has left free pages behind.
    "CREATE TABLE ballast (data BLOB NOT NULL) STRICT",
    # TEXT, since a nonce has 64 bits and an INTEGER here 63.
    "CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE halts (
        client TEXT NOT NULL, account TEXT NOT NULL, reason TEXT NOT NULL, halted_by TEXT NOT NULL,
        at_us INTEGER NOT NULL, PRIMARY KEY (client, account)
    ) STRICT, WITHOUT ROWID""",
    # Never deleted: a key store that is put back must not bring a client back.
    "CREATE TABLE revocations (client TEXT PRIMARY KEY, at_us INTEGER NOT NULL) STRICT, WITHOUT ROWID",
)


def connect(path: Path) -> sqlite3.Connection:
    """Connect to the ledger at ``path``, which is made (mode 0600) if there is none.

    Raises `LedgerError` if the file cannot be opened, is no ledger, or was written by another version.
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
    if version not in {0, VERSION}:
        what = f"the ledger has version {version}, this signer reads version {VERSION}"
        hint = "upgrade signer" if version > VERSION else "use the signer that made it, or begin with a new home"
        raise LedgerError(what, where=str(path), hint=hint)
    if version == 0:
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


def whom(client: str, account: str) -> str:
    """Say whom a halt of this client and account stops (empty for all)."""
    return f"client {client}" if client else f"account {account}" if account else "everybody"


def resumed_by(client: str, account: str) -> str:
    """Return the command that ends a halt of this client and account, as a person can paste it."""
    named = f"--client {shlex.quote(client)}" if client else f"--account {shlex.quote(account)}"
    return f"signer resume {named if client or account else '--all'}"


def ended_by(halt: Halt) -> str:
    """Return the hint that says how a halt ends."""
    return halt.cure or f"`{resumed_by(halt.client, halt.account)}` ends it"


CLOSED_AT_ONCE = 1000
"""How many orders one record, and one transaction, marks as closed at most: some 10 ms."""

NEWEST = 16
"""A client that gives all its orders the same tag is answered with so many of its closed ones."""

MOST_OPEN = 5_000
"""The most open orders that are answered: a venue allows some hundred for each pair, and its list tells every few
minutes at least which of the others are closed (`signer.gateway.reconcile`)."""


_COLUMNS: Mapping[RefKind, str] = {"venue-id": "venue_id", "client-tag": "client_tag", "client-id": "client_id"}


def find(db: sqlite3.Connection, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
    """Find what ``ref`` names, newest first: each client's orders that may be open, and its 16 newest others.

    A tag may name every order that a bot ever placed. What is closed can be neither changed nor cancelled, so of
    that each client's newest are enough.
    """
    rows = [row for client in _clients(db, account, ref) for row in _newest(db, account, ref, client)]
    rows.sort(reverse=True)
    return [
        PlacedOrder(account, client, venue_id, to_order(text), placed_us, bool(closed))
        for _, client, venue_id, placed_us, text, closed in rows
    ]


def absent(db: sqlite3.Connection, account: str, listed: Sequence[str], placed_before_us: int) -> Sequence[str]:
    """Return the account's orders that are not known to be closed, were placed before then and are not listed."""
    query = """SELECT venue_id FROM orders WHERE account = ? AND closed = 0 AND placed_us < ?
        AND venue_id NOT IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?"""
    rows = db.execute(query, (account, placed_before_us, json.dumps(list(listed)), CLOSED_AT_ONCE))
    return [venue_id for (venue_id,) in rows]


def reappeared(db: sqlite3.Connection, account: str, listed: Sequence[str]) -> Sequence[PlacedOrder]:
    """Return the account's orders that are marked as closed and listed."""
    query = """SELECT client, venue_id, document, placed_us FROM orders WHERE account = ? AND closed = 1
        AND venue_id IN (SELECT value FROM json_each(?)) ORDER BY id"""
    rows = db.execute(query, (account, json.dumps(list(listed)))).fetchall()
    return [PlacedOrder(account, client, name, to_order(text), placed_us) for client, name, text, placed_us in rows]


def mark(db: sqlite3.Connection, account: str, venue_ids: Sequence[str], *, closed: bool) -> None:
    """Mark the account's orders of these ids as closed, or as open."""
    update = "UPDATE orders SET closed = ? WHERE account = ? AND venue_id IN (SELECT value FROM json_each(?))"
    db.execute(update, (closed, account, json.dumps(list(venue_ids))))


def last_reservation(db: sqlite3.Connection) -> int:
    """Return the highest number that a reservation ever had; 0 if there was none."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'reservations'").fetchone()
    return 0 if row is None else int(row[0])


def may_be_open(db: sqlite3.Connection, account: str) -> int:
    """Count the account's orders that are not known to be closed."""
    (count,) = db.execute("SELECT count(*) FROM orders WHERE account = ? AND closed = 0", (account,)).fetchone()
    return int(count)


def open_orders(db: sqlite3.Connection, account: str, client: str) -> Sequence[PlacedOrder]:
    """Return orders of ``client`` on ``account`` (of any, where empty) that are not known to be closed, newest first.

    All of them, however many: a brake that left out the oldest would leave them open and say nothing.
    """
    query = """SELECT account, client, venue_id, document, placed_us FROM orders
        WHERE closed = 0 AND ?1 IN ('', account) AND ?2 IN ('', client) ORDER BY id DESC"""
    rows = db.execute(query, (account, client)).fetchall()
    return [PlacedOrder(where, who, name, to_order(text), placed_us) for where, who, name, text, placed_us in rows]


def _clients(db: sqlite3.Connection, account: str, ref: OrderRef) -> Iterator[str]:
    # Hops along the index from one client to the next instead of reading all of their orders.
    query = f"SELECT min(client) FROM orders WHERE account = ? AND {_COLUMNS[ref.kind]} = ? AND client > ?"  # noqa: S608
    (client,) = db.execute(query, (account, ref.value, "")).fetchone()
    while client is not None:
        yield client
        (client,) = db.execute(query, (account, ref.value, client)).fetchone()


def _newest(
    db: sqlite3.Connection, account: str, ref: OrderRef, client: str
) -> list[tuple[int, str, str, int, str, int]]:
    found = []
    for closed, limit in ((0, MOST_OPEN), (1, NEWEST)):
        query = f"""SELECT id, client, venue_id, placed_us, document, closed FROM orders
            WHERE account = ? AND {_COLUMNS[ref.kind]} = ? AND client = ? AND closed = ? ORDER BY id DESC LIMIT ?"""  # noqa: S608
        found += db.execute(query, (account, ref.value, client, closed, limit)).fetchall()
    return found


class LedgerReader:
    """Answers from what is committed. Every method raises `LedgerError` if the store fails."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = connect(path)

    def close(self) -> None:
        """Close the connection."""
        with ledger_errors(self._path):
            self._db.close()

    def open_intents(self) -> Sequence[OpenIntent]:
        """Return the reservations without outcome, oldest first."""
        with ledger_errors(self._path):
            rows = self._db.execute("SELECT id, intent, unknown, after_seq FROM reservations ORDER BY id").fetchall()
        return [OpenIntent(number, to_intent(text), bool(unknown), after) for number, text, unknown, after in rows]

    def last_reservation(self) -> int:
        """Return the highest number that a reservation ever had; 0 if there was none."""
        with ledger_errors(self._path):
            return last_reservation(self._db)

    def orders(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """Return orders that ``ref`` names, newest first."""
        with ledger_errors(self._path):
            return find(self._db, account, ref)

    def absent(self, account: str, listed: Sequence[str], placed_before_us: int) -> Sequence[str]:
        """Return orders that may be open, were placed before then and are not listed: a bounded number."""
        with ledger_errors(self._path):
            return absent(self._db, account, listed, placed_before_us)

    def reappeared(self, account: str, listed: Sequence[str]) -> Sequence[PlacedOrder]:
        """Return orders that are marked as closed and listed."""
        with ledger_errors(self._path):
            return reappeared(self._db, account, listed)

    def may_be_open(self, account: str) -> int:
        """Count the account's orders that are not known to be closed."""
        with ledger_errors(self._path):
            return may_be_open(self._db, account)

    def open_orders(self, account: str, client: str) -> Sequence[PlacedOrder]:
        """Return orders that may be open, newest first; of any account or client where empty."""
        with ledger_errors(self._path):
            return open_orders(self._db, account, client)

    def usage(self, scope: str, now_us: int) -> Sequence[Usage]:
        """Return what is used of the scope's caps."""
        with ledger_errors(self._path):
            (seen_us,) = self._db.execute("SELECT seen_us FROM state").fetchone()
            return usage(self._db, scope, max(seen_us, now_us))

    def scopes(self) -> Sequence[str]:
        """Return every scope that was ever charged."""
        with ledger_errors(self._path):
            return [scope for (scope,) in self._db.execute("SELECT DISTINCT scope FROM caps ORDER BY scope")]

    def marks(self) -> Mapping[str, int]:
        """Return the high-water marks by name."""
        with ledger_errors(self._path):
            return {name: int(value) for name, value in self._db.execute("SELECT name, value FROM marks")}

    def head(self) -> ChainHead | None:
        """Return the chain head last kept."""
        with ledger_errors(self._path):
            seq, digest = self._db.execute("SELECT head_seq, head_digest FROM state").fetchone()
        return None if seq is None else ChainHead(seq, digest)

    def halts(self) -> Sequence[Halt]:
        """Return the halts in force, oldest first."""
        with ledger_errors(self._path):
            return list(read_halts(self._db).values())

    def revoked(self) -> Mapping[str, int]:
        """Return when each revoked client was revoked."""
        with ledger_errors(self._path):
            return dict(self._db.execute("SELECT client, at_us FROM revocations"))
