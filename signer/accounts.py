"""Steps 6 and 7: the ways to the venue that an account has, and one call's journey along one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from signer.contracts import Clock, Lane, SigningKey, Upstream, Venue
from signer.errors import KeyStoreError, NotSent
from signer.model import Action, Call, Priority, Verdict, WireAnswer, WireRequest

PRIORITIES = {
    Action.CANCEL: Priority.CANCEL,
    Action.ORDER: Priority.ORDER,
    Action.WRITE: Priority.ORDER,
    Action.READ: Priority.READ,
}


@dataclass(frozen=True, slots=True)
class Credential:
    """A real venue key: its public half, the handle that signs, and the lane its nonces leave by."""

    name: str
    api_key: str = field(repr=False)
    key: SigningKey
    lane: Lane


@dataclass(slots=True)
class Journey:
    """How far one call got on its way. Whoever catches an exception can tell what it means for the call."""

    credential: str = ""
    nonce: int = 0
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

        By ``credential`` if that matters.

        ``check`` is asked inside the turn, at the last moment before signing, and raises `Refused` if the call may not
        go any more (halted or revoked while it waited). Raises `NotServed` (no turn, no signature or not sent: nothing
        left) or `Unanswered` (the outcome is unknown); ``journey`` tells which at any moment, even if we are cancelled.
        """
        credential = credential or self._chosen(venue)
        journey.credential = credential.name
        deadline = self.clock.monotonic() + self.call_seconds
        async with credential.lane.turn(client, PRIORITIES[call.action], deadline) as turn:
            check()
            journey.turn_us, journey.nonce = self.clock.now_us(), turn.nonce
            request, message = venue.encode(call, turn.nonce)
            signed = venue.signed(request, credential.api_key, await self._signature(credential, message, venue))
            answer = await self._send(signed, journey, venue)
            verdict = venue.read_answer(call, answer)
            if verdict.bad_nonce:
                turn.nonce_refused()
            return answer, verdict

    def credential(self, name: str) -> Credential | None:
        """The credential of that name, if the account has it."""
        return next((credential for credential in self.credentials if credential.name == name), None)

    def _chosen(self, venue: Venue) -> Credential:
        if not self.credentials:
            raise venue.not_served(f"account {self.name} has no key; nothing was sent")
        return self.credentials[0]

    async def _signature(self, credential: Credential, message: bytes, venue: Venue) -> bytes:
        try:
            return await credential.key.sign(message)
        except KeyStoreError as error:
            raise venue.not_served("the signing key cannot be used now; nothing was sent") from error

    async def _send(self, request: WireRequest, journey: Journey, venue: Venue) -> WireAnswer:
        """One attempt, and a second only if not one byte of the first left."""
        for attempts_left in (1, 0):
            journey.sent, journey.sent_us = True, self.clock.now_us()
            try:
                answer = await self.upstream.send(request, self.clock.monotonic() + self.call_seconds)
            except NotSent as error:
                journey.sent = False
                if not attempts_left:
                    raise venue.not_served("the exchange cannot be reached; nothing was sent") from error
            else:
                journey.answered_us = self.clock.now_us()
                return answer
        raise AssertionError("unreachable")
