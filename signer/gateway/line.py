"""The whole story of a bot's call, on one screen: docs/design.md's straight line, step by numbered step.

Knows contracts, never backends. Nothing goes upstream that was not decided, reserved and recorded first; what we do not
understand is refused; an order is never sent twice; *unknown* stays held until it is reconciled.
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
from signer.gateway.outcomes import Outcomes, Pending
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
    """Answers private calls."""

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
        self._paces = Paces(clock, watch.warn)

    async def answer(self, request: Request) -> Response:
        """One private call, from the bytes that arrived to the answer. Let it run to its end if the client hangs up."""
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
        """Step 3: every rule of the client's policy, over the call and what is known of its targets."""
        account = client.info.account
        if call.change is not None:
            await self._let_settle(client, call.targets[0])
        placed = {
            ref: self._pending.merged(account, ref, await self._ledger.find_orders(account, ref))
            for ref in refs_of(call)
        }
        facts = Facts(trace.venue.pairs.by_id, placed, trace.started_us)
        decision = trace.decision = decide(client.policy, client.info.name, call, facts)
        if not decision.allowed:
            raise denial(decision)
        if not call.local:
            self._require_pace(trace, client, call, facts)
        return self._of_settled_order(trace, client, call, facts), decision

    def _require_pace(self, trace: Trace, client: Client, call: Call, facts: Facts) -> None:
        """Neither faster than its policy says, nor beyond its share of the venue's counters of orders."""
        self._paces.require(client.info.name, client.policy.max_calls, call)
        own = meant(client.policy, client.info.name, facts)
        targets = {one.venue_id: one for ref in call.targets for one in known_targets(ref, own) if not one.closed}
        trace.costs = trace.venue.order_costs(call, list(targets.values()), trace.started_us)
        counters = self._account(trace, client).pairs
        self._paces.require_share(client.info.name, call, trace.costs, counters)

    async def _let_settle(self, client: Client, target: OrderRef) -> None:
        """A bot may change an order that it has just heard of: let its outcome reach the ledger first."""
        if self._is_unsettled(client, target):
            await self._outcomes.caught_up()

    def _of_settled_order(self, trace: Trace, client: Client, call: Call, facts: Facts) -> Call:
        """A change that names the order of the decision by its venue id, whatever name the client gave it.

        An order that is not settled yet is not changed: it may have no id, and after a crash it could not be told by
        what it was placed as.
        """
        if call.change is None:
            return call
        target = target_of(call, meant(client.policy, client.info.name, facts))
        if target is None or not target.venue_id or self._is_unsettled(client, call.targets[0]):
            raise NotServed.unavailable(ORDER_UNSETTLED)
        trace.named = (target.venue_id,)
        return trace.venue.changed_by_id(call, target.venue_id)

    def _is_unsettled(self, client: Client, target: OrderRef) -> bool:
        """Whether ``target`` names an order that the client may change and that the ledger does not know yet."""
        owner = "" if client.policy.whole_account else client.info.name
        return self._pending.names(client.info.account, target, owner)

    async def _reserve(self, trace: Trace, client: Client, call: Call, decision: Decision) -> None:
        """Step 4: hold all that an order would spend, or nothing."""
        if call.action is not Action.ORDER:
            return
        intent = trace.intent = self._intent(trace, client, call, decision)
        if not self._pending.begin(intent):  # its charges were reckoned from what the order is no more
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
        """Steps 5 to 8 of a call that changes something."""
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
        return self._relayed(trace, answer)

    async def _cancel(self, trace: Trace, client: Client, call: Call) -> Response:
        """Steps 5 to 8 of a cancel of orders by name: of the client's own ones, by their ids, until each is accounted
        for. It spends nothing and passes every halt."""
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
        cancelling = Cancelling(venue, send, self._clock, deadline, end, Ended(left=unsettled))
        return await self._act(trace, call, lambda: self._cancelled(trace, cancelling, aim.refs))

    async def _cancelled(self, trace: Trace, cancelling: Cancelling, refs: Sequence[OrderRef]) -> Response:
        """Cancel ``refs``. The answer is the venue's own where it gave one only, else one of the same shape."""
        unsettled = bool(cancelling.ended.left)
        try:
            ended = await cancelling.run(refs)
        finally:
            trace.journey, trace.result = cancelling.journey, cancelling.result
        self._note_closed(trace, ended)
        if len(cancelling.answers) == 1 and not unsettled and (len(refs) == 1 or not ended.left):
            answer, result = cancelling.answers[0]
            trace.result = replace(result, venue_ids=tuple(ref.value for ref in ended.done))
            return self._relayed(trace, answer)
        return trace.venue.cancel_answer(ended)

    def _note_closed(self, trace: Trace, ended: Ended) -> None:
        """Remember these orders, so that we answer another cancel of them."""
        if trace.client is not None and not ended.pending:
            # A tag may be several orders: then the count does not tell of each id beside it.
            cancelled = ended.count >= len(ended.done) and all(ref.kind == "venue-id" for ref in ended.done)
            # As of when the call came: the word may have been heard long before the last request of the cancel ended.
            self.aiming.closed.note(trace.client.info.account, ended.done, cancelled=cancelled, now_us=trace.started_us)

    async def _read(self, trace: Trace, client: Client, call: Call) -> Response:
        """Steps 6 and 7 of a call that changes nothing: no disk write before it leaves, one record behind it."""
        try:
            response = await self._sent(trace, client, call)
        except Unanswered as error:
            why = f"{error.what}; {error.hint}" if isinstance(error, TooLarge) else "the exchange did not answer"
            raise NotServed.unavailable(why) from error
        trace.note_outcome()
        self._audit.note(read_record(trace))
        return response

    async def _record_intent(self, trace: Trace, call: Call) -> None:
        """Nothing leaves before it is on record, but a cancel: it is owed to a log that cannot take it."""
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
        """The account as it is at this moment, so that nobody enters a lane that a rotation has retired."""
        account = self.snapshot.accounts.get(client.info.account)
        if account is None:
            raise NotServed.unavailable("the account was removed; nothing was sent")
        return account

    def _check(self, trace: Trace, client: Client, call: Call) -> None:
        """Check at the last moment that the client was neither halted nor revoked while it waited for its turn."""
        if call.action not in {Action.READ, Action.CANCEL}:
            halt = self._ledger.halted(client.info.name, client.info.account)
            if halt is not None:
                raise Halted.because(halt.reason)
        now = self.snapshot.clients.get(client.info.api_key)
        if now is None or now.info.revoked:
            raise NotAuthentic(RefusalKind.INVALID_KEY, detail=f"client {client.info.name} was revoked while it waited")
        if trace.costs:
            counters = self._account(trace, client).pairs
            self._paces.require_share(client.info.name, call, trace.costs, counters)
            self._paces.count(client.info.name, trace.costs, counters)
            trace.costs = {}  # once, however many requests a cancel takes

    def _relayed(self, trace: Trace, answer: WireAnswer) -> Response:
        """The venue's own bytes, if they are an answer at all; else ours, in words that every client understands."""
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
        """Whether a call that nothing of was sent is recorded, or only counted: then it has no line in the log either.

        Floods of what proves nothing must fill no disk.
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
            venue_us=self._venue_time.earliest_us(client.info.account),
        )

    def _parse(self, trace: Trace, decoded: Decoded) -> Call:
        """Step 2. With references of ours, so that an order whose answer is lost can be looked up exactly."""
        venue = trace.venue
        call = venue.parse(decoded)
        venue.require_timely(call, trace.started_us)
        return venue.with_own_refs(call, self._randomness.getrandbits)

    def _new_id(self) -> str:
        """Sortable by time, unique: 14 hex digits of microseconds and 8 random ones."""
        return f"{self._clock.now_us():014x}{self._randomness.getrandbits(32):08x}"

    async def drained(self) -> None:
        """Wait until every outcome is recorded and settled."""
        await self._outcomes.drained()
