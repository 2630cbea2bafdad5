"""The contracts for all that must be durable: the journal, the checkpoint of its book, and the marks of nonces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from signer.book.book import Book
from signer.book.rows import BookChanges
from signer.model import (
    ChainHead,
    ClientNames,
    Gap,
    Halt,
    Intent,
    Json,
    OpenIntent,
    Order,
    OrderRef,
    PlacedOrder,
    Usage,
)


class Known(Protocol):
    """Answers what the book knows, from memory. Only closed orders are looked for on the disk."""

    def now_us(self) -> int:
        """Return the moment by which charges are dated now. It never goes back, whatever the clock does."""

    def open_intents(self) -> Sequence[OpenIntent]:
        """Return the calls without a known end, oldest first."""

    def find_orders(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """Return orders placed through us that ``ref`` names, any client's: the open ones, newest first.

        If none is open, the newest closed ones. Raises `LedgerError` if those cannot be read.
        """

    def open_named(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """Return the orders that ``ref`` names and that are not known to be closed, newest first, from memory."""

    def client_names(self, account: str, own: str, venue_id: str) -> tuple[str, ClientNames] | None:
        """Return whose the order with this name of ours is, and its client's names; None if no order has the name.

        ``venue_id`` is looked for first, and may be empty. Raises `LedgerError` if closed orders cannot be read.
        """

    def absent(self, account: str, listed: Sequence[str], placed_before_us: int) -> Sequence[str]:
        """Return orders that were placed before then, may be open, and are not ``listed``, the venue ids that are.

        The answer is bounded: there may be more after these were recorded as closed.
        """

    def reappeared(self, account: str, listed: Sequence[str]) -> Sequence[PlacedOrder]:
        """Return the orders that are known to be closed and that the venue lists as open. Raises `LedgerError`."""

    def may_be_open(self, account: str) -> int:
        """Return how many orders the account has that are not known to be closed."""

    def open_orders(self, account: str, client: str) -> Sequence[PlacedOrder]:
        """Return orders that are not known to be closed, newest first; of any account or client where empty."""

    def usage(self, scope: str) -> Sequence[Usage]:
        """Return what is used now of each cap that the scope has ever been charged for."""

    def scopes(self) -> Sequence[str]:
        """Return every scope that was ever charged."""

    def halts(self) -> Sequence[Halt]:
        """Return all halts on record, oldest first."""

    def revoked(self) -> Mapping[str, int]:
        """Return when each revoked client was revoked, by its name, whatever the key store says."""

    def gaps(self) -> Sequence[Gap]:
        """Return the records that the book lacks, in their order, until an operator accepts that. Nothing begins."""


class Journal(Known, Protocol):
    """The one way to make something durable: a hash-chained log of records, and the book that they make.

    A record is applied to the book when it is taken, and the log has the records in the order in which they were
    applied. `begin` alone is undone if the log does not take it.
    """

    async def begin(self, intent: Intent, entry: Mapping[str, Json]) -> int:
        """Hold all charges of ``intent``, or none, and record the call as ``entry``. Return the call's number.

        The charges are held at once, and the call may be sent when this returns: it is durable then. Raises `Halted`,
        `NotReserved` (names the cap and what is left), `NotServed` (another open call is in its way), or `AuditError`
        if the log does not take it within five seconds. Nothing is held then, and nothing may be sent.
        """

    def conclude(self, entry: Mapping[str, Json], *, urgent: bool = False) -> None:
        """Apply a fact, as how a call ended. It is durable with the next flush, and owed to the log until then.

        ``urgent`` asks for that flush at once, and may use the reserve space: for brakes.
        """

    async def record(self, entry: Mapping[str, Json], *, urgent: bool = False) -> None:
        """Apply a fact. It is durable when this returns.

        Raises `AuditError` if it is not within five seconds, or two if it is ``urgent``. It counts all the same, and is
        owed to the log. ``urgent`` may use the reserve space: for cancels on a full disk.
        """

    def has_own_name(self, account: str, name: str) -> bool:
        """Return whether an order that is not known to be closed, or one of an open call, has this name of ours."""

    def note(self, entry: Mapping[str, Json]) -> None:
        """Append a record that changes nothing, in the background. A flood of these is dropped and counted."""

    async def moved(self) -> None:
        """Wait until the end of a call is known, or its answer is lost."""

    async def settled(self) -> bool:
        """Wait until all that was taken so far is durable, or cannot be written now.

        Return whether all facts are durable. A full disk may keep notes waiting though it has room for brakes.
        """

    def head(self) -> ChainHead | None:
        """Return the last durable record."""

    def digest_at_rest(self) -> tuple[int, str] | None:
        """Return the number of the last record and the book's digest there; None while records are being written."""

    @property
    def healthy(self) -> bool:
        """Return whether the last write went well."""

    def halted(self, client: str, account: str, orders: Sequence[Order] = ()) -> Halt | None:
        """Return the strictest halt in force, on record or not, that stops the client for these orders."""

    @property
    def clock_ahead_us(self) -> int:
        """Return how far the machine's clock was ahead of the last record at the start, while nobody agrees with it.

        Nothing begins until `trust_clock`. 0: the clock is believed.
        """

    def trust_clock(self) -> None:
        """Believe the machine's clock, because the venue's clock agrees with it, or a person."""


class Checkpoint(Protocol):
    """Keeps the book's state beside the log, so that a start need not fold all of it. Blocks: for a worker's thread.

    Every method raises `LedgerError` if the file cannot be used.
    """

    def load(self) -> tuple[Book, ChainHead] | None:
        """Return the book that was stored and the record it stands for; None if nothing was stored.

        Closed orders are not in it: `closed` finds these.
        """

    def discard(self) -> None:
        """Put what is stored aside, because it is damaged or of another log, and begin anew."""

    def begin(self, changes: BookChanges) -> None:
        """Take changes to store. Nothing is stored before `step`."""

    def step(self) -> bool:
        """Store a slice of what `begin` took, in two milliseconds or so. Return whether all is stored, in one act."""

    def closed(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """Return closed orders that a name means, newest first and not all of them. Fit for the event loop."""

    def closed_among(self, account: str, venue_ids: Sequence[str]) -> Sequence[PlacedOrder]:
        """Return those of these orders that are closed. Fit for the event loop."""

    def close(self) -> None:
        """Give the file back."""


class Marks(Protocol):
    """High-water marks that prove nothing and must not be lost: of nonces, of a key file's generation, of the log."""

    async def marks(self) -> Mapping[str, int]:
        """Return stored marks by name. Raises `LedgerError`.

        ``credential/NAME`` and ``client/NAME`` are of nonces, ``key-store/ID`` is of the file's generations.
        """

    async def raise_mark(self, name: str, at_least: int) -> None:
        """Store a mark ahead of use; never lowers one. Durable when this returns. Raises `LedgerError`."""

    async def head(self) -> ChainHead | None:
        """Return the head of the log last kept. Raises `LedgerError`."""

    async def keep_head(self, head: ChainHead) -> None:
        """Remember the log's last durable record, so that a cut log is found out. Raises `LedgerError`."""
