"""A real venue key: which calls may use it now, and what the venue's answers mean for it and its account.

An answer may refuse the key. It may also ask for quiet, of one key or of all keys of the account. This knowledge lasts
as long as the account's lanes.
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

OURS = "@"
"""The first character of the names under which the gateway itself asks the venue; no client's name has it."""


FUNDING = frozenset({"add-funds", "withdraw-funds"})
"""A call that needs one of these permissions goes by a credential of the role funding."""

LEAST_S = 1.0
MOST_S = 900.0
"""The most quiet that the venue can ask for by a stated time; its clock may differ from ours, or its answer be forged.

`LEAST_S` is the least."""
MOST_GUESSED_S = 300.0
"""The most quiet if the venue states no time. Each request within a minute of the last one doubles the time."""
REPEATED_WITHIN_S = 60.0
CANCEL_EVERY_S = 1.0
"""While calls are held back, each client may send one cancel per this time."""
PROBE_EVERY_S = 60.0
"""After a lockout's time the gateway asks once per this time until it gets an answer."""


@dataclass(slots=True)
class _Held:
    asked: QuietAsked
    until: float
    """Monotonic seconds."""
    for_s: float
    next_probe: float = 0.0


@final
class Quiet:
    """Holds calls back while the venue asks for quiet of one key or one account.

    Each call during a lockout begins the lockout anew (docs/kraken.md §3). Calls after *too fast* prolong the limit. So
    such calls are answered at once with the venue's words. ``now`` is monotonic, in seconds.
    """

    def __init__(self) -> None:
        self._held: dict[Reach, _Held] = {}
        self._next_cancel: dict[str, float] = {}

    def ask(self, asked: QuietAsked, now: float) -> bool:
        """Obey a request for quiet. Return whether it is new and does not prolong one in force."""
        before = self._held.get(asked.reach)
        new = before is None or (asked.reach is not Reach.ALL and before.until <= now)
        for_s = _seconds(asked, before, now)
        until = now + for_s if before is None else max(before.until, now + for_s)
        self._held[asked.reach] = _Held(asked, until, for_s, until)
        return new

    def holds_back(self, action: Action, now: float) -> QuietAsked | None:
        """Return the request for quiet that holds back a client's call; None if there is none."""
        for reach, held in self._held.items():
            if (reach is Reach.ALL or now < held.until) and _reaches(reach, action):
                return held.asked
        return None

    def slows_cancel(self, client: str, now: float) -> QuietAsked | None:
        """Return the request for quiet that holds back this cancel; None if it may go."""
        held = self._held.get(Reach.CALLS)
        if held is None or now >= held.until:
            return None
        if now < self._next_cancel.get(client, 0.0):
            return held.asked
        self._next_cancel[client] = now + CANCEL_EVERY_S
        return None

    def holds_back_own(self, now: float) -> QuietAsked | None:
        """Return the request for quiet that holds back the gateway's own question; None if it may go.

        After a lockout's time one question may go each minute.
        """
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
        """End the lockout, because the venue has answered again."""
        self._held.pop(Reach.ALL, None)

    def left_s(self, now: float) -> float:
        """Return the seconds until no call is held back; 0 if none is held back now."""
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
    """What is known of one real key, and so which calls may use it. Nothing is known of a new key."""

    key: KeyInfo | None = None
    """What the venue last said of it."""
    due: bool = True
    """Whether the venue is to be asked about it now, because no answer has come yet."""
    moved: bool = False
    """Whether its nonce had moved without us when the venue was last asked."""
    findings: tuple[Finding, ...] = ()
    refused: bool = False
    """Whether clients' calls may not use it."""

    def found(self, findings: tuple[Finding, ...]) -> None:
        """Replace the findings of the last check by these."""
        self.findings = findings
        self.refused = any(finding.weight is Weight.REFUSED for finding in findings)

    def admits(self, action: Action) -> bool:
        """Return whether a client's call that does ``action`` may use it. An unproven key serves reads only."""
        return not self.refused and (self.key is not None or action is Action.READ)

    @property
    def word(self) -> str:
        """The status in one word: ``refused``, ``proven`` or ``unproven``."""
        return "refused" if self.refused else "unproven" if self.key is None else "proven"


