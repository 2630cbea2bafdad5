"""Orders, as a call would place them and as the book knows them."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Literal, NamedTuple, TypeAlias

from signer.model.immutable import immutable

Side: TypeAlias = Literal["buy", "sell"]


RefKind: TypeAlias = Literal["venue-id", "client-id", "client-tag", "own"]
"""Kinds of order names: the id that the venue gave; the client's id, borne by one open order at a time; the client's
tag, which many orders may bear; and our own name, which one order bears and which only we can have made."""


@immutable
class Price:
    """A price: absolute, or relative to the market by sign and optional percent (docs/kraken.md §6)."""

    amount: Decimal
    sign: Literal["", "+", "-", "#"] = ""
    percent: bool = False

    def __str__(self) -> str:
        return f"{self.sign}{self.amount:f}{'%' if self.percent else ''}"


@immutable
class Moment:
    """A time at which an order starts or ends: a Unix second, or so many seconds from the call."""

    seconds: int
    from_now: bool

    def ahead_s(self, now_us: int) -> int:
        """Return the seconds from now until then."""
        return self.seconds if self.from_now else self.seconds - now_us // 1_000_000


@immutable
class Order:
    """One order that a call would place, or what an existing one would become. Pairs are canonical venue ids."""

    pair: str
    side: Side
    order_type: str
    """The type in the venue's word, as policies list it; ``time_in_force`` and ``flags`` are written so too."""
    volume: Decimal
    price: Price | None = None
    """The limit of an order that has no trigger, else the trigger."""
    price2: Price | None = None
    """The limit of an order that has a trigger."""
    quote_sized: bool = False
    """Whether the volume is in the quote currency."""
    display_volume: Decimal | None = None
    leverage: Decimal | None = None
    reduce_only: bool = False
    post_only: bool = False
    flags: frozenset[str] = frozenset()
    """Further flags."""
    time_in_force: str = "GTC"
    trigger: str = ""
    """Which price triggers it, in the venue's word."""
    starts: Moment | None = None
    ends: Moment | None = None
    client_tag: str | None = None
    client_id: str | None = None
    own: str | None = None
    """Our own name, by which the venue knows it in the place of the client's names; None before it is given one."""
    attached: tuple[Order, ...] = ()
    """The orders of the other side that each fill places."""

    @property
    def names(self) -> tuple[OrderRef, ...]:
        """The names that the client or we gave it, the one that is unique among open orders first."""
        by_id = (OrderRef("client-id", self.client_id),) if self.client_id else ()
        given = by_id if self.client_tag is None else (*by_id, OrderRef("client-tag", self.client_tag))
        return given if self.own is None else (*given, OrderRef("own", self.own))

    def bears(self, ref: OrderRef) -> bool:
        """Return whether ``ref`` is one of its names."""
        return any(ref.kind == one.kind and same_name(ref.value, one.value) for one in self.names)


@immutable
class OrderRef:
    """How a call names an existing order."""

    kind: RefKind
    value: str


class ClientNames(NamedTuple):
    """What a client calls an order of its own. Of another client's order both are None."""

    tag: str | None = None
    id: str | None = None


NamesOf: TypeAlias = Callable[[str, str], ClientNames | None]
"""Tells what the client calls the order of a name of ours and a venue id (empty if it is not known); None if the name
is none of ours."""

_DASHED_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def one_name(name: str) -> str:
    """Return the one spelling of a client's name: a UUID with and without dashes is one name."""
    return name.replace("-", "") if _DASHED_UUID.fullmatch(name) else name


def same_name(one: str, other: str | None) -> bool:
    """Return whether two names of a client are one."""
    return other is not None and one_name(one) == one_name(other)


@immutable
class Change:
    """What a call sets on an existing order; None leaves a field as it is."""

    replaces: bool
    """Whether the order is cancelled and replaced (new id, full charge), or changed in place (charge of the increase).

    The prices of a replacement are those of the order's type. Of a change in place ``price`` is the trigger and
    ``price2`` the limit."""
    pair: str | None = None
    volume: Decimal | None = None
    price: Price | None = None
    price2: Price | None = None
    display_volume: Decimal | None = None
    quote_sized: bool = False
    """Whether the volume is said to be in the quote currency."""
    post_only: bool | None = None
    flags: frozenset[str] | None = None
    client_tag: str | None = None
    own: str | None = None
    """Our own name of the order that replaces another."""


@immutable
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


@immutable
class PlacedOrder:
    """An order that was placed through us: who placed it and what it was last known to be."""

    account: str
    client: str
    venue_id: str
    """Empty while the end of the call that places it is not known."""
    order: Order
    placed_us: int
    closed: bool = False
    """Whether the venue is known to list it as open no more. One that is not known to be closed may be open."""
