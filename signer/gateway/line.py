"""Answers a bot's private call, by the numbered steps of docs/design.md's straight line.

The line knows contracts and no backends. A call is decided, reserved and recorded before it goes upstream. A call that
we do not understand is refused. An order is never sent twice. What an order of unknown outcome charged stays held until
its outcome is reconciled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from signer.contracts import AuditLog, Clock, Ledger, LookUps, Randomness, Throttle
from signer.errors import (
    AuditError,
    Halted,
    LedgerError,
    NotAuthentic,
    NotServed,
    NotUnderstood,
    RefusalKind,
    Refused,
    TooLarge,
    Unanswered,
)
from signer.gateway.authenticate import Authenticator
from signer.gateway.cancelling import Aiming, Cancelling
from signer.gateway.forward import Account, Journey, VenueTime, relayed
from signer.gateway.outcomes import Outcomes, Pending, name_of
from signer.gateway.snapshot import Client, Snapshot
from signer.gateway.trace import Trace, Watch, intent_record, most_bytes, read_record, refusal_kind, refusal_record
from signer.lanes.shares import Paces
from signer.model import (
    Action,
    Call,
    Decision,
    Decoded,
    Facts,
    Intent,
    OrderRef,
    Outcome,
    Request,
    Response,
    VenueResult,
    WireAnswer,
)
from signer.model.ended import Ended
from signer.policy.orders import known_targets, meant, refs_of, target_of
from signer.policy.rules import decide, denial

ORDER_UNSETTLED = "an earlier call for this order has no outcome yet; nothing was sent"
UNSETTLED_NAME = "an earlier call of that name has no outcome yet"
NO_ANSWER = "no whole answer came back"
UNKNOWN_OUTCOME = "the outcome is unknown: look the order up before trying again"


class Gateway:
    """Answers private calls of all clients."""

    def __init__(
        self,
        snapshot: Snapshot,
        authenticator: Authenticator,
        ledger: Ledger,
        audit: AuditLog,
        pending: Pending,
        throttle: Throttle,
        venue_time: VenueTime,
        *,
        clock: Clock,
        randomness: Randomness,
        watch: Watch,
        look_ups: LookUps,
    ) -> None:
        self.snapshot = snapshot
        self._authenticator = authenticator
        self._ledger = ledger
        self._audit = audit
        self._pending = pending
        self._throttle = throttle
        self._venue_time = venue_time
        self._clock = clock
        self._randomness = randomness
        self._watch = watch
        self._outcomes = Outcomes(ledger, audit, pending, watch)
        self.aiming = Aiming(ledger, pending, self._outcomes, look_ups, clock)
        self.paces = Paces(clock, watch.warn)

    async def answer(self, request: Request) -> Response:
        """Answer one private call. The caller lets this run to its end even if the client hangs up."""
        trace = Trace(self._new_id(), request, self.snapshot, self._clock.now_us())
        try:
            client, decoded = await self._authenticator.authenticate(request, trace.snapshot)  # 1
            trace.client = client
            call = trace.call = self._parse(trace, decoded)  # 2
            call, decision = await self._decide(trace, client, call)  # 3
            if call.local:
                return self._own_answer(trace, client, call)
            if call.action is Action.READ or call.dry_run:
                return await self._read(trace, client, call)
            if call.action is Action.CANCEL and not call.whole_account:
                return await self._cancel(trace, client, call)  # 5 to 8
            self._account(trace, client).require_place(call, client.info.name)
            await self._reserve(trace, client, call, decision)  # 4
            return await self._act(trace, call, lambda: self._sent(trace, client, call))  # 5 to 8
        except Refused as refused:
            return self._refuse(trace, refused)
        finally:
            self._watch.finished(trace)

    async def _decide(self, trace: Trace, client: Client, call: Call) -> tuple[Call, Decision]:
        """Step 3: apply every rule of the client's policy to the call and its targets. Raises `Refused`.

        Returns the call to send, which names a changed order by its venue id.
        """
        account = client.info.account
        if call.change is not None:
            await self._let_settle(client, call.targets[0])
        placed = {
            ref: self._pending.merged(account, ref, await self._ledger.find_orders(account, ref))
            for ref in refs_of(call)
        }
        placed = {ref: self.aiming.closed.marked(found) for ref, found in placed.items()}
        facts = Facts(trace.venue.pairs.by_id, placed, trace.started_us)
        decision = trace.decision = decide(client.policy, client.info.name, call, facts)
        if not decision.allowed:
            raise denial(decision)
        if not call.local:
            self._require_pace(trace, client, call, facts)
        return self._of_settled_order(trace, client, call, facts), decision

    def _require_pace(self, trace: Trace, client: Client, call: Call, facts: Facts) -> None:
        """Raise `Refused` if the call exceeds the policy's pace or the client's share of the venue's order counters."""
        self.paces.require(client.info.name, client.policy.max_calls, call)
        own = meant(client.policy, client.info.name, facts)
        targets = {one.venue_id: one for ref in call.targets for one in known_targets(ref, own) if not one.closed}
        trace.costs = trace.venue.order_costs(call, list(targets.values()), trace.started_us)
        counters = self._account(trace, client).pairs
        self.paces.require_share(client.info.name, call, trace.costs, counters)

    async def _let_settle(self, client: Client, target: OrderRef) -> None:
        """Wait until the outcome of ``target`` is in the ledger, since a bot may change an order at once."""
        if self._is_unsettled(client, target):
            await self._outcomes.caught_up()

    def _of_settled_order(self, trace: Trace, client: Client, call: Call, facts: Facts) -> Call:
        """Return a change with its order named by venue id, and any other call as it is.

        Raises `NotServed` if the order is not settled yet. Such an order may have no venue id. After a crash a changed
        order could no longer be recognised by what it was placed as.
        """
        if call.change is None:
            return call
        target = target_of(call, meant(client.policy, client.info.name, facts))
        if target is None or not target.venue_id or self._is_unsettled(client, call.targets[0]):
            raise NotServed.unavailable(ORDER_UNSETTLED)
        trace.named = (target.venue_id,)
        return trace.venue.changed_by_id(call, target.venue_id)

    def _is_unsettled(self, client: Client, target: OrderRef) -> bool:
        """Return whether ``target`` names an order that the client may change and that is not in the ledger yet."""
        owner = "" if client.policy.whole_account else client.info.name
        return self._pending.names(client.info.account, target, owner)

    async def _reserve(self, trace: Trace, client: Client, call: Call, decision: Decision) -> None:
        """Step 4: reserve all charges of an order, or none of them. Raises `Refused`."""
        if call.action is not Action.ORDER:
            return
        intent = trace.intent = self._intent(trace, client, call, decision)
        if not self._pending.begin(intent):  # the charges were calculated from a state that another call may change
            raise NotServed.unavailable(ORDER_UNSETTLED)
        try:
            trace.reservation = await self._ledger.reserve(intent, self._audit.head())
        except LedgerError as error:
            self._pending.end(intent)
            raise NotServed.unavailable("the ledger cannot be written; nothing was sent") from error
        except Refused:
            self._pending.end(intent)
            raise
        self._pending.add(trace.reservation, intent)

    async def _act(self, trace: Trace, call: Call, send: Callable[[], Awaitable[Response]]) -> Response:
        """Take a call that changes something through steps 5 to 8. ``send`` does the sending."""
        try:
            await self._record_intent(trace, call)  # 5
            return await send()  # 6, 7
        except Unanswered as error:
            why = error.what if isinstance(error, TooLarge) else NO_ANSWER
            refused = NotServed.unavailable(f"{why}, {UNKNOWN_OUTCOME}")
            trace.refused(refused, error)
            raise refused from error
        except Refused as refused:
            trace.refused(refused)
            raise
        finally:
            trace.note_outcome()
            await self._outcomes.conclude(trace)  # 8

    async def _sent(self, trace: Trace, client: Client, call: Call) -> Response:
        answer, trace.result = await self._forward(trace, client, call, trace.journey)
        replaces = call.change is not None and call.change.replaces and not call.dry_run
        if replaces and trace.result.outcome is Outcome.ACCEPTED:
            self.aiming.closed.note(client.info.account, call.targets, cancelled=True, now_us=trace.started_us)
        return self._relayed(trace, answer)

    async def _cancel(self, trace: Trace, client: Client, call: Call) -> Response:
        """Take a cancel of named orders through steps 5 to 8.

        The cancel reaches only the client's own orders, each by its venue id. It spends nothing and passes every halt.
        """
        venue, account = trace.venue, self._account(trace, client)
        now = self._clock.monotonic()
        owner = "" if client.policy.whole_account else client.info.name
        aim = await self.aiming.aim(account, venue, call.targets, owner, now + account.call_seconds / 2)
        trace.named = tuple(ref.value for ref in aim.refs)
        unsettled = dict.fromkeys(aim.unsettled, UNSETTLED_NAME)
        if not aim.refs:
            venue.cancel_answer(Ended(left=unsettled))  # raises
        send = lambda one, journey: self._forward(trace, client, one, journey)  # noqa: E731
        deadline = now + account.call_seconds
        end = deadline + account.call_seconds
        since_us = self._venue_time.earliest_us(account.name, rough=True)
        cancelling = Cancelling(venue, send, self._clock, deadline, end, since_us, Ended(left=unsettled))
        return await self._act(trace, call, lambda: self._cancelled(trace, cancelling, aim.refs))

    async def _cancelled(self, trace: Trace, cancelling: Cancelling, refs: Sequence[OrderRef]) -> Response:
        """Cancel ``refs``. Return the venue's answer if it alone tells all, else one of ours in the same shape."""
        unsettled = bool(cancelling.ended.left)
        try:
            ended = await cancelling.run(refs)
        finally:
            trace.journey, trace.result = cancelling.journey, cancelling.result
        self._note_closed(trace, ended)
        clear = cancelling.doubted.isdisjoint(ended.done)  # else we have read what became of an order
        if clear and len(cancelling.answers) == 1 and not unsettled and (len(refs) == 1 or not ended.left):
            answer, result = cancelling.answers[0]
            trace.result = replace(result, venue_ids=tuple(ref.value for ref in ended.done))
            return self._relayed(trace, answer)
        return trace.venue.cancel_answer(ended)

    def _note_closed(self, trace: Trace, ended: Ended) -> None:
        """Remember the closed orders, so that we answer another cancel of them ourselves."""
        if trace.client is not None and not ended.pending:
            # A tag may name several orders, so the count does not tell which of the other orders were cancelled.
            cancelled = ended.count >= len(ended.done) and all(ref.kind == "venue-id" for ref in ended.done)
            # Note the call's arrival as the time: an answer may have come long before the cancel's last request ended.
            self.aiming.closed.note(trace.client.info.account, ended.done, cancelled=cancelled, now_us=trace.started_us)

    async def _read(self, trace: Trace, client: Client, call: Call) -> Response:
        """Take a call that changes nothing through steps 6 and 7. It is recorded only after its answer."""
        try:
            response = await self._sent(trace, client, call)
        except Unanswered as error:
            why = f"{error.what}; {error.hint}" if isinstance(error, TooLarge) else "the exchange did not answer"
            raise NotServed.unavailable(why) from error
        trace.note_outcome()
        self._audit.note(read_record(trace))
        return response

    async def _record_intent(self, trace: Trace, call: Call) -> None:
        """Record the call before it is sent. Raises `NotServed` if the log fails.

        A cancel goes out all the same, and its record is written as soon as the log takes it.
        """
        record = intent_record(trace)
        try:
            await self._audit.record(record, urgent=call.action is Action.CANCEL)
        except AuditError as error:
            if call.action is not Action.CANCEL:
                raise NotServed.unavailable("the audit log cannot be written; nothing was sent") from error
            what = f"a cancel of {trace.client_name} ({' '.join(trace.named) or call.endpoint})"
            self._watch.alarm(error.code, f"{what} goes out and is not on record yet: {error}")
            self._audit.note(record)
            trace.owed = True
        trace.recorded = True

    async def _forward(
        self, trace: Trace, client: Client, call: Call, journey: Journey
    ) -> tuple[WireAnswer, VenueResult]:
        account = self._account(trace, client)
        check = lambda: self._check(trace, client, call)  # noqa: E731
        return await account.forward(trace.venue, call, client.info.name, journey, check)

    def _account(self, trace: Trace, client: Client) -> Account:
        """Return the account as it is now, so that no call enters a lane that a rotation has retired."""
        account = self.snapshot.accounts.get(client.info.account)
        if account is None:
            raise NotServed.unavailable("the account was removed; nothing was sent")
        return account

    def _check(self, trace: Trace, client: Client, call: Call) -> None:
        """Raise `Refused` if the client was halted or revoked, or has used up its share, while it waited."""
        # Asked of every call: it is what has brakes looked at, revocations among them.
        halt = self._ledger.halted(client.info.name, client.info.account)
        if halt is not None and call.action not in {Action.READ, Action.CANCEL}:
            raise Halted.because(halt.reason)
        now = self.snapshot.clients.get(client.info.api_key)
        if now is None or now.info.revoked:
            raise NotAuthentic(RefusalKind.INVALID_KEY, detail=f"client {client.info.name} was revoked while it waited")
        if trace.costs:
            counters = self._account(trace, client).pairs
            self.paces.require_share(client.info.name, call, trace.costs, counters)
            self.paces.count(client.info.name, trace.costs, counters)
            trace.costs = {}  # a cancel of several requests counts once

    def _relayed(self, trace: Trace, answer: WireAnswer) -> Response:
        """Return the venue's own answer. Raises `NotServed` if the bytes are no answer of the venue's API."""
        result = trace.result
        assert result is not None  # noqa: S101 - set with the answer
        if result.outcome is Outcome.UNKNOWN and not result.errors:
            reason = f"the exchange answered HTTP {answer.status} and no result"
            raise NotServed.unavailable(f"{reason}; {UNKNOWN_OUTCOME}" if trace.recorded else reason)
        trace.errors = result.errors
        return relayed(trace.venue, answer)

    def _refuse(self, trace: Trace, refused: Refused) -> Response:
        if trace.client is None and isinstance(refused, NotUnderstood):
            trace.client = self._authenticator.author(trace.request, trace.snapshot)
        trace.refused(refused)
        if not trace.recorded and self._worth_a_record(trace, refusal_kind(refused)):
            self._audit.note(refusal_record(trace, refused))
        return trace.venue.refusal(refused, trace.call)

    def _own_answer(self, trace: Trace, client: Client, call: Call) -> Response:
        trace.outcome = Outcome.ACCEPTED
        if self._worth_a_record(trace, "read"):
            self._audit.note(read_record(trace))
        return trace.venue.own_answer(call, client.info, client.policy.permissions)

    def _worth_a_record(self, trace: Trace, kind: str) -> bool:
        """Return whether a call that was not sent is recorded. Else it is only counted, and has no log line either.

        A flood of requests that prove nothing must not fill the disk.
        """
        size = most_bytes(trace)
        admitted = self._throttle.admit(trace.request.source, kind, trace.started_us, trace.client_name, size)
        trace.counted_only = not admitted
        return admitted

    def _intent(self, trace: Trace, client: Client, call: Call, decision: Decision) -> Intent:
        return Intent(
            client=client.info.name,
            account=client.info.account,
            endpoint=call.endpoint,
            orders=decision.orders,
            targets=call.targets,
            charges=decision.charges,
            record=trace.id,
            at_us=trace.started_us,
            replaces=call.change is not None and call.change.replaces,
            # Nobody else can have given our own new reference to an older order, so a rough time does.
            venue_us=self._venue_time.earliest_us(client.info.account, rough=trace.unnamed),
            held_us=self._ledger.now_us(),
        )

    def _parse(self, trace: Trace, decoded: Decoded) -> Call:
        """Step 2: parse the call and add references of ours, by which an order can be looked up if its answer is lost.

        Raises `NotUnderstood`.
        """
        venue = trace.venue
        call = venue.parse(decoded)
        venue.require_timely(call, trace.started_us)
        trace.unnamed = _is_unnamed(call)
        return venue.with_own_refs(call, self._randomness.getrandbits)

    def _new_id(self) -> str:
        """Return a unique id that sorts by time: 14 hex digits of microseconds, then 8 random ones."""
        return f"{self._clock.now_us():014x}{self._randomness.getrandbits(32):08x}"

    async def drained(self) -> None:
        """Wait until every outcome is recorded and settled."""
        await self._outcomes.drained()


def _is_unnamed(call: Call) -> bool:
    """Return whether the client names no order that the call places, so that each gets a reference of ours."""
    if call.change is not None:
        return call.change.replaces and call.change.client_tag is None
    return not any(name_of(order) for order in call.orders)
