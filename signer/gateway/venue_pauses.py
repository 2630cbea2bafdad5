"""What an answer of the venue means for the ways to it: a refused key, a request for quiet, and the end of either.

One for each account, as long-lived as its lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import final

from signer.contracts import Clock
from signer.gateway.credential import Credential, Quiet
from signer.model import Action, Outcome, Priority, VenueResult
from signer.model.quiet import QuietAsked, Reach

HELD_BACK = {
    Reach.ALL: "nothing is sent, no cancel either, until a question of ours is answered",
    Reach.CALLS: "nothing is sent but one cancel a second of each client",
    Reach.READS: "no read is sent; orders and cancels are",
}
HEARD = {Outcome.ACCEPTED, Outcome.REJECTED}
AWAY = {
    Reach.ALL: tuple(Priority),
    Reach.CALLS: (Priority.ORDER, Priority.READ),
    Reach.READS: (Priority.READ,),
}
"""Who is sent away from the lanes at once, rather than refused when the turn comes."""


def _nobody(*_: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who wants to know of it."""

    alarm: Callable[[str, str], None] = _nobody
    """What an operator should see: a short word for its kind, and a sentence."""
    on_record: Callable[[str, str, str, str], None] = _nobody
    """Record a pause in the audit log: account, credential (empty: all of the account), state, and a sentence."""
    paused: Callable[[str, Credential], None] = _nobody
    """Hear that the lane of a credential of this account is paused, so that its key is asked about."""
    locked: Callable[[str], None] = _nobody
    """An account is locked out, and is to be asked about when the time is over."""


@final
class Hearing:
    """Hears every answer of one account."""

    def __init__(self, account: str, clock: Clock, listeners: Listeners) -> None:
        self.quiet = Quiet()
        """What the venue does not want to hear of any key of the account."""
        self._account = account
        self._clock = clock
        self._listeners = listeners

    def heard(
        self, credential: Credential, credentials: Sequence[Credential], result: VenueResult, asked: QuietAsked | None
    ) -> None:
        """Take in the answer to a call that went by ``credential``, one of the account's ``credentials``."""
        if result.bad_key:
            self._key_refused(credential)
        if asked is not None:
            self._quiet_asked(credential, credentials, asked)
        elif self.quiet.locked and not self.quiet.left_s(self._clock.monotonic()) and result.outcome in HEARD:
            # Only a question that was sent when the time was over tells: others were on their way before.
            self.quiet.unlock()
            self._say("", "resumed", f"the exchange answers account {self._account} again")

    def resumed(self, credential: Credential) -> None:
        """The venue takes its key: the lane goes on."""
        if credential.lane.stopped:
            credential.lane.resume()
            self._say(credential.name, "resumed", f"the exchange takes the key of {credential.name} again")

    def stopped(self, credential: Credential) -> None:
        """The venue refuses its key again and again: not another call, since failures that repeat lock the account."""
        why = f"the exchange refuses the key of {credential.name}"
        credential.lane.stop(why)
        hint = f"see to it there, then `signer keys test {credential.name}` or `signer keys rotate {credential.name}`"
        self._say(credential.name, "stopped", f"{why} again and again, and no call goes by it any more; {hint}")

    def _key_refused(self, credential: Credential) -> None:
        """Pause the lane. A venue may say so without cause, so this alone ends nothing."""
        if credential.lane.stopped:
            return
        why = f"the exchange has refused the key of {credential.name}"
        credential.lane.pause(f"{why}, and is being asked about it")
        self._say(credential.name, "paused", f"{why}: no call goes by it until the exchange says that it is good")
        self._listeners.paused(self._account, credential)

    def _quiet_asked(self, credential: Credential, credentials: Sequence[Credential], asked: QuietAsked) -> None:
        now = self._clock.monotonic()
        if asked.reach is Reach.READS:
            credential.reads.fill(now)
        quiet = self.quiet if asked.whole_account else credential.quiet
        new = quiet.ask(asked, now)
        for each in credentials if asked.whole_account else [credential]:
            each.lane.send_away(*AWAY[asked.reach])
        if not new:
            return
        whom = f"account {self._account}" if asked.whole_account else credential.name
        told = f"the exchange asks {whom} for quiet until {self.until(quiet)} ({asked.words[0]})"
        self._say("" if asked.whole_account else credential.name, "quiet", f"{told}: {HELD_BACK[asked.reach]}")
        if asked.reach is Reach.ALL:
            self._listeners.locked(self._account)

    def not_ready_reason(self, credentials: Sequence[Credential]) -> str:
        """Why no order of the account would be sent now, if that is because the venue wants quiet; else empty."""
        now = self._clock.monotonic()
        quiets = [self.quiet, *(one.quiet for one in credentials if one.admits(Action.ORDER))]
        held = [quiet for quiet in quiets if quiet.holds_back(Action.ORDER, now)]
        if (self.quiet not in held and len(held) < len(quiets) - 1) or not held:
            return ""
        return f"the exchange asks account {self._account} for quiet until {self.until(held[0])}"

    def left_s(self, quiet: Quiet) -> float:
        """Seconds until ``quiet`` ends; 0 if nothing is held back."""
        return quiet.left_s(self._clock.monotonic())

    def until(self, quiet: Quiet) -> str:
        """When ``quiet`` ends, for people."""
        ends = self._clock.now_us() / 1_000_000 + self.left_s(quiet)
        return datetime.fromtimestamp(ends, UTC).strftime("%H:%M:%S UTC")

    def _say(self, credential: str, state: str, text: str) -> None:
        self._listeners.alarm({"paused": "key-refused", "stopped": "key-refused"}.get(state, state), text)
        self._listeners.on_record(self._account, credential, state, text)
