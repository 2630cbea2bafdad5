"""A real venue key, and whether a call may go by it now."""

from __future__ import annotations

from dataclasses import dataclass, field

from signer.contracts import Lane, SigningKey
from signer.gateway.standing import Standing
from signer.lanes.counters import SharedCounter
from signer.model import Action, Call, Role
from signer.model.quiet import Quiet

OURS = "@"
"""How the names of those begin who ask for the gateway itself; no client's name has it."""


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
    quiet: Quiet = field(default_factory=Quiet)
    """What the venue does not want to hear of this key for a while."""

    def admits(self, action: Action) -> bool:
        """Whether the lane and what is known of the key let a client's call go by it that does ``action``."""
        return not self.lane.stopped and self.standing.admits(action)

    def may(self, call: Call) -> bool:
        """Whether the key has what the venue wants for ``call``, as far as the venue has said what it has."""
        held = frozenset(self.standing.key.permissions) if self.standing.key else frozenset()
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
        return self.standing.word
