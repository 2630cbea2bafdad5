"""A real venue key, and whether a call may go by it now."""

from __future__ import annotations

from dataclasses import dataclass, field

from signer.contracts import Lane, SigningKey
from signer.findings import Finding, Weight
from signer.lanes.shares import SharedCounter
from signer.model import Action, Call, KeyInfo, Role
from signer.model.quiet import Quiet

OURS = "@"
"""How the names of those begin who ask for the gateway itself; no client's name has it."""


FUNDING = frozenset({"add-funds", "withdraw-funds"})
"""Permissions that make a call one for a credential of that role."""


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
