"""The marks on SQLite: `contracts.Marks` for one machine (docs/book.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeAlias, final

from typing_extensions import override

from signer.contracts import Marks, Worker
from signer.errors import LedgerError
from signer.ledger.database import FileFormat, transaction
from signer.ledger.room import BALLAST, Room
from signer.model import ChainHead
from signer.offload.worker import Batches

PATIENCE_S: Final = 0.02
"""How long the log's head may wait for another write, to share its flush."""

MARKS: Final = FileFormat(
    what="the file of marks",
    application=0x736D726B,  # "smrk"
    version=1,
    tables=(
        # TEXT, since a nonce has 64 bits and an INTEGER here 63.
        "CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
        # At most one row: the last record of the audit log that is known to be durable.
        "CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, digest TEXT NOT NULL) STRICT",
        BALLAST,
    ),
    synchronous="FULL",
    unusable="restore marks.db from a backup; docs/book.md says what to do without one",
    newer="upgrade signer",
)

HEAD: Final = "SELECT seq, digest FROM head"

_Write: TypeAlias = Callable[[sqlite3.Connection], None]


@final
class SqliteMarks(Marks):
    """Marks in one SQLite file that several processes may open.

    Writes go in batches through ``worker``: those that wait together share one flush, and an answer means that it is on
    the disk. A caller that is cancelled does not undo its write.
    """

    def __init__(
        self,
        path: Path,
        worker: Worker,
        *,
        patience_s: float = PATIENCE_S,
        on_closed: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._worker = worker
        self._patience_s = patience_s
        self._on_closed = on_closed
        self._room = Room(path)
        self._batches: Batches[_Write, None] = Batches(worker, self._serve)
        self._db: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open or make the file. Raises `LedgerError` if it cannot be used, or is of another version."""
        self._db = await self._worker.run(self._connect)

    async def close(self) -> None:
        """Write what waits, close, and call ``on_closed``."""
        if self._db is not None:
            await self._batches.drained()
            await self._worker.run(self._disconnect)
        self._on_closed()

    @override
    async def marks(self) -> Mapping[str, int]:
        rows = await self._worker.run(lambda: self._read("SELECT name, value FROM marks"))
        return {name: int(value) for name, value in rows}

    @override
    async def raise_mark(self, name: str, at_least: int) -> None:
        await self._batches.ask(lambda db: _raise(db, name, at_least))

    @override
    async def head(self) -> ChainHead | None:
        rows = await self._worker.run(lambda: self._read(HEAD))
        return ChainHead(*rows[0]) if rows else None

    @override
    async def keep_head(self, head: ChainHead) -> None:
        await self._batches.ask(lambda db: _keep(db, head), within=self._patience_s)

    def _connect(self) -> sqlite3.Connection:
        with MARKS.errors(self._path):
            return self._room.open(MARKS.connect)

    def _disconnect(self) -> None:
        db, self._db = self._opened, None
        with MARKS.errors(self._path):
            db.close()
            self._room.spare()

    def _read(self, query: str) -> Sequence[tuple[Any, ...]]:
        with MARKS.errors(self._path):
            return self._opened.execute(query).fetchall()

    def _serve(self, writes: Sequence[_Write]) -> Sequence[None]:
        """Do all writes in one transaction. Raises `LedgerError` if any cannot be stored; then none of them is."""
        db = self._opened
        with MARKS.errors(self._path):
            with transaction(db):
                for write in writes:
                    write(db)
            self._room.committed(db)
        return [None] * len(writes)

    @property
    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise LedgerError("the file of marks is not open", where=str(self._path))
        return self._db


def read_head(path: Path) -> ChainHead | None:
    """Return the log's head that a file of marks keeps, and write nothing; None without one. Raises `LedgerError`."""
    db = MARKS.connect_to_read(path)
    if db is None:
        return None
    with MARKS.errors(path), closing(db):
        row = db.execute(HEAD).fetchone()
        return ChainHead(*row) if row else None


def _raise(db: sqlite3.Connection, name: str, at_least: int) -> None:
    row = db.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
    if row is None or int(row[0]) < at_least:
        db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, str(at_least)))


def _keep(db: sqlite3.Connection, head: ChainHead) -> None:
    write = """INSERT INTO head VALUES (1, ?, ?) ON CONFLICT DO UPDATE
        SET seq = excluded.seq, digest = excluded.digest WHERE seq < excluded.seq"""
    db.execute(write, (head.seq, head.digest))
