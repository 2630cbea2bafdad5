"""Holds a home for an act while no gateway runs on it: only one process at a time writes the log."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from signer.audit import close_journal, open_journal
from signer.audit.archive import Archived, archived_entry
from signer.audit.journal import FileJournal
from signer.errors import AuditError, HomeError
from signer.gateway.reconcile.by_hand import record_by_hand
from signer.gateway.trace import operator_record
from signer.home.layout import Home
from signer.home.lock import NOTHING_YET, Holder, HomeLock, holder
from signer.ledger import open_marks
from signer.ledger.checkpoint import BookFile
from signer.ledger.marks import SqliteMarks
from signer.model import Json
from signer.operator.session import Session
from signer.serving.admin import Operator
from signer.serving.clock import SystemClock

BUSY_S = 10.0
LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Alone:
    """Holds the home's journal and marks, opened by the act itself."""

    session: Session
    journal: FileJournal
    marks: SqliteMarks

    def record(self, told: Mapping[str, Json]) -> None:
        """Put what an act says of itself into the log, durably. Raises `AuditError`."""
        me = Operator.of(os.getuid())
        self.session.run(self.journal.record(operator_record(me.uid, me.name, told, SystemClock().now_us())))

    def record_archived(self, archived: Archived, moved: Sequence[str]) -> None:
        """Have a record vouch for a state file, durably. Raises `AuditError`."""
        self.session.run(self.journal.record(archived_entry(archived, moved, SystemClock().now_us())))

    def close_unknown(self, number: int, venue_ids: Sequence[str | None], reason: str) -> bool:
        """Record the end of an unknown call; whether there is one of that number. Raises `SignerError`."""
        me = Operator.of(os.getuid())
        for one in self.journal.open_intents():
            if one.reservation == number:
                try:
                    self.session.run(record_by_hand(self.journal, one, venue_ids, me.name, me.uid, reason))
                except AuditError as error:
                    if not self.session.run(self.journal.settled()):  # else the disk was slow, and has it now
                        raise _not_recorded(number, self.session.home) from error
                return True
        return False


def _not_recorded(number: int, home: Home) -> AuditError:
    hint = "see to the disk, then look at `signer orders unknown`"
    return AuditError(f"it cannot be recorded that call {number} is ended", where=str(home.audit), hint=hint)


@contextlib.contextmanager
def opened_alone(session: Session) -> Iterator[Alone]:
    """Open the journal and the marks of a home whose lock is held. Raises `SignerError`."""
    home, clock = session.home, SystemClock()
    marks = session.run(open_marks(home))
    try:
        journal = session.run(open_journal(home, marks, BookFile(home.book), clock, session.person.warn))
        try:
            yield Alone(session, journal, marks)
        finally:
            session.run(close_journal(journal, marks))
    finally:
        session.run(marks.close())


def take_lock(home: Home) -> HomeLock | None:
    """Take the home's lock, waiting for another command or a start; None if a gateway serves on the home."""
    until = time.monotonic() + BUSY_S
    while True:
        running = holder(home.lock)
        if running is not None and running.serves:
            return None
        try:
            lock = HomeLock(home.lock)
        except HomeError:
            if time.monotonic() >= until:
                raise
            time.sleep(LOOK_EVERY_S)
        else:
            lock.announce(Holder(os.getpid(), SystemClock().now_us(), NOTHING_YET))
            return lock
