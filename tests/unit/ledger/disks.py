"""A disk that fails when a test says so."""

from __future__ import annotations

import sqlite3
from typing import Any


class Breakable:
    """A connection on which one statement can be made to fail, as a disk would."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.broken = ""

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Execute a statement, unless it begins as the broken one."""
        if self.broken and statement.startswith(self.broken):
            raise sqlite3.OperationalError("disk I/O error")
        return self._db.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)
