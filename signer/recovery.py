"""After a crash or a lost answer: what became of each intent without an outcome?

Every open intent is looked up at the venue by the references that its orders carry, then settled, released, or left
held with an alarm. Nothing is ever sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from signer.accounts import Journey
from signer.contracts import AuditLog, Clock, Ledger
from signer.credential import OURS
from signer.errors import SignerError
from signer.model import Found, OpenIntent, Outcome
from signer.pending import Pending
from signer.records import reconciled_record
from signer.snapshot import Snapshot
from signer.trace import Watch

AGAIN_S = 15.0
"""Between two looks: each costs the key two reads for each open intent."""


class Recovery:
    """Closes open intents by what the venue says of them."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        ledger: Ledger,
        audit: AuditLog,
        pending: Pending,
        *,
        clock: Clock,
        watch: Watch,
        gone_after_s: float,
    ) -> None:
        """``gone_after_s``: an order that the venue does not know so long after it was first missed will not appear any
        more. Not reckoned from the intent's own time: the wall clock may have been set since."""
        self.held = 0
        """Outcomes that were unknown when last looked at."""
        self._snapshot = snapshot
        self._ledger = ledger
        self._audit = audit
        self._pending = pending
        self._clock = clock
        self._watch = watch
        self._gone_after_s = gone_after_s
        self._missed_since: dict[int, float] = {}
        self._left: set[int] = set()
        self._looking = asyncio.Lock()
        """Held from reading what is open to closing it, so that nothing is closed twice."""

    async def at_start(self) -> int:
        """Look at every intent that the last run left open; how many stay held."""
        async with self._looking:
            left = list(await self._ledger.open_intents())
            self._left = {one.reservation for one in left}
            for intent in left:
                await self._ledger.hold(intent.reservation)
            return await self._pass(left)

    async def run(self) -> None:
        """Look at what the last run left open, then at unknown outcomes for as long as the gateway runs."""
        try:
            await self.at_start()
        except SignerError as error:
            self._watch.alarm(error.code, f"what the last run left open cannot be looked up now: {error}")
        await self.forever()

    async def forever(self) -> None:
        """Look at unknown outcomes again and again, while the gateway runs."""
        while True:
            await asyncio.sleep(AGAIN_S)
            try:
                async with self._looking:
                    await self._pass(await self._open_and_lost())
            except SignerError as error:
                self._watch.alarm(error.code, f"unknown outcomes cannot be looked up now: {error}")

    async def look_up(self, account: str) -> None:
        """Look now at the unknown outcomes of ``account`` (`signer.contracts.LookUps`)."""
        try:
            async with self._looking:
                for one in await self._open_and_lost():
                    if one.intent.account == account:
                        await self._reconcile(one)
        except SignerError as error:
            self._watch.alarm(error.code, f"unknown outcomes cannot be looked up now: {error}")

    async def _open_and_lost(self) -> list[OpenIntent]:
        now_open = await self._ledger.open_intents()
        return [one for one in now_open if one.unknown or one.reservation in self._left]

    async def _pass(self, intents: list[OpenIntent]) -> int:
        held = 0
        for open_intent in intents:
            if not await self._reconcile(open_intent):
                held += 1
                intent = open_intent.intent
                text = f"the outcome of {intent.record} ({intent.client}) is unknown; what it charged stays held"
                self._watch.alarm("unknown-outcome", text)
        self.held = held
        return held

    async def _reconcile(self, open_intent: OpenIntent) -> bool:
        """Whether the intent is closed now."""
        intent = open_intent.intent
        try:
            found = await self._look_up(open_intent)
        except SignerError as error:
            self._watch.alarm("look-up", f"{intent.record} cannot be looked up: {error}")
            return False
        if found is None:
            return False
        placed = [txid for txid in found.txids if txid is not None]
        if len(placed) < len(found.txids) and not self._is_gone(open_intent.reservation):
            return False  # what is missing may still appear
        if placed:
            await self._audit.record(reconciled_record(intent, Outcome.ACCEPTED, found.txids, self._clock.now_us()))
            await self._ledger.settle(open_intent.reservation, found.txids)
        else:
            await self._audit.record(reconciled_record(intent, Outcome.NOT_SENT, (), self._clock.now_us()))
            await self._ledger.release(open_intent.reservation)
        self._pending.forget(open_intent.reservation)
        self._pending.end(intent)
        self._missed_since.pop(open_intent.reservation, None)
        return True

    def _is_gone(self, reservation: int) -> bool:
        now = self._clock.monotonic()
        return now - self._missed_since.setdefault(reservation, now) >= self._gone_after_s

    async def _look_up(self, open_intent: OpenIntent) -> Found | None:
        snapshot, intent = self._snapshot(), open_intent.intent
        account = snapshot.accounts.get(intent.account)
        if account is None:
            return None
        answers = []
        for call in snapshot.venue.lookups(intent):
            answer, _ = await account.forward(snapshot.venue, call, f"{OURS}recovery", Journey(), lambda: None)
            answers.append(answer)
        return snapshot.venue.found(intent, answers)
