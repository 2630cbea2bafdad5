"""The checkpoint on SQLite: `contracts.Checkpoint` for one machine (docs/book.md)."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias, final

import orjson
from typing_extensions import override

from signer.book.book import Book
from signer.book.reading import UNREADABLE
from signer.book.rows import BookChanges, Row, item_of, read_item
from signer.contracts import Checkpoint
from signer.errors import LedgerError
from signer.ledger import kept_orders
from signer.ledger.book_format import BOOK, checksum, damage, require_sound
from signer.ledger.kept_orders import KeptOrders
from signer.model import ChainHead, OrderRef, PlacedOrder

SLICE_S: Final = 0.002
"""How long one step may take, but for a commit."""

CACHE_KIB: Final = 1024
"""Pages that a transaction keeps in memory. The others are in SQLite's log already when it commits."""

LOG_LIMIT_BYTES: Final = 4 << 20
"""The size to which SQLite's log is cut when it begins anew."""

ROWS_AT_ONCE: Final = 20
"""How many rows are stored or deleted between two looks at the time."""

COURSE: Final = 100
"""The number of checkpoints whose records are kept. A log of another course is found out by them."""

OLD_AT_ONCE: Final = 1_000
"""How many old orders a checkpoint deletes at least. It deletes two more for each row that it stores."""

_Work: TypeAlias = Iterator[bool]
"""Stores something at each step, and yields whether the slice must end here."""


@final
class BookFile(Checkpoint):
    """The book's state in one SQLite file that one process writes.

    All changes of one `begin` are one transaction, which `step` does in slices. SQLite waits for the disk only after
    the commit: a power failure may lose the last checkpoints, and never leaves half of one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._kept: KeptOrders | None = None
        self._work: _Work | None = None

    @override
    def load(self) -> tuple[Book, ChainHead] | None:
        try:
            return load(self._opened(), self._path)
        except LedgerError:
            with contextlib.suppress(LedgerError):
                return self._load_on_full_disk()
            raise

    @override
    def discard(self) -> None:
        with contextlib.suppress(LedgerError):
            self.close()
        with BOOK.errors(self._path):
            _put_aside(self._path)

    @override
    def begin(self, changes: BookChanges) -> None:
        self._abandon()
        self._work = self._stored(changes)

    @override
    def step(self) -> bool:
        try:
            with BOOK.errors(self._path):
                return self._work is None or self._slice(self._work)
        except LedgerError:
            self._abandon()
            raise
        except UNREADABLE as error:
            self._abandon()
            raise LedgerError(f"the book cannot be stored: {error}", where=str(self._path)) from error

    @override
    def closed(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        return () if self._kept is None else self._kept.closed(account, ref)

    @override
    def closed_among(self, account: str, venue_ids: Sequence[str]) -> Sequence[PlacedOrder]:
        return () if self._kept is None else self._kept.closed_among(account, venue_ids)

    @override
    def close(self) -> None:
        db, kept, self._db, self._kept, self._work = self._db, self._kept, None, None, None
        with BOOK.errors(self._path):
            for one in (kept, db):  # the last one folds SQLite's log into the file, which a reader cannot
                if one is not None:
                    one.close()

    def _load_on_full_disk(self) -> tuple[Book, ChainHead] | None:
        """Load from a file beside which there is no room for SQLite's own. Writing is tried later."""
        if not _is_at_rest(self._path):  # a crash has left SQLite's log, which the file takes in at the end of this
            with contextlib.closing(BOOK.connect_alone(self._path)) as db:
                loaded = load(db, self._path)
            if not _is_at_rest(self._path):  # no room for that: closed orders are not found before there is
                return loaded
        reader = BOOK.connect_to_read(self._path, at_rest=True)
        if reader is None:
            raise LedgerError("there is no checkpoint", where=str(self._path))
        loaded = load(reader, self._path)
        self._kept = KeptOrders(self._path, reader)
        return loaded

    def _opened(self) -> sqlite3.Connection:
        if self._db is not None:
            return self._db
        with BOOK.errors(self._path):
            if not self._path.exists():
                _forget_log(self._path)
            db = self._db = BOOK.connect(self._path)
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT_BYTES}")
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            reader = BOOK.connect_to_read(self._path)
            self._kept = None if reader is None else KeptOrders(self._path, reader)
        return db

    def _slice(self, work: _Work) -> bool:
        until = time.perf_counter() + SLICE_S
        for must_end in work:
            if must_end or time.perf_counter() >= until:
                return False
        self._work = None
        return True

    def _stored(self, changes: BookChanges) -> _Work:
        db = self._opened()
        db.execute("BEGIN IMMEDIATE")
        for _ in _written(db, changes):
            yield False
        yield True
        db.execute("COMMIT")
        yield True
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _abandon(self) -> None:
        self._work = None
        if self._db is not None and self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")


