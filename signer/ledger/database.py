"""Opens a SQLite file of ours: makes it if there is none, and refuses one that is not what it should be."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from signer.errors import LedgerError

BUSY_S: Final = 2.0
"""How long to wait for another process's transaction; theirs are as short as ours."""

DISK_HINT: Final = "check the disk's free space, and the file's owner and mode"


@dataclass(frozen=True, slots=True)
class FileFormat:
    """What a file of ours holds, and what to do about one that cannot be used."""

    what: str
    """What the file is, in an error's words."""
    application: int
    """Kept in ``PRAGMA application_id``, so that one file of ours is not taken for another."""
    version: int
    """Kept in ``PRAGMA user_version``. A file of another version is refused."""
    tables: Sequence[str]
    """The statements that make the tables."""
    synchronous: Literal["FULL", "NORMAL"]
    """When SQLite waits for the disk: at each commit, or only before it moves pages from its log into the file."""
    unusable: str
    """The hint for a file that is damaged, foreign or of an older version."""
    newer: str
    """The hint for a file of a newer version."""

    def connect(self, path: Path) -> sqlite3.Connection:
        """Connect to the file, which is made (mode 0600) if there is none.

        The connection may be used on any thread, by one at a time. Raises `LedgerError`.
        """
        with self.errors(path):
            _create(path)
            db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(db, path)
            except BaseException:
                db.close()
                raise
        return db

    def connect_to_read(self, path: Path, *, at_rest: bool = False) -> sqlite3.Connection | None:
        """Connect to the file beside a process that writes it. None if nothing was stored yet. Raises `LedgerError`.

        A file ``at_rest`` has no log of SQLite's and is not written now. It is read without any file beside it, which a
        full disk could not take.
        """
        if not path.exists():
            return None
        with self.errors(path):
            uri = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if at_rest else ''}"
            db = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                if self._is_made(db, path):
                    return db
            except BaseException:
                db.close()
                raise
        db.close()
        return None

    def connect_alone(self, path: Path) -> sqlite3.Connection:
        """Connect to the file and keep all others out. Raises `LedgerError`, as while another process uses it.

        SQLite then needs no file beside it but its log, so this works on a full disk.
        """
        with self.errors(path):
            db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, isolation_level=None)
            try:
                db.execute("PRAGMA locking_mode = EXCLUSIVE")
                if self._is_made(db, path):
                    return db
            except BaseException:
                db.close()
                raise
        db.close()
        raise LedgerError(f"{self.what} is empty", where=str(path))

    def _prepare(self, db: sqlite3.Connection, path: Path) -> None:
        is_made = self._is_made(db, path)
        (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise LedgerError("the file system has no shared memory", where=str(path), hint="use a local disk")
        db.execute(f"PRAGMA synchronous = {self.synchronous}")
        db.execute("PRAGMA fullfsync = ON")  # macOS: its fsync alone leaves data in the drive's cache
        if not is_made:
            self._make(db, path)

    def _is_made(self, db: sqlite3.Connection, path: Path) -> bool:
        """Return whether the tables are there. Raises `LedgerError` if the file is another's, or of another version."""
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if (application, version) == (0, 0) and db.execute("SELECT 1 FROM sqlite_schema").fetchone() is None:
            return False
        if application != self.application:
            raise LedgerError(f"the file is not {self.what} of signer", where=str(path), hint=self.unusable)
        if version != self.version:
            said = f"{self.what} has version {version}, this signer reads version {self.version}"
            raise LedgerError(said, where=str(path), hint=self.newer if version > self.version else self.unusable)
        return True

    def _make(self, db: sqlite3.Connection, path: Path) -> None:
        with transaction(db):
            if not self._is_made(db, path):  # nobody else made them while we waited
                for statement in self.tables:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {self.application}")
                db.execute(f"PRAGMA user_version = {self.version}")

    @contextmanager
    def errors(self, path: Path) -> Iterator[None]:
        """Turns what SQLite and the file system raise into `LedgerError`."""
        try:
            yield
        except OSError as error:
            raise self._failed(error.strerror or str(error), path, DISK_HINT) from error
        except sqlite3.OperationalError as error:
            raise self._failed(str(error), path, DISK_HINT) from error
        except UnicodeDecodeError as error:  # what SQLite says of a damaged schema quotes it
            raise self._failed("it is damaged", path, self.unusable) from error
        except sqlite3.Error as error:
            raise self._failed(str(error), path, self.unusable) from error

    def _failed(self, why: str, path: Path, hint: str) -> LedgerError:
        return LedgerError(f"{self.what} cannot be used: {why}", where=str(path), hint=hint)


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block writes, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _create(path: Path) -> None:
    # Only where there is none: closing a second descriptor of a database drops this process's locks on it.
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
