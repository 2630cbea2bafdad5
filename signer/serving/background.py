"""What a gateway does beside answering: its loops, none of which ends in silence, and the books kept by time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import final

from signer.audit.throttle import RecordThrottle
from signer.contracts import AuditLog, Clock, Ledger
from signer.errors import SignerError
from signer.gateway.trace import Watch

SUMMARY_EVERY_S = 60.0
HEAD_EVERY_S = 1.0


@final
class Background:
    """The loops of one worker."""

    def __init__(self, ledger: Ledger, audit: AuditLog, throttle: RecordThrottle, watch: Watch, clock: Clock) -> None:
        self._ledger = ledger
        self._audit = audit
        self._throttle = throttle
        self._watch = watch
        self._clock = clock
        self.tasks: list[asyncio.Task[None]] = []

    def begin(self, loops: Mapping[str, Coroutine[None, None, None]]) -> None:
        """Run these beside our own, each by what it does."""
        own = {"counting refusals": self.summarise(), "keeping the log's head": self._keep_heads()}
        running = asyncio.get_running_loop()
        self.tasks = [running.create_task(loop, name=name) for name, loop in {**own, **loops}.items()]
        for task in self.tasks:
            task.add_done_callback(self._ended)

    def end(self) -> None:
        """Run none of them any more."""
        for task in self.tasks:
            task.cancel()

    def note_refusals(self) -> None:
        """Put the counts of refusals that had no record of their own into the log."""
        for entry in self._throttle.summaries(self._clock.now_us()):
            self._audit.note(entry)

    async def summarise(self) -> None:
        """Count refusals, once a minute."""
        while True:
            await asyncio.sleep(SUMMARY_EVERY_S)
            self.note_refusals()

    async def _keep_heads(self) -> None:
        kept = None
        while True:
            await asyncio.sleep(HEAD_EVERY_S)
            head = self._audit.head()
            if head is not None and head != kept:
                try:
                    await self._ledger.keep_head(head)
                    kept = head
                except SignerError as error:
                    self._watch.alarm(error.code, str(error))

    def _ended(self, task: asyncio.Task[None]) -> None:
        """None of them ends while the gateway runs, but by a defect: then it must not end in silence."""
        if not task.cancelled():
            what = type(task.exception()).__name__  # its text may hold anything
            self._watch.alarm("defect", f"{task.get_name()} has ended ({what}); restart the gateway")
