"""Orders, as a call would place them and as the ledger knows them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

Side: TypeAlias = Literal["buy", "sell"]


@dataclass(frozen=True, slots=True)
class Price:
    """A price as Kraken writes it: absolute, or relative by sign and optional percent (docs/kraken.md §6)."""

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
