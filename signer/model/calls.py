"""A call: taken apart, understood, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import IntEnum, StrEnum
from typing import TypeAlias

from signer.model.immutable import immutable
from signer.model.orders import Change, Order, OrderRef
from signer.model.wire import Json


class Action(StrEnum):
    """What a call does at the venue: it decides what must be durable first, and the place in a lane."""

    READ = "read"
    ORDER = "order"
    CANCEL = "cancel"
    WRITE = "write"
    """Changes something that is no order (a deposit address, an export)."""


class Priority(IntEnum):
    """Whose turn in a lane comes first."""

    BRAKE = 0
    """Cancels by which an operator stops a client: before all others."""
    CANCEL = 1
    ORDER = 2
    READ = 3


class Role(StrEnum):
    """What a credential is for: it decides which calls it signs."""

    TRADE = "trade"
    """Orders, cancels, and whatever no other credential of the account is for."""
    READ = "read"
    FUNDING = "funding"
    """Calls that need the venue's permissions for deposits and withdrawals."""


class Outcome(StrEnum):
    """How a forwarded call ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NOT_SENT = "not-sent"


@immutable
class Timestamp:
    """When a client made a request, by its own clock."""

    at_us: int
    window_us: int
    """How old it may be when it comes: what the venue grants, or less if the client says so."""


Freshness: TypeAlias = int | Timestamp
"""What keeps a request from being sent again: a nonce that rises, or a time within a window."""


@immutable
class Proof:
    """How a request says who sent it, not yet believed."""

    messages: tuple[bytes, ...] = field(repr=False)
    """What its signature may be over. Clients of one venue sign differently; each reading is a candidate."""
    signature: bytes = field(repr=False)
    """The signature's bytes, however they were spelled; empty if they do not read."""
    passphrase: str = field(default="", repr=False)
    """What is shown beside the signature, where the venue wants that."""


@immutable
class Decoded:
    """A private request taken apart, not yet believed: enough to check its signature, and the fields to parse."""

    endpoint: str
    """The endpoint's name, in the venue's own words."""
    freshness: Freshness
    proof: Proof
    fields: Mapping[str, Json] = field(repr=False)
    """All fields but freshness and one-time password. Nested spellings have one shape, scalars are text or booleans."""


@immutable
class Call:
    """A call that we understand completely: what it asks, what it touches, and the fields we would forward."""

    endpoint: str
    action: Action
    fields: Mapping[str, Json]
    """Canonical fields in the order they will be sent, without freshness or any secret."""
    needs: tuple[frozenset[str], ...] = ()
    """Permissions: of each set, one is needed (docs/kraken.md §1)."""
    never: bool = False
    """Whether the endpoint is on the never-list: it moves money out or makes accounts."""
    local: bool = False
    """Answered by us, never forwarded."""
    orders: tuple[Order, ...] = ()
    targets: tuple[OrderRef, ...] = ()
    change: Change | None = None
    sought: tuple[OrderRef, ...] = ()
    """The client's names that a read filters its rows by. The venue is not asked for them."""
    whole_account: bool = False
    """Touches orders of everyone on the account."""
    sees_account: bool = False
    """Shows the whole account, or prepares to, and cannot be narrowed to what is the client's."""
    dry_run: bool = False
    """Asks whether it would be accepted, and places nothing."""
    dropped: tuple[str, ...] = ()
    """Names of parameters that the client sent and that are not sent on, since they mean nothing (docs/clients.md)."""


@immutable
class VenueResult:
    """How a venue's answer reads: the outcome, and what became of each order of the call."""

    outcome: Outcome
    errors: tuple[str, ...] = ()
    venue_ids: tuple[str | None, ...] = ()
    """One per order of the call; None where the venue rejected that row."""
    bad_nonce: bool = False
    """The venue refused our nonce: the lane heals itself."""
    bad_key: bool = False
    """The venue refused our key: the lane must stop, since repeated failures lock the account."""
