"""Steps 5 and 6: signs a call with a credential of its account and forwards it; also measures the venue's clock.

A look-up must tell whether an order was opened before an intent was sent. Only the venue's own clock can tell. So each
intent notes the earliest time that the venue's clock can have shown then. That time is calculated from our monotonic
clock, because our wall clock may be wrong or may be set later.

The venue cuts its time to a unit, such as whole seconds. An order that somebody else placed within the same second must
not be taken for the bot's. So we ask several times, each time when the answer halves the doubt, until it is about as
small as the time that one answer takes. Until then the bounds so far leave out whatever lies between them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

from signer.contracts import Clock, Turn, Upstream, Venue
from signer.errors import ExportUnderWay, KeyStoreError, LaneStopped, NotSent, NotServed, RefusalKind, VenueError
from signer.gateway.credential import Credential, Hearing, roles_of
from signer.lanes.shares import PairCounters
from signer.model import Action, Call, Priority, Response, VenueResult, WireAnswer, WireRequest
from signer.model.immutable import immutable
from signer.model.quiet import QuietAsked

PRIORITIES = {
    Action.CANCEL: Priority.CANCEL,
    Action.ORDER: Priority.ORDER,
    Action.WRITE: Priority.ORDER,
    Action.READ: Priority.READ,
}

OVER_SHARE = "this client has used its share of what the exchange allows; nothing was sent"


@dataclass(slots=True)
class Journey:
    """How far one call got. A handler of an exception sees here whether the call was sent."""

    credential: str = ""
    nonce: int = 0
    after: int = 0
    """The previous nonce of the same credential (`Turn.after`)."""
    sent: bool = False
    """True as soon as bytes may have left. From then on a missing answer means *unknown*."""
    turn_us: int = 0
    sent_us: int = 0
    answered_us: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """An account at a venue, with its credentials and the connections to its origin."""

    name: str
    venue: Venue
    credentials: Sequence[Credential]
    upstream: Upstream
    call_seconds: float
    clock: Clock
    hearing: Hearing
    """Takes in what the venue's answers mean for the credentials."""
    pairs: PairCounters = field(default_factory=PairCounters)
    """The venue's order counters, by pair."""

    async def forward(
        self,
        venue: Venue,
        call: Call,
        client: str,
        journey: Journey,
        check: Callable[[], None],
        credential: Credential | None = None,
        *,
        brake: bool = False,
    ) -> tuple[WireAnswer, VenueResult]:
        """Send ``call`` once and read its answer. The turn in the lane is held from nonce to answer.

        The call uses ``client``'s share of the least busy suitable credential. A given ``credential`` is used instead,
        even if its lane is stopped, to ask the venue about that credential. ``check`` is called inside the turn, before
        signing and before bytes leave. It raises `Refused` if the client was halted or revoked while the call waited. A
        ``brake`` is an operator's cancel, which goes before all other calls.

        Raises `NotServed` if nothing was sent, and `Unanswered` if the outcome is unknown. ``journey`` tells the two
        apart at any moment, even if this task is cancelled.
        """
        deadline = self.clock.monotonic() + self.call_seconds
        if credential is not None:
            return await self._asked_by(credential, venue, call, client, journey, check, deadline)
        priority = Priority.BRAKE if brake else PRIORITIES[call.action]
        while True:
            chosen = self._chosen(venue, call, client, brake=brake)
            journey.credential = chosen.name
            try:
                async with chosen.lane.turn(client, priority, deadline) as turn:
                    if not self._count_in_turn(chosen, call, client, venue.read_cost(call), check):
                        continue
                    answer, result = await self._exchange(venue, call, chosen, turn, journey, check)
            except LaneStopped:  # the lane was stopped before the turn began, so nothing was sent
                continue
            if result.bad_key and call.action is Action.CANCEL and self._able(call):
                journey.sent = False  # the venue refused the key and did nothing, so another key may cancel
                continue
            return answer, result

    def require_place(self, call: Call, client: str) -> None:
        """Raise `NotServed` if no lane has a place for the call now.

        Call this before the call's charges are held and it is recorded, so that a flood is refused without disk writes.
        """
        able = self._able(call)
        if able and not any(one.lane.has_place(client, PRIORITIES[call.action]) for one in able):
            raise NotServed.unavailable("too many calls of this client are waiting already; nothing was sent")

    def _count_in_turn(
        self, chosen: Credential, call: Call, client: str, cost: float, check: Callable[[], None]
    ) -> bool:
        """Count the call against the client's share of the key, just before it is signed.

        False if the venue refused the key or asked for quiet while the call waited. Raises `NotServed` if other calls
        have used the share meanwhile, and what ``check`` raises.
        """
        now = self.clock.monotonic()
        if not chosen.admits(call.action) or self._held_back(chosen, call, now):
            return False
        check()
        if not chosen.fits(client, cost, now):
            raise _over_share()
        chosen.count(client, cost, now)
        return True

    async def _asked_by(
        self,
        credential: Credential,
        venue: Venue,
        call: Call,
        client: str,
        journey: Journey,
        check: Callable[[], None],
        deadline: float,
    ) -> tuple[WireAnswer, VenueResult]:
        """Send a question about ``credential`` itself. Only a lockout holds it back."""
        journey.credential = credential.name
        async with credential.lane.turn(client, PRIORITIES[call.action], deadline, even_if_stopped=True) as turn:
            now = self.clock.monotonic()
            asked = self.hearing.quiet.holds_back_own(now)
            if asked is not None:
                raise self._quiet(asked)
            check()
            credential.count(client, venue.read_cost(call), now)
            return await self._exchange(venue, call, credential, turn, journey, check)

    def credential(self, name: str) -> Credential | None:
        """Return the credential ``name``; None if the account has none of that name."""
        return next((credential for credential in self.credentials if credential.name == name), None)

    def wait_for_own(self, venue: Venue, call: Call) -> float:
        """Return the seconds until a question of our own has room in the read counter of a suitable key; 0 if now."""
        cost, now = venue.read_cost(call), self.clock.monotonic()
        return min((one.reads.wait_for_own(cost, now) for one in self._able(call)), default=0.0)

    def _able(self, call: Call) -> list[Credential]:
        """Return the usable credentials of the first role for this call that has any.

        If no credential of these roles is usable, a cancel may use every key that has the permission for it.
        """
        for role in roles_of(call):
            able = [one for one in self.credentials if one.role is role and one.admits(call.action)]
            if able and call.action is Action.CANCEL:
                return [one for one in able if one.may(call)] or able
            if able:
                return able
        if call.action is not Action.CANCEL:
            return []
        return [one for one in self.credentials if one.admits(call.action) and one.may(call)]

    def _chosen(self, venue: Venue, call: Call, client: str, *, brake: bool) -> Credential:
        """Return the least busy credential that has room for the call. Raises `NotServed` if there is none.

        The venue counts requests and nonces for each key by itself.
        """
        now, cost = self.clock.monotonic(), venue.read_cost(call)
        able = self._able(call)
        heard = [one for one in able if self._held_back(one, call, now) is None]
        fit = [one for one in heard if one.fits(client, cost, now)]
        if fit:
            chosen = min(fit, key=lambda one: one.lane.load)
            slowed = None if brake else self._slowed(chosen, call, client, now)
            if slowed is None:
                return chosen
            raise self._quiet(slowed)
        if heard:
            raise _over_share()
        for one in able:
            if asked := self._held_back(one, call, now):
                raise self._quiet(asked)
        raise NotServed.unavailable(
            f"account {self.name} has no key that may do this now{self._why()}; nothing was sent"
        )

    def _why(self) -> str:
        """Return for bots, in a few words, why no key is usable; empty if that is not known."""
        if paused := [one.name for one in self.credentials if one.word == "paused"]:
            return f": {', '.join(paused)} is paused until the exchange says that the key is good"
        unproven = any(one.word == "unproven" for one in self.credentials)
        return ": the exchange has not said yet what it may do" if unproven else ""

    async def _exchange(
        self, venue: Venue, call: Call, credential: Credential, turn: Turn, journey: Journey, check: Callable[[], None]
    ) -> tuple[WireAnswer, VenueResult]:
        journey.turn_us, journey.nonce, journey.after = self.clock.now_us(), turn.nonce, turn.after
        request, message = venue.encode(call, turn.nonce or journey.turn_us, credential.api_key)
        signed = venue.signed(request, await self._signature(credential, message), credential.key.passphrase)
        answer = await self._send(signed, journey, check)
        result = venue.read_answer(call, answer)
        if result.bad_nonce:
            turn.nonce_refused()
        asked = venue.asked_for_quiet(call, answer, result, self.clock.now_us())
        self.hearing.heard(credential, self.credentials, result, asked)
        return answer, result

    def _held_back(self, credential: Credential, call: Call, now: float) -> QuietAsked | None:
        """Return the venue's request for quiet that holds back a client's call; None if there is none."""
        return self.hearing.quiet.holds_back(call.action, now) or credential.quiet.holds_back(call.action, now)

    def _slowed(self, credential: Credential, call: Call, client: str, now: float) -> QuietAsked | None:
        """Return the request for quiet that slows down this cancel; None if the cancel may go now."""
        if call.action is not Action.CANCEL:
            return None
        return self.hearing.quiet.slows_cancel(client, now) or credential.quiet.slows_cancel(client, now)

    def _quiet(self, asked: QuietAsked) -> NotServed:
        return NotServed(
            RefusalKind.QUIET,
            "the exchange has asked for quiet; nothing was sent",
            rules=("quiet",),
            venue_words=asked.words,
        )

    async def _signature(self, credential: Credential, message: bytes) -> bytes:
        try:
            return await credential.key.sign(message)
        except KeyStoreError as error:
            raise NotServed.unavailable("the signing key cannot be used now; nothing was sent") from error

    async def _send(self, request: WireRequest, journey: Journey, check: Callable[[], None]) -> WireAnswer:
        """Send the request. Try a second time only if no byte of the first attempt left."""
        deadline = self.clock.monotonic() + self.call_seconds
        for attempts_left in (1, 0):
            check()  # again: a key store or the first attempt may have taken seconds
            journey.sent, journey.sent_us = True, self.clock.now_us()
            try:
                answer = await self.upstream.send(request, deadline)
            except ExportUnderWay as error:
                journey.sent = False
                raise NotServed.unavailable(f"{error.what}; nothing was sent") from error
            except NotSent as error:
                journey.sent = False
                if not attempts_left:
                    raise NotServed.unavailable("the exchange cannot be reached; nothing was sent") from error
            else:
                journey.answered_us = self.clock.now_us()
                return answer
        raise AssertionError("unreachable")


