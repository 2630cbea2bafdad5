"""The writing side of the ledger: one connection, one thread, one transaction for each batch of callers.

Nonces are stored before they are used, so on a full disk no cancel could leave without room for them. What is written
then goes into SQLite's write-ahead log, in room that was claimed for it, and from there into free pages that the
database already has. Orders are refused before these are short: they use some up, nonces do not. SQLite removes its log
at a clean stop, so a spare file keeps the room from then until the next start.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias, final

from signer.contracts import Clock
from signer.errors import LedgerError, SignerError
from signer.home.disk_space import claim
from signer.ledger.caps import (
    Caps,
    Halts,
    from_intent,
    from_order,
    ledger_errors,
    read_halts,
    refuse_if_halted,
    to_intent,
    unreadable,
)
from signer.ledger.database import connect, mark
from signer.model import ChainHead, Halt, Intent, PlacedOrder
from signer.model.intents import without_legs

KEPT_US = 90 * 24 * 3600 * 1_000_000
"""A closed order is forgotten this long after it was placed. One that may be open never is."""

PRUNED_AT_ONCE = 4
"""How many old orders each new one sweeps out at most: faster than they come, and bounded."""

Job: TypeAlias = "Callable[[LedgerWriter], object]"
"""One caller's part of a transaction."""


class LedgerWriter:
    """Everything that writes. Used on the worker's thread only, but for ``halts``."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.halts: Halts = {}
        """The state as last committed. It is replaced, never changed, so any thread may read it."""
        self._path = path
        self._clock = clock
        self._room = Room(path)
        with ledger_errors(path):
            self._db = self._room.open(lambda: connect(path))
        self._caps = Caps(self._db)
        self._halts: Halts = {}
        self._version = -1
        self.seen_us = 0
        """The latest moment by which anything was dated. Any thread may read it."""
        self._now_us = 0
        self.refresh()

    def close(self) -> None:
        """Close the connection; the last one to do so folds the write-ahead log into the database."""
        with ledger_errors(self._path):
            self._db.close()
            self._room.spare()

    def serve(self, jobs: Sequence[Job]) -> Sequence[object]:
        """Do all jobs in one transaction. Answers each one's result or refusal, and only once they are on the disk.

        Raises `LedgerError` if any of it cannot be stored; then none of it is.
        """
        with ledger_errors(self._path):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._follow()
                self._now_us = max(self.seen_us, self._clock.now_us())
                results = [self._alone(job) for job in jobs]
                self._db.execute("COMMIT")
            except BaseException:
                self._forget()
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._room.committed(self._db)
        self.halts = self._halts
        return results

    def refresh(self) -> None:
        """Notice what other processes wrote. If that cannot be read, everything counts as halted until it can."""
        try:
            self._follow()
        except sqlite3.Error:
            self._forget()
            self._halts = unreadable(self._clock.now_us())
        self.halts = self._halts

    def reserve(self, intent: Intent, head: ChainHead | None) -> int:
        """Hold all charges, or none, and return the reservation's number."""
        refuse_if_halted(self._halts, intent.client, intent.account)
        if self._room.short:
            raise LedgerError("the disk is full", where=str(self._path), hint="free some space")
        held_us = intent.held_us or self._now_us
        needs = self._caps.fit(intent.charges, max(held_us, self._now_us))
        self._caps.hold(needs, held_us)
        self._see(held_us)
        if head is not None:
            self.keep_head(head)
        write = "INSERT INTO reservations (held_us, after_seq, intent) VALUES (?, ?, ?) RETURNING id"
        row = (held_us, head.seq if head is not None else 0, from_intent(intent))
        (number,) = self._db.execute(write, row).fetchone()
        return int(number)

    def release(self, reservation: int) -> None:
        """Give everything back. Nothing happens where there is no such reservation (any more)."""
        if (taken := self._take(reservation)) is not None:
            intent, held_us = taken
            self._caps.give_back(intent.charges, held_us)

    def settle(self, reservation: int, venue_ids: Sequence[str | None], at_us: int) -> None:
        """Keep what was accepted, dated at ``at_us`` (0: now), and give back the rest.

        A charge that no id speaks of stays: it may have happened.
        """
        if (taken := self._take(reservation)) is not None:
            intent, held_us = taken
            at_us = max(held_us, at_us or self._now_us)
            rejected = {leg for leg, venue_id in enumerate(venue_ids) if venue_id is None}
            self._caps.give_back((charge for charge in intent.charges if charge.leg in rejected), held_us)
            kept = [charge for charge in intent.charges if charge.leg not in rejected]
            self._caps.date_anew(kept, held_us, at_us)
            self._see(at_us)
            for placed in placed_by(intent, venue_ids, at_us):
                remember(self._db, placed)

    def settle_found(self, reservation: int, venue_ids: Sequence[str | None], at_us: int) -> None:
        """Keep what was found, dated at ``at_us`` (0: now); what has no venue id stays open under the same number."""
        row = self._db.execute("SELECT intent, held_us FROM reservations WHERE id = ?", (reservation,)).fetchone()
        if row is None:
            return
        intent, held_us = to_intent(row[0]), row[1]
        at_us = max(held_us, at_us or self._now_us)
        found = {leg for leg, venue_id in enumerate(venue_ids) if venue_id is not None}
        self._caps.date_anew([charge for charge in intent.charges if charge.leg in found], held_us, at_us)
        self._see(at_us)
        for placed in placed_by(intent, venue_ids, at_us):
            remember(self._db, placed)
        left = from_intent(without_legs(intent, found))
        self._db.execute("UPDATE reservations SET intent = ? WHERE id = ?", (left, reservation))

    def mark(self, account: str, venue_ids: Sequence[str], *, closed: bool) -> None:
        """Mark orders as closed, or as open."""
        mark(self._db, account, venue_ids, closed=closed)

    def hold(self, reservation: int) -> None:
        """Mark the outcome as unknown. It is on record, so only later records can say more."""
        update = """UPDATE reservations SET unknown = 1,
            after_seq = max(after_seq, (SELECT coalesce(head_seq, 0) FROM state)) WHERE id = ?"""
        self._db.execute(update, (reservation,))

    def raise_mark(self, name: str, at_least: int) -> None:
        """Store a mark, unless a higher one is stored."""
        row = self._db.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
        if row is None or int(row[0]) < at_least:
            self._db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, str(at_least)))

    def keep_head(self, head: ChainHead) -> None:
        """Store the chain's head, unless a later one is stored."""
        write = "UPDATE state SET head_seq = ?1, head_digest = ?2 WHERE head_seq IS NULL OR head_seq < ?1"
        self._db.execute(write, (head.seq, head.digest))

    def halt(self, halt: Halt) -> None:
        """Put a halt in force, in the place of one for the same client and account."""
        row = (halt.client, halt.account, halt.reason, halt.by, halt.at_us)
        self._db.execute("INSERT OR REPLACE INTO halts VALUES (?, ?, ?, ?, ?)", row)
        self._halts = read_halts(self._db)

    def resume(self, client: str, account: str) -> bool:
        """End a halt; whether there was one."""
        ended = self._db.execute("DELETE FROM halts WHERE (client, account) = (?, ?)", (client, account)).rowcount
        self._halts = read_halts(self._db)
        return ended > 0

    def revoke(self, client: str, at_us: int) -> None:
        """Remember that the client was revoked then, or later if that is known already."""
        write = """INSERT INTO revocations VALUES (?, ?)
            ON CONFLICT DO UPDATE SET at_us = max(at_us, excluded.at_us)"""
        self._db.execute(write, (client, at_us))

    def _see(self, at_us: int) -> None:
        """Store the time, so that a clock set back later brings back nothing that was counted."""
        self.seen_us = max(self.seen_us, at_us)
        self._db.execute("UPDATE state SET seen_us = ?", (self.seen_us,))

    def _take(self, reservation: int) -> tuple[Intent, int] | None:
        take = "DELETE FROM reservations WHERE id = ? RETURNING intent, held_us"
        row = self._db.execute(take, (reservation,)).fetchone()
        return None if row is None else (to_intent(row[0]), row[1])

    def _alone(self, job: Job) -> object:
        before = self._db.total_changes
        self._db.execute("SAVEPOINT job")
        try:
            return job(self)
        except SignerError as refusal:
            self._db.execute("ROLLBACK TO job")
            if self._db.total_changes != before:  # memory has what the database has not
                self._caps.forget()
            return refusal
        finally:
            self._db.execute("RELEASE job")

    def _follow(self) -> None:
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return
        self._caps.forget()
        (seen_us,) = self._db.execute("SELECT seen_us FROM state").fetchone()
        self.seen_us = max(self.seen_us, seen_us)
        self._halts = read_halts(self._db)
        self._version = version

    def _forget(self) -> None:
        # Whatever memory holds may never have reached the disk: the next transaction reads it all again.
        self._caps.forget()
        self._version = -1


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


