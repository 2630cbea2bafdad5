"""The reading side of the ledger: a connection of its own.

In write-ahead mode a reader neither waits for a writer nor holds one up, so these few indexed rows are read in place,
in some 20 µs, rather than queued behind a flush.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from signer.ledger.caps import usage
from signer.ledger.documents import to_intent
from signer.ledger.halting import read_halts
from signer.ledger.orders import find, may_be_open, open_orders
from signer.ledger.schema import connect, ledger_errors
from signer.model import ChainHead, Halt, OpenIntent, OrderRef, PlacedOrder, Usage


class Reader:
    """Answers from what is committed. Every method raises `LedgerError` if the store fails."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = connect(path)

    def close(self) -> None:
        """Close the connection."""
        with ledger_errors(self._path):
            self._db.close()

    def open_intents(self) -> Sequence[OpenIntent]:
        """Reservations without outcome, oldest first."""
        with ledger_errors(self._path):
            rows = self._db.execute("SELECT id, intent, unknown FROM reservations ORDER BY id").fetchall()
        return [OpenIntent(number, to_intent(text), bool(unknown)) for number, text, unknown in rows]

    def orders(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """Orders that ``ref`` names, newest first."""
        with ledger_errors(self._path):
            return find(self._db, account, ref)

    def may_be_open(self, account: str) -> int:
        """How many orders the account has that are not known to be closed."""
        with ledger_errors(self._path):
            return may_be_open(self._db, account)

    def open_orders(self, account: str, client: str) -> Sequence[PlacedOrder]:
        """Orders that may be open, newest first; of any account or client where empty."""
        with ledger_errors(self._path):
            return open_orders(self._db, account, client)

    def usage(self, scope: str, now_us: int) -> Sequence[Usage]:
        """What is used of the scope's caps."""
        with ledger_errors(self._path):
            (seen_us,) = self._db.execute("SELECT seen_us FROM state").fetchone()
            return usage(self._db, scope, max(seen_us, now_us))

    def scopes(self) -> Sequence[str]:
        """Every scope that was ever charged."""
        with ledger_errors(self._path):
            return [scope for (scope,) in self._db.execute("SELECT DISTINCT scope FROM caps ORDER BY scope")]

    def marks(self) -> Mapping[str, int]:
        """High-water marks by name."""
        with ledger_errors(self._path):
            return {name: int(value) for name, value in self._db.execute("SELECT name, value FROM marks")}

    def head(self) -> ChainHead | None:
        """The chain head last kept."""
        with ledger_errors(self._path):
            seq, digest = self._db.execute("SELECT head_seq, head_digest FROM state").fetchone()
        return None if seq is None else ChainHead(seq, digest)

    def halts(self) -> Sequence[Halt]:
        """Halts in force, oldest first."""
        with ledger_errors(self._path):
            return list(read_halts(self._db).values())