@dataclass(frozen=True, slots=True)
class Credential:
    """A real venue key: its API key, the handle that signs, and the lane that its calls go by."""

    name: str
    api_key: str = field(repr=False)
    key: SigningKey
    lane: Lane
    role: Role = Role.TRADE
    status: KeyStatus = field(default_factory=KeyStatus)
    reads: SharedCounter = field(default_factory=SharedCounter)
    """The venue's counter for this key, of all calls but those about orders."""
    quiet: Quiet = field(default_factory=Quiet)
    """The venue's requests for quiet of this key."""

    def admits(self, action: Action) -> bool:
        """Return whether lane and status let a client's call that does ``action`` use this key."""
        return not self.lane.stopped and self.status.admits(action)

    def may(self, call: Call) -> bool:
        """Return whether the key has the permissions for ``call``, by what the venue has said of it."""
        held = frozenset(self.status.key.permissions) if self.status.key else frozenset()
        return all(need & held for need in call.needs)

    def fits(self, client: str, cost: float, now: float) -> bool:
        """Return whether the venue's read counter has room for a call of ``client`` with this cost."""
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
        """The state in one word: ``paused`` or ``stopped`` if the venue refuses the key, else its status."""
        if self.lane.stopped:
            return "paused" if self.lane.paused else "stopped"
        return self.status.word


def roles_of(call: Call) -> tuple[Role, ...]:
    """Return the roles whose credentials may sign ``call``, the intended role first."""
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
"""The calls that leave the queue at once when the venue asks for quiet, by their priority."""


def _nobody(*_: object) -> None:
    """Ignore a call to a listener that was not given."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told what the venue's answers mean for the keys."""

    alarm: Callable[[str, str], None] = _nobody
    """Tell the operator: a short word for the kind, and a sentence."""
    on_record: Callable[[str, str, str, str], None] = _nobody
    """Write to the audit log: account, credential (empty for the whole account), state, and a sentence."""
    paused: Callable[[str, Credential], None] = _nobody
    """Ask about the key of this account's credential, because its lane is paused."""
    locked: Callable[[str], None] = _nobody
    """Ask about this account when its lockout is over."""


@final
class Hearing:
    """Takes in every answer of the venue to one account."""

    def __init__(self, account: str, clock: Clock, listeners: Listeners) -> None:
        self.quiet = Quiet()
        """The venue's requests for quiet of all keys of the account."""
        self._account = account
        self._clock = clock
        self._listeners = listeners

    def heard(
        self, credential: Credential, credentials: Sequence[Credential], result: VenueResult, asked: QuietAsked | None
    ) -> None:
        """Take in the answer to a call that used ``credential``, one of the account's ``credentials``."""
        if result.bad_key:
            self._key_refused(credential)
        if asked is not None:
            self._quiet_asked(credential, credentials, asked)
        elif self.quiet.locked and not self.quiet.left_s(self._clock.monotonic()) and result.outcome in HEARD:
            # Answers within the lockout's time do not end it: they belong to calls that were already on their way.
            self.quiet.unlock()
            self._say("", "resumed", f"the exchange answers account {self._account} again")

    def resumed(self, credential: Credential) -> None:
        """Let the lane go on, because the venue takes its key."""
        if credential.lane.stopped:
            credential.lane.resume()
            self._say(credential.name, "resumed", f"the exchange takes the key of {credential.name} again")

    def stopped(self, credential: Credential) -> None:
        """Stop the lane, because the venue keeps refusing its key. Repeated failures would lock the account."""
        why = f"the exchange refuses the key of {credential.name}"
        credential.lane.stop(why)
        hint = f"see to it there, then `signer keys test {credential.name}` or `signer keys rotate {credential.name}`"
        self._say(credential.name, "stopped", f"{why} again and again, and no call goes by it any more; {hint}")

    def _key_refused(self, credential: Credential) -> None:
        """Pause the lane. The venue may refuse a good key once, so a first refusal does not stop the lane."""
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
        """Return why no order of the account can be sent now, if the venue wants quiet; else empty."""
        now = self._clock.monotonic()
        quiets = [self.quiet, *(one.quiet for one in credentials if one.admits(Action.ORDER))]
        held = [quiet for quiet in quiets if quiet.holds_back(Action.ORDER, now)]
        if (self.quiet not in held and len(held) < len(quiets) - 1) or not held:
            return ""
        return f"the exchange asks account {self._account} for quiet until {self.until(held[0])}"

    def left_s(self, quiet: Quiet) -> float:
        """Return the seconds until ``quiet`` ends; 0 if nothing is held back."""
        return quiet.left_s(self._clock.monotonic())

    def until(self, quiet: Quiet) -> str:
        """Return when ``quiet`` ends, in text for operators."""
        ends = self._clock.now_us() / 1_000_000 + self.left_s(quiet)
        return datetime.fromtimestamp(ends, UTC).strftime("%H:%M:%S UTC")

    def _say(self, credential: str, state: str, text: str) -> None:
        self._listeners.alarm({"paused": "key-refused", "stopped": "key-refused"}.get(state, state), text)
        self._listeners.on_record(self._account, credential, state, text)
