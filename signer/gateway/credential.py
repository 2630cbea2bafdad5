"""A real venue key, and whether a call may go by it now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from signer.contracts import Lane, SigningKey
from signer.findings import Finding, Weight
from signer.lanes.shares import SharedCounter
from signer.model import Action, Call, KeyInfo, Role
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