def _over_share() -> NotServed:
    return NotServed(RefusalKind.RATE_LIMITED, OVER_SHARE, rules=("fair-share",))


def relayed(venue: Venue, answer: WireAnswer) -> Response:
    """Return the venue's answer for the client: status, body, and the headers that ``venue`` lets through."""
    headers = tuple(each for each in answer.headers if each[0] in venue.relayed_headers)
    return Response(answer.status, answer.content_type, answer.body, ours=False, headers=headers)


ASK_S = 3.0
AGAIN_S = 600.0
SECOND_US = 1_000_000
DRIFT = 20e-6
"""The highest drift between two clocks, as a share of the time; both are kept right by time servers."""
FINE_US = 1_000
MOST_ASKED = 14
"""The most questions of one measurement; each halves the doubt."""


@immutable
class Ahead:
    """How far the venue's clock is ahead of our monotonic one, in microseconds."""

    least: int
    most: int
    at: float
    """Our monotonic time, in seconds, when this was so."""

    @classmethod
    def shown(cls, shown_us: int, unit_us: int, asked: float, heard: float) -> Ahead:
        """Return the bounds that one answer gives.

        ``shown_us`` was cut to ``unit_us`` at some moment between ``asked`` and ``heard``.
        """
        return cls(shown_us - _us(heard), shown_us + unit_us - _us(asked), heard)

    def at_time(self, now: float) -> Ahead:
        """Return the bounds at ``now``, wider by the drift since then."""
        drift_us = _us((now - self.at) * DRIFT)
        return Ahead(self.least - drift_us, self.most + drift_us, now)

    def both(self, other: Ahead) -> Ahead:
        """Return the bounds that both give; ``other`` alone if they contradict each other, since a clock was set."""
        old = self.at_time(other.at)
        least, most = max(old.least, other.least), min(old.most, other.most)
        return Ahead(least, most, other.at) if least <= most else other

    def wait_s(self, now: float, way_s: float, unit_us: int) -> float:
        """Return the seconds to wait before a question that takes ``way_s`` to arrive, so that it halves the doubt."""
        middle_us = (self.least + self.most) // 2
        return -(_us(now + way_s) + middle_us) % unit_us / SECOND_US


