"""Answers a bot's private call, by the numbered steps of docs/design.md's straight line.

The line knows contracts and no backends. A call is decided, held and recorded before it goes upstream. A call that we
do not understand is refused. An order is never sent twice. What an order of unknown outcome charged stays held until
its outcome is reconciled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from signer.book.book import ORDER_UNSETTLED
from signer.contracts import Clock, Journal, LookUps, Randomness, Throttle
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
from signer.gateway.aiming import Aiming
from signer.gateway.authenticate import Authenticator
from signer.gateway.cancelling import Cancelling
from signer.gateway.forward import Account, Journey, VenueTime, relayed
from signer.gateway.naming import Naming, owner_of
from signer.gateway.snapshot import Client, Snapshot
from signer.gateway.trace import (
    Trace,
    Watch,
    intent_record,
    most_bytes,
    outcome_record,
    read_record,
    refusal_kind,
    refusal_record,
)
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
    PlacedOrder,
    Request,
    Response,
    VenueResult,
    WireAnswer,
)
from signer.model.ended import Ended
from signer.policy.orders import refs_of
from signer.policy.rules import decide, denial

LOOK_UP_S = 5.0
"""How long a call waits for the look-up of an order whose answer was lost, as it may be the one that the call names."""
MAY_BE_LOST = "this may be an order of an earlier call that has no outcome yet; nothing was sent"
NOT_RECORDED = "the audit log cannot be written; nothing was sent"
UNSETTLED_NAME = "an earlier call of that name has no outcome yet"
NO_ANSWER = "no whole answer came back"
UNKNOWN_OUTCOME = "the outcome is unknown: look the order up before trying again"


class Gateway:
    """Answers private calls of all clients."""

    def __init__(
        self,
        snapshot: Snapshot,
        authenticator: Authenticator,
        journal: Journal,
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
        self._journal = journal
        self._throttle = throttle
        self._venue_time = venue_time
        self._clock = clock
        self._randomness = randomness
        self._naming = Naming(journal, randomness)
        self._watch = watch
        self.aiming = Aiming(journal, look_ups, clock)
        self.paces = Paces(clock, watch.warn)

    async def answer(self, request: Request) -> Response:
        """Answer one private call. The caller lets this run to its end even if the client hangs up."""
        now_us = self._clock.now_us()
        trace = Trace(self._new_id(now_us), request, self.snapshot, now_us)
        try:
            client, decoded = await self._authenticator.authenticate(request, trace.snapshot)  # 1
            trace.client = client
            call = trace.call = self._parse(trace, client, decoded)  # 2
            call, decision = await self._decide(trace, client, call)  # 3
            if call.local:
                return self._own_answer(trace, client, call)
            if call.action is Action.READ or call.dry_run:
                return await self._read(trace, client, call)
            if call.action is Action.CANCEL and not call.whole_account:
                return await self._cancel(trace, client, call)  # 4 to 8
            self._account(trace, client).require_place(call, client.info.name)
            if call.action is Action.ORDER:
                trace.intent = self._intent(trace, client, call, decision)
            return await self._act(trace, call, lambda: self._sent(trace, client, call))  # 4 to 8
        except Refused as refused:
            return self._refuse(trace, refused)
        except LedgerError as error:
            unreadable = NotServed.unavailable("the orders on record cannot be read; nothing was sent")
            return self._refuse(trace, unreadable, error)
        finally:
            self._watch.finished(trace)

    async def _decide(self, trace: Trace, client: Client, call: Call) -> tuple[Call, Decision]:
        """Step 3: apply every rule of the client's policy to the call and its targets. Raises `Refused`.

        Returns the call to send, which names a changed order by its venue id.
        """
        placed = await self._placed(trace, client, call)
        facts = Facts(trace.venue.pairs.by_id, placed, trace.started_us)
        decision = trace.decision = decide(client.policy, client.info.name, call, facts)
        if not decision.allowed:
            raise denial(decision)
        if not call.local:
            self._require_pace(trace, client, call, decision)
        return self._by_venue_id(trace, call, decision), decision

    async def _placed(self, trace: Trace, client: Client, call: Call) -> dict[OrderRef, tuple[PlacedOrder, ...]]:
        """Return the orders, any client's, that the call names.

        An order whose answer was lost has no venue id in the book before it is looked up. While the client has one, an
        id that the book lacks may be that order's, so the call waits for the look-up. Raises `NotServed` if that does
        not tell. An account-wide cancel need not wait, because it goes out by every name that it has.
        """
        account, owner, refs = client.info.account, owner_of(client), refs_of(call)
        if not refs:
            return {}
        placed = self.aiming.named(account, refs, call.targets)
        if await self.aiming.has_freed(self._account(trace, client), call, client.info.name, placed):
            placed = self.aiming.named(account, refs, call.targets)
        wide = not owner and call.action is Action.CANCEL
        if wide or not _lacks_an_id(call, placed) or not self.aiming.without_id(account, owner, lost=True):
            return placed
        await self.aiming.look_up(account, self._clock.monotonic() + LOOK_UP_S)
        placed = self.aiming.named(account, refs, call.targets)
        if _lacks_an_id(call, placed) and self.aiming.without_id(account, owner, lost=True):
            raise NotServed.unavailable(MAY_BE_LOST)
        return placed

    def _require_pace(self, trace: Trace, client: Client, call: Call, decision: Decision) -> None:
        """Raise `Refused` if the call exceeds the policy's pace or the client's share of the venue's order counters."""
        self.paces.require(client.info.name, client.policy.max_calls, call)
        targets = [one for one in decision.targets if not one.closed]
        trace.costs = trace.venue.order_costs(call, targets, self._journal.now_us())
        counters = self._account(trace, client).pairs
        self.paces.require_share(client.info.name, call, trace.costs, counters)

    def _by_venue_id(self, trace: Trace, call: Call, decision: Decision) -> Call:
        """Return a change with its order named by venue id, and any other call as it is.

        Raises `NotServed` if the order has no venue id yet. After a crash a changed order could no longer be recognised
        by what it was placed as.
        """
        if call.change is None:
            return call
        (target,) = decision.targets
        if not target.venue_id:
            raise NotServed.unavailable(ORDER_UNSETTLED)
        trace.named = (target.venue_id,)
        return trace.venue.changed_by_id(call, target.venue_id)

    async def _act(self, trace: Trace, call: Call, send: Callable[[], Awaitable[Response]]) -> Response:
        """Take a call that changes something through steps 4 to 8. ``send`` does the sending."""
        try:
            await self._begin(trace, call)  # 4
            return await send()  # 5, 6
        except Unanswered as error:
            why = error.what if isinstance(error, TooLarge) else NO_ANSWER
            refused = NotServed.unavailable(f"{why}, {UNKNOWN_OUTCOME}")
            trace.refused(refused, error)
            raise refused from error
        except Refused as refused:
            trace.refused(refused)
            raise
        finally:
            if trace.recorded:
                self._conclude(trace)  # 7

    async def _begin(self, trace: Trace, call: Call) -> None:
        """Step 4: hold all charges of an order, or none of them, and record the call, in one durable act.

        A call that holds nothing is recorded. A cancel goes out even if it is not on record yet. Raises `Refused`.
        """
        if trace.intent is None and call.action is not Action.CANCEL and not self._journal.healthy:
            raise NotServed.unavailable(NOT_RECORDED)  # else a flood of them would be owed to it
        record = intent_record(trace)
        try:
            if trace.intent is not None:
                trace.reservation = await self._journal.begin(trace.intent, record)
                trace.recorded = True
            else:
                trace.recorded = True  # the log is owed this record even if it cannot take it now
                await self._journal.record(record, urgent=call.action is Action.CANCEL)
        except AuditError as error:
            if call.action is not Action.CANCEL:
                raise NotServed.unavailable(NOT_RECORDED) from error
            what = f"a cancel of {trace.client_name} ({' '.join(trace.named) or call.endpoint})"
            self._watch.alarm(error.code, f"{what} goes out and is not on record yet: {error}")

    def _conclude(self, trace: Trace) -> None:
        """Step 7: apply the outcome to the book, and record it. Nobody waits for the disk."""
        trace.note_outcome()
        self._journal.conclude(outcome_record(trace, self._journal.now_us()))

    async def _sent(self, trace: Trace, client: Client, call: Call) -> Response:
        answer, trace.result = await self._forward(trace, client, call, trace.journey)
        replaces = call.change is not None and call.change.replaces and not call.dry_run
        if replaces and trace.result.outcome is Outcome.ACCEPTED:
            self.aiming.closed.note(client.info.account, call.targets, cancelled=True, now_us=self._journal.now_us())
        return self._relayed(trace, client, call, answer)

    async def _cancel(self, trace: Trace, client: Client, call: Call) -> Response:
        """Take a cancel of named orders through steps 4 to 8.

        The cancel reaches only the client's own orders, each by its venue id. It spends nothing and passes every halt.
        """
        venue, account = trace.venue, self._account(trace, client)
        now, now_us = self._clock.monotonic(), self._journal.now_us()
        until = now + account.call_seconds / 2
        aim = await self.aiming.aim(account, venue, call.targets, owner_of(client), until)
        trace.named = tuple(ref.value for ref in aim.refs)
        unsettled = dict.fromkeys(aim.unsettled, UNSETTLED_NAME)
        if not aim.refs:
            venue.cancel_answer(Ended(left=unsettled))  # raises
        account.require_place(call, client.info.name)
        send = lambda one, journey: self._forward(trace, client, one, journey)  # noqa: E731
        deadline = now + account.call_seconds
        end = deadline + account.call_seconds
        since_us = self._venue_time.earliest_us(account.name, rough=True)
        cancelling = Cancelling(venue, send, self._clock, deadline, end, since_us, Ended(left=unsettled))
        return await self._act(trace, call, lambda: self._cancelled(trace, client, cancelling, aim.refs, now_us))

    async def _cancelled(
        self, trace: Trace, client: Client, cancelling: Cancelling, refs: Sequence[OrderRef], now_us: int
    ) -> Response:
        """Cancel ``refs``. Return the venue's answer if it alone tells all, else one of ours in the same shape.

        ``now_us`` is the journal's time at the cancel's beginning.
        """
        unsettled = bool(cancelling.ended.left)
        try:
            ended = await cancelling.run(refs)
        finally:
            trace.journey, trace.result = cancelling.journey, cancelling.result
        self._note_closed(trace, ended, now_us)
        clear = cancelling.doubted.isdisjoint(ended.done)  # else we have read what became of an order
        if clear and len(cancelling.answers) == 1 and not unsettled and (len(refs) == 1 or not ended.left):
            answer, result = cancelling.answers[0]
            trace.result = replace(result, venue_ids=tuple(ref.value for ref in ended.done))
            return self._relayed(trace, client, trace.venue.cancel(refs), answer)
        return trace.venue.cancel_answer(ended)

    def _note_closed(self, trace: Trace, ended: Ended, now_us: int) -> None:
        """Remember the closed orders, so that we answer another cancel of them ourselves."""
        if trace.client is not None and not ended.pending:
            # A tag may name several orders, so the count does not tell which of the other orders were cancelled.
            cancelled = ended.count >= len(ended.done) and all(ref.kind == "venue-id" for ref in ended.done)
            # Note the time of the beginning: an answer may have come long before the cancel's last request ended.
            self.aiming.closed.note(trace.client.info.account, ended.done, cancelled=cancelled, now_us=now_us)

    async def _read(self, trace: Trace, client: Client, call: Call) -> Response:
        """Take a call that changes nothing through steps 5, 6 and 8. It is recorded only after its answer."""
        try:
            response = await self._sent(trace, client, self._naming.to_send(client, call))
        except Unanswered as error:
            why = f"{error.what}; {error.hint}" if isinstance(error, TooLarge) else "the exchange did not answer"
            raise NotServed.unavailable(why) from error
        trace.note_outcome()
        self._journal.note(read_record(trace))
        return response

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
        halt = self._journal.halted(client.info.name, client.info.account, trace.orders)
        if halt is not None and halt.refuses(call.action):
            raise Halted.because(halt.reason, cancel_only=halt.cancel_only)
        now = self.snapshot.clients.get(client.info.api_key)
        if now is None or now.info.revoked:
            raise NotAuthentic(RefusalKind.INVALID_KEY, detail=f"client {client.info.name} was revoked while it waited")
        if trace.costs:
            counters = self._account(trace, client).pairs
            self.paces.require_share(client.info.name, call, trace.costs, counters)
            self.paces.count(client.info.name, trace.costs, counters)
            trace.costs = {}  # a cancel of several requests counts once

    def _relayed(self, trace: Trace, client: Client, call: Call, answer: WireAnswer) -> Response:
        """Step 8: return the venue's own answer with the client's names.

        Raises `NotServed` if the bytes are no answer of the venue's API, or names in them cannot be read.
        """
        result = trace.result
        assert result is not None  # noqa: S101 - set with the answer
        if result.outcome is Outcome.UNKNOWN and not result.errors:
            reason = f"the exchange answered HTTP {answer.status} and no result"
            raise NotServed.unavailable(f"{reason}; {UNKNOWN_OUTCOME}" if trace.recorded else reason)
        trace.errors = result.errors
        why = f"names in the exchange's answer do not read; {UNKNOWN_OUTCOME}"
        return relayed(trace.venue, self._naming.restored(trace.venue, client, call, answer, why))

    def _refuse(self, trace: Trace, refused: Refused, cause: Exception | None = None) -> Response:
        if trace.client is None and isinstance(refused, NotUnderstood):
            trace.client = self._authenticator.author(trace.request, trace.snapshot)
        trace.refused(refused, cause)
        if not trace.recorded and self._worth_a_record(trace, refusal_kind(refused)):
            self._journal.note(refusal_record(trace, refused))
        return trace.venue.refusal(refused, trace.call)

    def _own_answer(self, trace: Trace, client: Client, call: Call) -> Response:
        trace.outcome = Outcome.ACCEPTED
        if self._worth_a_record(trace, "read"):
            self._journal.note(read_record(trace))
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
            # Nobody else can have given our own new name to an older order, so a rough time does.
            venue_us=self._venue_time.earliest_us(client.info.account, rough=True),
        )

    def _parse(self, trace: Trace, client: Client, decoded: Decoded) -> Call:
        """Step 2: parse the call and add names of ours, by which an order can be looked up if its answer is lost.

        Raises `NotUnderstood`.
        """
        venue = trace.venue
        call = venue.parse(decoded)
        venue.require_timely(call, trace.started_us)
        return self._naming.named(venue, client.info.account, call)

    def _new_id(self, now_us: int) -> str:
        """Return a unique id that sorts by time: 14 hex digits of microseconds, then 8 random ones."""
        return f"{now_us:014x}{self._randomness.getrandbits(32):08x}"


def _lacks_an_id(call: Call, placed: Mapping[OrderRef, Sequence[PlacedOrder]]) -> bool:
    """Return whether the call names an order by a venue id that no order in ``placed`` has."""
    return any(ref.kind == "venue-id" and not placed[ref] for ref in call.targets)
