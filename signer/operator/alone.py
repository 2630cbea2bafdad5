"""Holds a home for an act while no gateway runs on it: only one process at a time writes the audit chain."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from signer.audit import close_audit, open_audit
from signer.audit.log import FileAuditLog
from signer.errors import HomeError
from signer.gateway.reconcile.by_hand import record_by_hand
from signer.gateway.trace import operator_record
from signer.home.layout import Home
from signer.home.lock import NOTHING_YET, Holder, HomeLock, holder
from signer.ledger import open_ledger
from signer.ledger.sqlite import SqliteLedger
from signer.model import Json
from signer.operator.session import Session
from signer.serving.admin import Operator
from signer.serving.clock import SystemClock

BUSY_S = 10.0
LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Alone:
    """Holds the home's ledger and audit log, opened by the act itself."""

    session: Session
    ledger: SqliteLedger
    log: FileAuditLog

    def record(self, told: Mapping[str, Json]) -> None:
        """Put what an act says of itself into the log, durably. Raises `AuditError`."""
        me = Operator.of(os.getuid())
        self.session.run(self.log.record(operator_record(me.uid, me.name, told, SystemClock().now_us())))

    def close_unknown(self, number: int, venue_ids: Sequence[str | None], reason: str) -> bool:
        """Settle or release an unknown call; whether there is one of that number."""
        return self.session.run(self._close_unknown(number, venue_ids, reason))

    async def _close_unknown(self, number: int, venue_ids: Sequence[str | None], reason: str) -> bool:
        me = Operator.of(os.getuid())
        for one in await self.ledger.open_intents():
            if one.reservation == number:
                await record_by_hand(self.ledger, self.log, one, venue_ids, me.name, me.uid, reason)
                return True
        return False


@contextlib.contextmanager
def opened_alone(session: Session) -> Iterator[Alone]:
    """Open the ledger and the log of a home whose lock is held. Raises `SignerError`."""
    ledger = session.run(open_ledger(session.home, SystemClock()))
    try:
        log = session.run(open_audit(session.home, ledger, SystemClock(), session.person.warn))
        try:
            yield Alone(session, ledger, log)
        finally:
            session.run(close_audit(log, ledger))
    finally:
        session.run(ledger.close())


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