@final
class VenueTime:
    """Knows how far each account's venue clock is ahead of ours."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead: dict[str, Ahead] = {}
        """The result of the last completed measurement, or else the bounds that the first one has found so far."""
        self._measured: dict[str, float] = {}
        """When the last measurement was completed."""
        self._answered: dict[str, asyncio.Event] = {}

    def is_due(self, account: str) -> bool:
        """Return whether the clock was not measured for `AGAIN_S`."""
        return self._clock.monotonic() - self._measured.get(account, float("-inf")) >= AGAIN_S

    async def measure(self, account: Account, venue: Venue) -> None:
        """Measure the venue's clock, which takes some seconds.

        Raises `SignerError` if the venue does not answer. The last measurement then stays in use.
        """
        known, way_s = await self._ask(account, venue)
        known = self._ahead[account.name].both(known) if account.name in self._ahead else known
        for _ in range(MOST_ASKED):
            if known.most - known.least <= FINE_US + _us(way_s):
                break
            self._take_rough(account.name, known)
            await asyncio.sleep(known.wait_s(self._clock.monotonic(), way_s / 2, venue.time_unit_us))
            told, took_s = await self._ask(account, venue)
            known, way_s = known.both(told), min(way_s, took_s)
        self._ahead[account.name] = known
        self._measured[account.name] = self._clock.monotonic()

    def _take_rough(self, account: str, known: Ahead) -> None:
        """Use the bounds of an unfinished measurement if there is no finished one, and wake those who wait for them."""
        if account not in self._measured:
            self._ahead[account] = known
        if event := self._answered.pop(account, None):
            event.set()

    async def answered(self, account: str) -> None:
        """Wait for the next answer of a measurement that is not its last. The measurement may end without one."""
        await self._answered.setdefault(account, asyncio.Event()).wait()

    async def _ask(self, account: Account, venue: Venue) -> tuple[Ahead, float]:
        """Return the bounds that one answer gives, and the seconds that it took."""
        asked = self._clock.monotonic()
        answer = await account.upstream.send(venue.time_request(), asked + ASK_S)
        shown_us, heard = venue.read_time(answer), self._clock.monotonic()
        return Ahead.shown(shown_us, venue.time_unit_us, asked, heard), heard - asked

    def earliest_us(self, account: str, *, rough: bool = False) -> int:
        """Return the earliest time that the venue's clock can show now; 0 if it was never measured.

        A ``rough`` time may come from an unfinished measurement, and is then up to a second earlier than need be.
        """
        if account not in (self._ahead if rough else self._measured):
            return 0
        return self._now_us(account)[0]

    def shown_at(self, account: str, at_us: int) -> tuple[int, int]:
        """Return the bounds of what the venue's clock showed when our wall clock showed ``at_us``.

        Both are the earliest time once the clock is measured, because the rest is no longer than an answer takes. This
        holds if nobody has set our clock since. Raises `VenueError` if the venue's clock was never heard.
        """
        if account not in self._ahead:
            raise VenueError("the exchange's clock is not known yet", hint="see that the exchange can be reached")
        (least, most), since_us = self._now_us(account), self._clock.now_us() - at_us
        return least - since_us, (least if account in self._measured else most) - since_us

    def _now_us(self, account: str) -> tuple[int, int]:
        now = self._clock.monotonic()
        ahead = self._ahead[account].at_time(now)
        return ahead.least + _us(now), ahead.most + _us(now)


def _us(seconds: float) -> int:
    return round(seconds * SECOND_US)
