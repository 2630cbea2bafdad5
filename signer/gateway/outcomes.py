"""Step 8: what became of a call, first in the audit log and then in the ledger.

A crash between the two leaves an open intent, which is looked up at the next start (`recovery`); the other order would
leave a settled order that the log never mentions.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from signer.contracts import AuditLog, Ledger
from signer.errors import SignerError
from signer.gateway.pending import Pending
from signer.gateway.records import outcome_record
from signer.gateway.trace import Trace, Watch
from signer.model import Outcome

PATIENCE_S = 0.25
"""How long an outcome may wait for the next flush; until it is durable the intent counts as open."""
RETRY_S = 1.0
ANSWER_ANYWAY_S = 2.0
"""How long a client waits at most for an outcome to be recorded that its answer could wait for."""
NOTHING_HAPPENED = frozenset({Outcome.REJECTED, Outcome.NOT_SENT})


class Outcomes:
    """Concludes calls, in the background where no client needs to wait."""

    def __init__(self, ledger: Ledger, audit: AuditLog, pending: Pending, watch: Watch) -> None:
        self._ledger = ledger
        self._audit = audit
        self._pending = pending
        self._watch = watch
        self._finishing: set[asyncio.Task[None]] = set()

    async def conclude(self, trace: Trace) -> None:
        """Record and settle. An accepted order's answer does not wait for the disk; a refused one's does, so that what
        it held is free again when its client hears of it, and so does a change's, so that the next one may follow.
        """
        if trace.outcome is Outcome.ACCEPTED and trace.reservation is not None:
            assert trace.intent is not None  # noqa: S101 - reserved with it
            assert trace.verdict is not None  # noqa: S101 - accepted by it
            self._pending.accepted(trace.reservation, trace.intent, trace.verdict.venue_ids)
        elif trace.outcome is Outcome.UNKNOWN and trace.reservation is not None:
            self._pending.lost(trace.reservation)
        told = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._finish(trace, told))
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        if _is_awaited(trace):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_ANYWAY_S):
                    await told.wait()

    async def caught_up(self) -> None:
        """Wait, for a moment at most, until what is being concluded now has reached the ledger."""
        if self._finishing:
            await asyncio.wait(list(self._finishing), timeout=ANSWER_ANYWAY_S)

    async def drained(self) -> None:
        """Wait until every outcome is recorded and settled."""
        while self._finishing:
            await asyncio.wait(self._finishing)

    async def _finish(self, trace: Trace, told: asyncio.Event) -> None:
        if trace.owed:
            self._audit.note(outcome_record(trace))
        elif trace.recorded:
            record = outcome_record(trace)
            patience = 0.0 if _is_awaited(trace) else PATIENCE_S
            await self._insist(lambda: self._audit.record(record, within=patience))
        if trace.intent is None or not trace.intent.targets:
            told.set()  # the ledger takes writes in order: what is given back now is there for whoever reserves next
        if trace.reservation is not None and trace.intent is not None:
            reservation = trace.reservation
            await self._insist(lambda: self._settle(reservation, trace))
            if trace.outcome is not Outcome.UNKNOWN:
                self._pending.forget(reservation)
                self._pending.end(trace.intent)
        told.set()

    async def _settle(self, reservation: int, trace: Trace) -> None:
        if trace.outcome is Outcome.ACCEPTED and trace.verdict is not None:
            await self._ledger.settle(reservation, trace.verdict.venue_ids)
        elif trace.outcome is Outcome.UNKNOWN:
            await self._ledger.hold(reservation)
        else:
            await self._ledger.release(reservation)

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write until it is written. While the disk is gone no further order is taken, so few wait here."""
        while True:
            try:
                return await write()
            except SignerError as error:
                self._watch.alarm(error.code, f"an outcome cannot be recorded yet: {error}")
                await asyncio.sleep(RETRY_S)


def _is_awaited(trace: Trace) -> bool:
    """Whether the client is answered only after the outcome is recorded."""
    is_change = trace.intent is not None and bool(trace.intent.targets)
    return trace.outcome in NOTHING_HAPPENED or (is_change and trace.outcome is Outcome.ACCEPTED)
