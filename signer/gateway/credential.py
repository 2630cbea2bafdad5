"""A real venue key: whether a call may go by it now, and what the venue's answers mean for it and its account.

An answer may refuse the key, or ask for quiet of one key or of all keys of the account. What is known lasts as long as
the lanes of the account.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import final

from signer.contracts import Clock, Lane, SigningKey
from signer.findings import Finding, Weight
from signer.lanes.shares import SharedCounter
from signer.model import Action, Call, KeyInfo, Outcome, Priority, Role, VenueResult
from signer.model.quiet import QuietAsked, Reach
from signer.secret import Secret

OURS = "@"
"""How the names of those begin who ask for the gateway itself; no client's name has it."""


FUNDING = frozenset({"add-funds", "withdraw-funds"})
"""Permissions that make a call one for a credential of that role."""

LEAST_S = 1.0
MOST_S = 900.0
"""Bounds of a time that the venue states, because its clock may differ from ours, and an answer may be forged."""
MOST_GUESSED_S = 300.0
"""The most if it states none: each request within a minute of the last one doubles the time."""
REPEATED_WITHIN_S = 60.0
CANCEL_EVERY_S = 1.0
"""While calls are held back, each client may cancel once in this time."""
PROBE_EVERY_S = 60.0
"""After a lockout the gateway asks once in this time until it gets an answer."""


@dataclass(slots=True)
class _Held:
    asked: QuietAsked
    until: float
    """Monotonic seconds."""
    for_s: float
    next_probe: float = 0.0


@final
class Quiet:
    """Holds calls back while the venue asks for quiet, for one key or for one account.

    Each call during a lockout begins it anew (docs/kraken.md §3), and calls after *too fast* prolong the limit. So such
    calls are answered at once with the venue's words. ``now`` is in seconds that never go back.
    """

    def __init__(self) -> None:
        self._held: dict[Reach, _Held] = {}
        self._next_cancel: dict[str, float] = {}

    def ask(self, asked: QuietAsked, now: float) -> bool:
        """Obey a request, and return whether it is new, not one that continues."""
        before = self._held.get(asked.reach)
        new = before is None or (asked.reach is not Reach.ALL and before.until <= now)
        for_s = _seconds(asked, before, now)
        until = now + for_s if before is None else max(before.until, now + for_s)
        self._held[asked.reach] = _Held(asked, until, for_s, until)
        return new

    def holds_back(self, action: Action, now: float) -> QuietAsked | None:
        """Return the request that holds back a client's call, None if there is none."""
        for reach, held in self._held.items():
            if (reach is Reach.ALL or now < held.until) and _reaches(reach, action):
                return held.asked
        return None

    def slows_cancel(self, client: str, now: float) -> QuietAsked | None:
        """Return the request that holds back this cancel, None if it may go."""
        held = self._held.get(Reach.CALLS)
        if held is None or now >= held.until:
            return None
        if now < self._next_cancel.get(client, 0.0):
            return held.asked
        self._next_cancel[client] = now + CANCEL_EVERY_S
        return None

    def holds_back_own(self, now: float) -> QuietAsked | None:
        """Return the request that holds back the gateway's own question. During a lockout one may go each minute."""
        held = self._held.get(Reach.ALL)
        if held is None:
            return None
        if now < held.next_probe:
            return held.asked
        held.next_probe = now + PROBE_EVERY_S
        return None

    @property
    def locked(self) -> bool:
        """Whether a lockout is in force."""
        return Reach.ALL in self._held

    def unlock(self) -> None:
        """End the lockout, because a question of the gateway's own was answered."""
        self._held.pop(Reach.ALL, None)

    def left_s(self, now: float) -> float:
        """Return the seconds until no call is held back; 0 if none is now."""
        return max((max(0.0, held.until - now) for held in self._held.values()), default=0.0)


def _reaches(reach: Reach, action: Action) -> bool:
    if reach is Reach.READS:
        return action in {Action.READ, Action.WRITE}
    return reach is Reach.ALL or action is not Action.CANCEL


def _seconds(asked: QuietAsked, before: _Held | None, now: float) -> float:
    if asked.stated_s is not None:
        return min(max(asked.stated_s, LEAST_S), MOST_S)
    if asked.reach is Reach.ALL or before is None or now - before.until > REPEATED_WITHIN_S:
        return asked.for_s
    if now < before.until:  # the answer to a call that was under way already
        return before.for_s
    return min(before.for_s * 2, MOST_GUESSED_S)


@dataclass(slots=True)
class KeyStatus:
    """What is known of one real key, and so which calls may go by it. Nothing is known of a new one."""

    key: KeyInfo | None = None
    """What the venue last said of it."""
    due: bool = True
    """Whether it is to be asked about now: it was not, or without an answer."""
    moved: bool = False
    """Whether its nonce moved without us, when it was last asked."""
    findings: tuple[Finding, ...] = ()
    refused: bool = False
    """Whether no call of a client may go by it."""

    def found(self, findings: tuple[Finding, ...]) -> None:
        """Take these findings in the place of earlier ones."""
        self.findings = findings
        self.refused = any(finding.weight is Weight.REFUSED for finding in findings)

    def admits(self, action: Action) -> bool:
        """Whether a client's call that does ``action`` may go by it: reads alone, while it is not proven."""
        return not self.refused and (self.key is not None or action is Action.READ)

    @property
    def word(self) -> str:
        """``refused``, ``proven`` or ``unproven``."""
        return "refused" if self.refused else "unproven" if self.key is None else "proven"


@dataclass(frozen=True, slots=True)
class Credential:
    """A real venue key: its public half, the handle that signs, and the lane its nonces leave by."""

    name: str
    api_key: str = field(repr=False)
    key: SigningKey
    lane: Lane
    role: Role = Role.TRADE
    status: KeyStatus = field(default_factory=KeyStatus)
    reads: SharedCounter = field(default_factory=SharedCounter)
    """The venue's counter of this key, for all calls that do not concern orders."""
    quiet: Quiet = field(default_factory=Quiet)
    """What the venue does not want to hear of this key for a while."""
    passphrase: Secret | None = None
    """What the venue wants beside the signature; None where it wants nothing."""

    def admits(self, action: Action) -> bool:
        """Whether the lane and what is known of the key let a client's call go by it that does ``action``."""
        return not self.lane.stopped and self.status.admits(action)

    def may(self, call: Call) -> bool:
        """Whether the key has what the venue wants for ``call``, as far as the venue has said what it has."""
        held = frozenset(self.status.key.permissions) if self.status.key else frozenset()
        return all(need & held for need in call.needs)

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
        """``paused`` or ``stopped`` if the venue refuses it; else that of its standing."""
        if self.lane.stopped:
            return "paused" if self.lane.paused else "stopped"
        return self.status.word


def roles_of(call: Call) -> tuple[Role, ...]:
    """Whose credentials may sign such a call, those that are meant for it first."""
    if any(words & FUNDING for words in call.needs):
        return (Role.FUNDING, Role.TRADE)
    return (Role.READ, Role.TRADE) if call.action is Action.READ else (Role.TRADE,)


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
