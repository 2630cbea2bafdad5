"""The words of docs/design.md as data: what passes along the straight line.

Everything here is immutable and holds no behaviour but its own reading. Amounts are `Decimal`, times are integer
microseconds since the Unix epoch (``_us``), durations are seconds (``_s``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum, StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, TypeAlias

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"
"""A JSON value without floats: amounts travel as their text."""

Side: TypeAlias = Literal["buy", "sell"]
Network: TypeAlias = IPv4Network | IPv6Network


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


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as it arrived, before anything in it is believed."""

    method: str
    path: str
    query: bytes
    content_type: str
    api_key: str = field(repr=False)
    api_sign: str = field(repr=False)
    body: bytes = field(repr=False)
    source: str
    """The peer's address, without port."""
    certified: str | None = None
    """The name in the client certificate that the peer showed; None where none is asked for."""


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer to a client."""

    status: int
    content_type: str
    body: bytes
    ours: bool
    """Whether we answered ourselves, rather than relay the venue's bytes."""


@dataclass(frozen=True, slots=True)
class Price:
    """A price as Kraken writes it: absolute, or relative by sign and optional percent (kraken-api.md §6)."""

    amount: Decimal
    sign: Literal["", "+", "-", "#"] = ""
    percent: bool = False

    @property
    def absolute(self) -> bool:
        """Whether the amount is the price, with no market needed to know it."""
        return not self.sign and not self.percent

    def __str__(self) -> str:
        return f"{self.sign}{self.amount:f}{'%' if self.percent else ''}"


@dataclass(frozen=True, slots=True)
class Order:
    """One order that a call would place, or what an existing one would become. Pairs are canonical venue ids."""

    pair: str
    side: Side
    order_type: str
    volume: Decimal
    price: Price | None = None
    price2: Price | None = None
    volume_in_quote: bool = False
    """``oflags=viqc``: the volume is in the quote currency."""
    display_volume: Decimal | None = None
    leverage: Decimal | None = None
    reduce_only: bool = False
    oflags: frozenset[str] = frozenset()
    time_in_force: str = "GTC"
    trigger: str = ""
    starttm: str = ""
    expiretm: str = ""
    userref: int | None = None
    cl_ord_id: str | None = None
    close: Order | None = None
    """The order of the other side that each fill places."""


@dataclass(frozen=True, slots=True)
class OrderRef:
    """How a call names an existing order."""

    kind: Literal["txid", "userref", "cl_ord_id"]
    value: str


@dataclass(frozen=True, slots=True)
class Change:
    """What an EditOrder or AmendOrder sets on an existing order; None leaves a field as it is."""

    replaces: bool
    """Edit cancels and replaces (new txid, full charge); amend changes in place (charge of the increase).

    An edit's prices are those of the order's type. Of an amend ``price`` is the trigger and ``price2`` the limit."""
    pair: str | None = None
    volume: Decimal | None = None
    price: Price | None = None
    price2: Price | None = None
    display_volume: Decimal | None = None
    oflags: frozenset[str] | None = None
    userref: int | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """A private request taken apart, not yet believed: enough to check its signature, and the fields to parse."""

    endpoint: str
    """Method name as in the path, such as ``AddOrder`` or ``Earn/Allocate``."""
    nonce: int
    signed: bytes = field(repr=False)
    """The message that the client's signature must be over."""
    fields: Mapping[str, Json] = field(repr=False)
    """All fields but nonce and otp, nested spellings brought to one shape; scalars as their text, booleans kept."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that we understand completely: what it asks, what it touches, and the fields we would forward."""

    endpoint: str
    action: Action
    fields: Mapping[str, Json]
    """Canonical fields in the order they will be sent, without nonce and otp; no secret is among them."""
    needs: tuple[frozenset[str], ...] = ()
    """Permissions: of each set, one is needed (kraken-api.md §1)."""
    never: bool = False
    """On the never-list: moves money out or makes accounts."""
    local: bool = False
    """Answered by us, never forwarded (GetApiKeyInfo)."""
    orders: tuple[Order, ...] = ()
    targets: tuple[OrderRef, ...] = ()
    change: Change | None = None
    whole_account: bool = False
    """Touches orders of everyone on the account (CancelAll, CancelAllOrdersAfter)."""
    dry_run: bool = False
    """``validate=true``, and forwarded as an unambiguous true."""
    dropped: tuple[str, ...] = ()
    """Names of parameters that the client sent and that are not sent on, since they mean nothing (docs/clients.md)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A tradable pair as the venue lists it."""

    id: str
    """Canonical venue id, such as ``XXBTZUSD``: what policies compare and what is forwarded."""
    altname: str
    wsname: str
    base: str
    """Asset in its common spelling (``XBT``, ``ETH``, ``XDG``): the halves of wsname, not ``XXBT``."""
    quote: str
    asset_class: str = "currency"


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order that the ledger knows: who placed it and what it was last known to be."""

    account: str
    client: str
    txid: str
    order: Order
    placed_us: int
    closed: bool = False
    """Whether the venue is known to list it as open no more. One that is not known to be closed may be open."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What `decide` may know besides the call and the policy."""

    pairs: Mapping[str, Pair]
    """By canonical id."""
    placed: Mapping[OrderRef, tuple[PlacedOrder, ...]]
    """What the ledger knows of each of the call's targets, any client's, newest first."""
    now_us: int = 0
    """When the call came: what a start or an end at a Unix second is compared with."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call would use of a cap. `decide` names charges; only the ledger counts them."""

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
    """Which of the call's orders causes it, so that a batch can settle in part."""


