"""The format of the checkpoint's file, and the errors of one that is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from zlib import crc32

from signer.book.reading import UNREADABLE
from signer.errors import LedgerError
from signer.ledger.database import FileFormat

MADE_ANEW: Final = "the gateway puts it aside when it starts, and makes it anew from the audit log"

BOOK: Final = FileFormat(
    what="the checkpoint",
    application=0x73626F6B,  # "sbok"
    version=1,
    tables=(
        # What is no order: windows, caps, open calls, halts, revocations and gaps (`signer.book.rows`).
        """CREATE TABLE rows (
            kind TEXT NOT NULL, key BLOB NOT NULL, item BLOB NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (kind, key)
        ) STRICT, WITHOUT ROWID""",
        # At most one row: the log and its record that all of this stands for, the book's time and last number, and how
        # many rows and open orders there are.
        """CREATE TABLE state (
            id INTEGER PRIMARY KEY CHECK (id = 1), log TEXT NOT NULL, seq INTEGER NOT NULL, digest TEXT NOT NULL,
            now_us INTEGER NOT NULL, last INTEGER NOT NULL, rows INTEGER NOT NULL, open_orders INTEGER NOT NULL,
            crc INTEGER NOT NULL
        ) STRICT""",
        # The records that earlier checkpoints stood for: the log must have them.
        "CREATE TABLE course (seq INTEGER PRIMARY KEY, digest TEXT NOT NULL) STRICT",
        """CREATE TABLE orders (
            id INTEGER PRIMARY KEY, account TEXT NOT NULL, venue_id TEXT NOT NULL, client TEXT NOT NULL,
            client_tag TEXT, client_id TEXT, own TEXT, placed_us INTEGER NOT NULL, document BLOB NOT NULL,
            closed INTEGER NOT NULL, crc INTEGER NOT NULL, UNIQUE (account, venue_id)
        ) STRICT""",
        "CREATE INDEX orders_open ON orders (placed_us) WHERE closed = 0",
        "CREATE INDEX orders_closed ON orders (placed_us) WHERE closed = 1",
        # Open orders are found in memory.
        """CREATE INDEX closed_by_client_tag ON orders (account, client_tag, client, placed_us)
            WHERE closed = 1 AND client_tag IS NOT NULL""",
        """CREATE INDEX closed_by_client_id ON orders (account, client_id, client, placed_us)
            WHERE closed = 1 AND client_id IS NOT NULL""",
        "CREATE INDEX closed_by_own ON orders (account, own, client, placed_us) WHERE closed = 1 AND own IS NOT NULL",
    ),
    synchronous="NORMAL",
    unusable=MADE_ANEW,
    newer=MADE_ANEW,
)


def checksum(*fields: str | int | bytes) -> int:
    """Return the sum by which a row that the disk has changed is found out."""
    return crc32(b"\0".join(field if isinstance(field, bytes) else str(field).encode() for field in fields))


def require_sound(crc: int, *fields: str | int | bytes) -> None:
    """Raises `ValueError` unless the fields are those that were stored with this checksum."""
    if checksum(*fields) != crc:
        raise ValueError("a row is not what was stored")


@contextmanager
def damage(path: Path, hint: str = MADE_ANEW) -> Iterator[None]:
    """Turns what SQLite, the file system and a row that does not read raise into `LedgerError`."""
    with BOOK.errors(path):
        try:
            yield
        except UNREADABLE as error:
            raise LedgerError("the checkpoint is damaged", where=str(path), hint=hint) from error
