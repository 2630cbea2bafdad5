"""Lists or cancels all open orders of a halt's scope, for an operator.

A halt or a revocation keeps new orders from leaving, but orders at the exchange stay there. This concerns only orders
that were placed through signer, never those that the account's owner placed by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import final

from signer.contracts import Clock, Journal
from signer.errors import AuditError, ConfigError, Refused
from signer.gateway.aiming import Aiming, Meant
from signer.gateway.cancelling import Cancelling
from signer.gateway.credential import OURS
from signer.gateway.forward import Account, Journey
from signer.gateway.snapshot import Snapshot
from signer.gateway.trace import Watch, clearing_record, order_row
from signer.model import Call, Halt, HaltScope, Json, OrderRef, VenueResult, Vocabulary, WireAnswer
from signer.model.ended import Ended
from signer.serving.admin import Operator, Verb
from signer.serving.brakes import read_scopes

SETTLE_S = 20.0
"""How long to wait for orders on their way and for look-ups of lost ones."""
CANCEL_S = 70.0
"""How long new cancels are begun."""
LAST_S = 20.0
"""How long to wait for the last cancel. All three together are less than a command waits (`admin.ANSWER_S`)."""
MOST_NAMED = 400
"""Orders that one answer names. Further ones are only counted."""


@final
class Clearing:
    """Lists and cancels open orders through the accounts in force."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        aiming: Aiming,
        journal: Journal,
        *,
        clock: Clock,
        watch: Watch,
    ) -> None:
        self._snapshot = snapshot
        self._aiming = aiming
        self._journal = journal
        self._clock = clock
        self._watch = watch

    def verbs(self) -> Mapping[str, Verb]:
        """Return the verbs by the word that asks for each; they take the ``scope`` of a halt."""
        return {"open_orders": self._listed, "cancel_orders": self._cancelled}

    async def _listed(self, _: Operator, question: Mapping[str, Json]) -> Json:
        halt = self._halt(question)
        client, meant, accounts = halt.scope.client, _meant(halt), self._accounts(halt.scope.account)
        found = await asyncio.gather(*(self._aiming.open_orders(one, one.venue, client, meant) for one in accounts))
        placed = [order for orders in found for order in orders]
        unsettled = self._unsettled(accounts, halt)
        return {
            "orders": [dict(order_row(one)) for one in placed[:MOST_NAMED]],
            "count": len(placed),
            "unsettled": unsettled,
        }

    async def _cancelled(self, operator: Operator, question: Mapping[str, Json]) -> Json:
        halt = self._halt(question)
        accounts = self._accounts(halt.scope.account)
        ended = await asyncio.gather(*(self._clear(operator, one, halt) for one in accounts))
        left = {ref.value: why for one in ended for ref, why in one.left.items()}
        unsettled = self._unsettled(accounts, halt)
        named: dict[str, Json] = {venue_id: left[venue_id] for venue_id in list(left)[:MOST_NAMED]}
        return {"count": sum(one.count for one in ended), "left": named, "unsettled": unsettled}

    def _halt(self, question: Mapping[str, Json]) -> Halt:
        """Return the halt in force of the scope that is asked for, or what stands for it: a revocation leaves none.

        Raises `ConfigError` for a group whose clients nobody knows: it halts everybody, but cancels nobody's orders.
        """
        (scope,) = read_scopes([question.get("scope")])
        halt = next((one for one in self._journal.halts() if one.scope == scope), Halt(scope, "", "", 0))
        if scope.group and not halt.clients:
            hint = "name them one by one with --client"
            raise ConfigError(f"the clients of group {scope.group[:64]!r} are not known", hint=hint)
        return halt

    def _unsettled(self, accounts: Sequence[Account], halt: Halt) -> list[Json]:
        """Name the orders that have no id yet, as a person looks for them at the exchange."""
        client, meant = halt.scope.client, _meant(halt)
        named = [(one.venue, name) for one in accounts for name in self._aiming.unsettled(one.name, client, meant)]
        return [_text_of(name, venue.vocabulary) for venue, name in named]

    def _accounts(self, named: str) -> list[Account]:
        """Raises `ConfigError` for an account that is not in force: its orders cannot be listed or cancelled."""
        if named and named not in self._snapshot().accounts:
            hint = "run `signer reload` if signer.toml has it, or see to its orders at the exchange"
            raise ConfigError(f"the gateway has no account {named[:64]!r}", hint=hint)
        return [account for name, account in self._snapshot().accounts.items() if named in {"", name}]

    async def _clear(self, operator: Operator, account: Account, halt: Halt) -> Ended:
        """Cancel the open orders on ``account`` that the halt is of."""
        venue, now, client, meant = account.venue, self._clock.monotonic(), halt.scope.client, _meant(halt)
        await self._aiming.settle_all(account, client, now + SETTLE_S, meant)
        placed = await self._aiming.open_orders(account, venue, client, meant)
        refs = [OrderRef("venue-id", one.venue_id) for one in placed]
        if not refs:
            return Ended()
        name = f"{self._clock.now_us():014x}"
        await self._record(operator, name, account.name, halt.scope, "begun", refs)

        async def send(call: Call, journey: Journey) -> tuple[WireAnswer, VenueResult]:
            return await account.forward(venue, call, f"{OURS}operator", journey, lambda: None, brake=True)

        deadline = now + SETTLE_S + CANCEL_S
        cancelling = Cancelling(venue, send, self._clock, deadline, deadline + LAST_S)
        try:
            ended = await cancelling.run(refs)
        except Refused as refused:  # nothing could be sent
            words = venue.words(refused, venue.cancel(refs))
            ended = Ended(left=dict.fromkeys(refs, " ".join(words)))
        await self._record(operator, name, account.name, halt.scope, "failed" if ended.left else "done", ended.done)
        return ended

    async def _record(
        self, operator: Operator, name: str, account: str, scope: HaltScope, stage: str, refs: list[OrderRef]
    ) -> None:
        """Record it if possible, because a brake does not wait for a log that cannot be written."""
        venue_ids, now_us = [ref.value for ref in refs], self._clock.now_us()
        named = {kind: text for kind, text in scope._asdict().items() if text}
        whom: dict[str, Json] = {**named, "id": name, "account": account, "client": scope.client, "stage": stage}
        try:
            await self._journal.record(
                clearing_record(operator.uid, operator.name, whom, venue_ids, now_us), urgent=True
            )
        except AuditError as error:
            self._watch.alarm(error.code, f"cancels of an operator are not on record: {error}")


def _meant(halt: Halt) -> Meant:
    return lambda placed: halt.stops(placed.client, placed.account, [placed.order.pair])


def _text_of(name: OrderRef | None, words: Vocabulary) -> str:
    if name is None:
        return "no name"
    return name.value if name.kind == "client-id" else f"{words.refs[name.kind]} {name.value}"