@dataclass(frozen=True, slots=True)
class RuleHit:
    """What one rule said of a call."""

    rule: str
    allows: bool
    reason: str
    kind: Literal["feature", "limit", "rate", "nothing"] = "feature"
    """Which answer fits a denial: a feature is not permitted, one order breaks a limit, orders come too fast, or the
    call names no order."""


@dataclass(frozen=True, slots=True)
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

    @property
    def denials(self) -> tuple[RuleHit, ...]:
        """The rules that said no."""
        return tuple(hit for hit in self.hits if not hit.allows)


@dataclass(frozen=True, slots=True)
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
    """Its order takes the place of its target, under a txid of its own."""
    venue_us: int = 0
    """The earliest that the venue's clock can have shown then; 0 if it was not known."""


@dataclass(frozen=True, slots=True)
class OpenIntent:
    """A reservation without a known outcome, as found at start."""

    reservation: int
    intent: Intent
    unknown: bool
    """True if it is known to have been sent without an answer; False if we crashed before we knew."""


@dataclass(frozen=True, slots=True)
class Halt:
    """An operator's stop for a client, an account, or everything (both empty)."""

    client: str
    account: str
    reason: str
    by: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a cap is used now."""

    cap: str
    """Its name when it was last charged. A policy may have changed the limit since, and the name with it."""
    scope: str
    unit: str
    window_s: int
    used: Decimal
    limit: Decimal


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The last durable audit record: its number and digest (hex)."""

    seq: int
    digest: str


@dataclass(frozen=True, slots=True)
class WireRequest:
    """Bytes that we built ourselves, ready to send to the venue's fixed origin."""

    method: Literal["GET", "POST"]
    target: str
    """Path with any query, as it will stand in the request line."""
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes
    most_answer: int = 4 * 1024 * 1024
    """Most bytes that the answer's body may have."""


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """A whole HTTP answer of the venue. Bodies are decoded from any content-encoding."""

    status: int
    content_type: str
    body: bytes
    retry_after: str = ""
    """The header of that name: a time as RFC 9110 §10.2.3 writes it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a venue's answer reads: the outcome, and what became of each order of the call."""

    outcome: Outcome
    errors: tuple[str, ...] = ()
    txids: tuple[str | None, ...] = ()
    """One per order of the call; None where the venue rejected that row."""
    bad_nonce: bool = False
    """The venue refused our nonce: the lane heals itself."""
    bad_key: bool = False
    """The venue refused our key: the lane must stop, since repeated failures lock the account."""


@dataclass(frozen=True, slots=True)
class CredentialInfo:
    """A real venue key as lists show it."""

    name: str
    account: str
    api_key: str = field(repr=False)
    fingerprint: str
    created_us: int
    role: Role = Role.TRADE
    store: str = "file"
    """Where its secret lives: ``file``, or a store that signer.toml names."""

    @property
    def reference(self) -> str:
        """How its secret is named in a store outside: each API key has a name of its own, so none is overwritten."""
        return f"{self.name}-{self.fingerprint}"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What the venue says of a real key."""

    name: str
    """As its owner called it at the venue."""
    permissions: tuple[str, ...]
    """In the venue's own words, sorted; they may be words that we do not know."""
    expires_us: int | None
    nonce: int
    """The highest that it has seen of the key."""
    nonce_window: int
    sources: tuple[str, ...]
    """Addresses that it takes the key from; empty if from any."""
    account: str = ""
    """Fingerprint of the account that it belongs to, where the venue says which; else empty."""


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A client and its virtual credential, without the secret."""

    name: str
    account: str
    policy: str
    api_key: str = field(repr=False)
    fingerprint: str
    sources: tuple[Network, ...]
    expires_us: int | None
    nonces: Literal["window", "strict"]
    revoked: bool
    created_us: int
