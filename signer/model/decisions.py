"""What a policy decides by, what it says, and what the book holds by it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, NamedTuple

from signer.model.immutable import immutable
from signer.model.orders import Order, OrderRef, Pair, PlacedOrder


@immutable
class Facts:
    """What `decide` may know besides the call and the policy."""

    pairs: Mapping[str, Pair]
    """Keyed by canonical id."""
    placed: Mapping[OrderRef, tuple[PlacedOrder, ...]]
    """The known orders that each of the call's names means, any client's, newest first."""
    now_us: int = 0
    """When the call came: what a start or an end at a Unix second is compared with."""


class Charge(NamedTuple):
    """What a call would use of a cap. `decide` names charges; only the book counts them."""

    cap: str
    """Stable name of the cap as the policy writes it, as ``notional 5000 USD / 24h``."""
    scope: str
    """Whose total it counts against, as ``client/grid-bot``."""
    unit: str
    """What is counted, as ``USD`` or ``orders``."""
    window_s: int
    limit: Decimal
    amount: Decimal
    leg: int = 0
    """Which of the call's orders causes it, so that a part of a batch can be spent."""


@immutable
class RuleHit:
    """What one rule said of a call."""

    rule: str
    allows: bool
    reason: str
    kind: Literal["feature", "limit", "rate", "nothing"] = "feature"
    """Which answer fits a denial: a feature is not permitted, one order breaks a limit, orders come too fast, or the
    call names no order."""


@immutable
class Decision:
    """The answer of step 3: every rule that had something to say, and the charges if all allow."""

    allowed: bool
    hits: tuple[RuleHit, ...]
    orders: tuple[Order, ...]
    """The orders as they would be: those the call places, or what its change makes of the target."""
    charges: tuple[Charge, ...]
    """Empty unless allowed, and for a dry run."""
    policy: str
    policy_hash: str
    targets: tuple[PlacedOrder, ...] = ()
    """The orders that the call's names reach. A change has one, or none if it is not certain which."""

    @property
    def denials(self) -> tuple[RuleHit, ...]:
        """Return the rules that said no."""
        return tuple(hit for hit in self.hits if not hit.allows)


@immutable
class Intent:
    """What is about to be sent: enough to look it up at the venue after a crash."""

    client: str
    account: str
    endpoint: str
    orders: tuple[Order, ...]
    """The orders it places (for an edit or amend: what the target becomes)."""
    targets: tuple[OrderRef, ...]
    charges: tuple[Charge, ...]
    record: str
    """Id of its audit records."""
    at_us: int
    replaces: bool = False
    """Whether the order replaces its target, under an id of its own."""
    venue_us: int = 0
    """The earliest that the venue's clock can have shown then; 0 if it was not known."""
    held_us: int = 0
    """The moment by which its charges are dated while it is open (`Known.now_us`); 0: when the call begins."""


@immutable
class OpenIntent:
    """A call without a known outcome."""

    reservation: int
    """The call's number in the log."""
    intent: Intent
    unknown: bool
    """True if it is known to have been sent without an answer, or an earlier run began it; False if it is under way."""


@immutable
class Usage:
    """How much of a cap is used now."""

    cap: str
    """The cap's name when it was last charged. A policy may have changed the limit since, and the name with it."""
    scope: str
    unit: str
    window_s: int
    used: Decimal
    limit: Decimal


@immutable
class ChainHead:
    """The last durable audit record: its number and digest (hex)."""

    seq: int
    digest: str


class Gap(NamedTuple):
    """The numbers of the first and the last of some records that are missing."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"record {self.first}" if self.first == self.last else f"records {self.first} to {self.last}"
