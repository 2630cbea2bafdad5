"""Steps 6 and 7: the ways to the venue that an account has, and one call's journey along one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from signer.contracts import Clock, Lane, SigningKey, Turn, Upstream, Venue
from signer.errors import KeyStoreError, LaneStopped, NotSent
from signer.lanes.counters import SharedCounter
from signer.model import Action, Call, Priority, Role, Verdict, WireAnswer, WireRequest
from signer.standing import Standing, roles_of

PRIORITIES = {
    Action.CANCEL: Priority.CANCEL,
    Action.ORDER: Priority.ORDER,
    Action.WRITE: Priority.ORDER,
    Action.READ: Priority.READ,
}

OURS = "@"
"""How the names of those begin who ask for the gateway itself; no client's name has it."""
OVER_SHARE = "this client has used its share of what the exchange allows; nothing was sent"


@dataclass(frozen=True, slots=True)
class Credential:
    """A real venue key: its public half, the handle that signs, and the lane its nonces leave by."""

    name: str
    api_key: str = field(repr=False)
    key: SigningKey
    lane: Lane
    role: Role = Role.TRADE
    standing: Standing = field(default_factory=Standing)
    reads: SharedCounter = field(default_factory=SharedCounter)
    """The venue's counter of this key, for all calls that do not concern orders."""

    def admits(self, action: Action) -> bool:
        """Whether a client's call that does ``action`` may go by it now."""
        return not self.lane.stopped and self.standing.admits(action)

    def fits(self, client: str, cost: float, now: float) -> bool:
        """Whether the venue's counter has room for a call of ``client`` that costs so much."""
        if not cost:
            return True
        if client.startswith(OURS):
            return not self.reads.wait_for_own(cost, now)
        return self.reads.fits(client, cost, now)

    def count(self, client: str, cost: float, now: float) -> None:
        """Count a call that is about to be sent."""
        if client.startswith(OURS):
            self.reads.add_own(cost, now)
        else:
            self.reads.add(client, cost, now)

    @property
    def word(self) -> str:
        """``stopped`` if the venue refuses it; else that of its standing."""
        return "stopped" if self.lane.stopped else self.standing.word