def _written(db: sqlite3.Connection, changes: BookChanges) -> Iterator[None]:
    """Write all rows and the state, a little at each step."""
    if changes.whole:
        yield from _forget_rows(db)
        yield from kept_orders.forget_open(db)
    for at in range(0, len(changes.rows), ROWS_AT_ONCE):
        _write(db, changes.rows[at : at + ROWS_AT_ONCE])
        yield
    yield from kept_orders.forget_old(db, changes.now_us, OLD_AT_ONCE + 2 * len(changes.rows))
    yield
    db.execute("INSERT OR REPLACE INTO course VALUES (?, ?)", (changes.head.seq, changes.head.digest))
    db.execute("DELETE FROM course WHERE seq <= (SELECT seq FROM course ORDER BY seq DESC LIMIT 1 OFFSET ?)", (COURSE,))
    state = changes.log, changes.head.seq, changes.head.digest, changes.now_us, changes.last, *_counts(db)
    db.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", (*state, checksum(*state)))


def _counts(db: sqlite3.Connection) -> tuple[int, int]:
    """Return how many rows and open orders there are. A row that a damaged page has lost is found out by it."""
    (rows,) = db.execute("SELECT count(*) FROM rows").fetchone()
    (orders,) = db.execute("SELECT count(*) FROM orders WHERE closed = 0").fetchone()
    return rows, orders


def _forget_rows(db: sqlite3.Connection) -> Iterator[None]:
    delete = "DELETE FROM rows WHERE (kind, key) IN (SELECT kind, key FROM rows LIMIT ?)"
    while db.execute(delete, (ROWS_AT_ONCE,)).rowcount == ROWS_AT_ONCE:
        yield


def _write(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    # An order is closed, never gone.
    kept_orders.keep(db, [(row.key, row.value) for row in rows if row.kind == "order" and row.value is not None])
    for row in rows:
        if row.kind != "order":
            _write_other(db, row)


def _write_other(db: sqlite3.Connection, row: Row) -> None:
    key = orjson.dumps(tuple(row.key))
    if row.value is None:
        db.execute("DELETE FROM rows WHERE kind = ? AND key = ?", (row.kind, key))
    else:
        item = orjson.dumps(item_of(row))
        db.execute("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", (row.kind, key, item, checksum(row.kind, item)))


def load(db: sqlite3.Connection, path: Path) -> tuple[Book, ChainHead] | None:
    """Read the book of one moment, without its closed orders. Raises `LedgerError`."""
    with damage(path):
        db.execute("BEGIN")
        try:
            return _load(db)
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")


def _load(db: sqlite3.Connection) -> tuple[Book, ChainHead] | None:
    found = db.execute("SELECT log, seq, digest, now_us, last, rows, open_orders, crc FROM state").fetchone()
    if found is None:
        return None
    *state, crc = found
    require_sound(crc, *state)
    book = Book()
    book.course = [ChainHead(*row) for row in db.execute("SELECT seq, digest FROM course ORDER BY seq DESC")]
    book.log, seq, digest, book.now_us, book.last, row_count, order_count = state
    rows = sorted(_rows(db), key=_begun)
    rows += [Row("order", key, order) for key, order in kept_orders.open_orders(db)]
    if len(rows) != row_count + order_count:
        raise ValueError("rows are missing")
    for row in rows:
        book.put(row)
    return book, ChainHead(seq, digest)


def _rows(db: sqlite3.Connection) -> Iterator[Row]:
    for kind, item, crc in db.execute("SELECT kind, item, crc FROM rows"):
        require_sound(crc, kind, item)
        yield read_item(kind, orjson.loads(item))


def _begun(row: Row) -> int:
    """Return the place of a row among others: calls are put into the book in the order in which they began."""
    return row.value.reservation if row.kind == "call" else 0


def _is_at_rest(path: Path) -> bool:
    """Tell whether the file alone holds all that was stored. A try to open it may have left an empty log beside it."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size == 0
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _put_aside(path: Path) -> None:
    """Rename the file, and keep no older one."""
    _forget_log(path)
    aside = f"{path.name}.damaged-"
    for older in path.parent.glob(f"{aside}*"):
        older.unlink()
    if path.exists():
        path.rename(path.with_name(aside + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())))


def _forget_log(path: Path) -> None:
    """Delete SQLite's log, before a new file begins: it would be taken for the new file's."""
    for end in ("-wal", "-shm"):
        path.with_name(f"{path.name}{end}").unlink(missing_ok=True)