def placed_by(intent: Intent, venue_ids: Sequence[str | None], now_us: int) -> Sequence[PlacedOrder]:
    """Return the orders of ``intent`` that the venue accepted."""
    return [
        PlacedOrder(intent.account, intent.client, venue_id, order, now_us)
        for order, venue_id in zip(intent.orders, venue_ids, strict=False)
        if venue_id is not None
    ]


def remember(db: sqlite3.Connection, placed: PlacedOrder) -> None:
    """Store an order; where its id is known already (an amend), what it is now. Who placed it stays."""
    write = """INSERT INTO orders (account, client, venue_id, client_tag, client_id, placed_us, document)
        VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, venue_id) DO UPDATE
        SET client_tag = excluded.client_tag, client_id = excluded.client_id, document = excluded.document,
        closed = 0"""
    order = placed.order
    row = (placed.account, placed.client, placed.venue_id, order.client_tag, order.client_id, placed.placed_us)
    db.execute(write, (*row, from_order(order)))
    _prune(db, placed.placed_us - KEPT_US)


def _prune(db: sqlite3.Connection, before_us: int) -> None:
    prune = """DELETE FROM orders WHERE id IN (
        SELECT id FROM orders WHERE closed = 1 AND placed_us < ? ORDER BY placed_us LIMIT ?)"""
    db.execute(prune, (before_us, PRUNED_AT_ONCE))


@final
class Room:
    """The room of one open ledger. Used on the ledger's own thread."""

    def __init__(self, path: Path) -> None:
        self.short = False
        """Whether the disk is full, and nothing that uses up free pages may be begun."""
        self._path = path
        self._commits = 0

    def open(self, connect: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        """Open the connection; on a full disk, free the space that was kept for this.

        Raises `LedgerError` if even that is too little, and `sqlite3.Error`.
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
        """Count the commit; after each so many, make sure that free pages are left. Raises `sqlite3.Error`."""
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
        """Tell whether the disk has room. Without it, pages would fill the write-ahead log and not the database."""
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