@dataclass(slots=True)
class Journey:
    """How far one call got on its way. Whoever catches an exception can tell what it means for the call."""

    credential: str = ""
    nonce: int = 0
    after: int = 0
    """The nonce before it on its credential (`Turn.after`)."""
    sent: bool = False
    """True from the moment at which bytes may have left: from then on no answer means *unknown*."""
    turn_us: int = 0
    sent_us: int = 0
    answered_us: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """Money at a venue, with its credentials and the connection to its origin."""

    name: str
    credentials: Sequence[Credential]
    upstream: Upstream
    call_seconds: float
    clock: Clock
    on_alarm: Callable[[str, str], None]
    """Hears of what an operator should see: a short word for its kind, and a sentence."""

    async def forward(
        self,
        venue: Venue,
        call: Call,
        client: str,
        journey: Journey,
        check: Callable[[], None],
        credential: Credential | None = None,
    ) -> tuple[WireAnswer, Verdict]:
        """Send ``call`` once and read its answer; the turn in the lane is held from nonce to answer.

        By ``credential`` to ask about it, whatever is known of it and though its lane be stopped; else by the least
        busy of those for such calls that have room for it: ``client`` is whose share it uses. ``check`` is asked inside
        the turn, at the last moment before signing, and raises `Refused` if the call may not go any more (halted or
        revoked while it waited). Raises `NotServed` (no turn, no share, no signature or not sent: nothing left) or
        `Unanswered` (the outcome is unknown); ``journey`` tells which at any moment, even if we are cancelled.
        """
        deadline = self.clock.monotonic() + self.call_seconds
        while True:
            chosen = credential or self._chosen(venue, call, client)
            journey.credential = chosen.name
            try:
                asked = credential is not None
                priority = PRIORITIES[call.action]
                async with chosen.lane.turn(client, priority, deadline, though_stopped=asked) as turn:
                    if credential is None and not chosen.admits(call.action):
                        continue  # refused while the call waited
                    check()
                    cost, now = venue.read_cost(call), self.clock.monotonic()
                    if credential is None and not chosen.fits(client, cost, now):  # others have called while it waited
                        raise venue.rate_limited(call, OVER_SHARE)
                    chosen.count(client, cost, now)
                    return await self._exchange(venue, call, chosen, turn, journey)
            except LaneStopped:  # while it waited, or between the choice and the turn: nothing was sent
                if credential is not None:
                    raise

    def credential(self, name: str) -> Credential | None:
        """The credential of that name, if the account has it."""
        return next((credential for credential in self.credentials if credential.name == name), None)

    def wait_for_own(self, venue: Venue, call: Call) -> float:
        """Seconds until a question of our own has room in the counter of some key that may ask it; 0 if it has now."""
        cost, now = venue.read_cost(call), self.clock.monotonic()
        return min((one.reads.wait_for_own(cost, now) for one in self._able(call)), default=0.0)

    def _able(self, call: Call) -> list[Credential]:
        """The credentials of the first role that has any which admit the call now."""
        for role in roles_of(call):
            able = [one for one in self.credentials if one.role is role and one.admits(call.action)]
            if able:
                return able
        return []

    def _chosen(self, venue: Venue, call: Call, client: str) -> Credential:
        """The least busy that has room for the call. The venue counts requests and nonces for each key."""
        able, cost, now = self._able(call), venue.read_cost(call), self.clock.monotonic()
        fit = [one for one in able if one.fits(client, cost, now)]
        if fit:
            return min(fit, key=lambda one: one.lane.load)
        if able:
            raise venue.rate_limited(call, OVER_SHARE)
        unproven = any(one.word == "unproven" for one in self.credentials)
        why = ": the exchange has not said yet what it may do" if unproven else ""
        raise venue.not_served(f"account {self.name} has no key that may do this now{why}; nothing was sent")

    async def _exchange(
        self, venue: Venue, call: Call, credential: Credential, turn: Turn, journey: Journey
    ) -> tuple[WireAnswer, Verdict]:
        journey.turn_us, journey.nonce, journey.after = self.clock.now_us(), turn.nonce, turn.after
        request, message = venue.encode(call, turn.nonce)
        signed = venue.signed(request, credential.api_key, await self._signature(credential, message, venue))
        answer = await self._send(signed, journey, venue)
        verdict = venue.read_answer(call, answer)
        if verdict.bad_nonce:
            turn.nonce_refused()
        if verdict.bad_key:
            self._stop(credential)
        return answer, verdict

    def _stop(self, credential: Credential) -> None:
        """Not another call: failures that repeat lock the whole account (kraken-api.md §3)."""
        why = f"the exchange refuses the key of {credential.name}"
        credential.lane.stop(why)
        mend = f"see to it there, then `signer keys test {credential.name}` or `signer keys rotate {credential.name}`"
        self.on_alarm("key-refused", f"{why}, and no call goes by it any more; {mend}")

    async def _signature(self, credential: Credential, message: bytes, venue: Venue) -> bytes:
        try:
            return await credential.key.sign(message)
        except KeyStoreError as error:
            raise venue.not_served("the signing key cannot be used now; nothing was sent") from error

    async def _send(self, request: WireRequest, journey: Journey, venue: Venue) -> WireAnswer:
        """One attempt, and a second only if not one byte of the first left."""
        deadline = self.clock.monotonic() + self.call_seconds
        for attempts_left in (1, 0):
            journey.sent, journey.sent_us = True, self.clock.now_us()
            try:
                answer = await self.upstream.send(request, deadline)
            except NotSent as error:
                journey.sent = False
                if not attempts_left:
                    raise venue.not_served("the exchange cannot be reached; nothing was sent") from error
            else:
                journey.answered_us = self.clock.now_us()
                return answer
        raise AssertionError("unreachable")
