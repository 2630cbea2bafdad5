"""What the exchange writes down besides orders: trades, positions, transfers and exports."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from signer.sandbox.pairs import Asset, SimulatedPair


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill of an order. ``cost`` and ``fee`` are in the quote currency, but for a fee by ``fcib``."""

    id: str
    order: str
    pair: SimulatedPair
    time: float
    side: str
    ordertype: str
    price: Decimal
    volume: Decimal
    cost: Decimal
    fee: Decimal
    leverage: int
    maker: bool
    number: int
    """On the public tape."""
    misc: str = ""
    ledgers: list[str] = field(default_factory=list)

    @property
    def margin(self) -> Decimal:
        """What it bound when it was made, in the quote currency."""
        return self.cost / self.leverage if self.leverage else Decimal(0)


@dataclass(slots=True)
class Position:
    """A margin position: ``volume`` was opened for ``cost``, ``closed`` of it is closed already."""

    id: str
    order: str
    pair: SimulatedPair
    time: float
    side: str
    ordertype: str
    volume: Decimal
    cost: Decimal
    fee: Decimal
    leverage: int
    closed: Decimal = Decimal(0)

    @property
    def open_volume(self) -> Decimal:
        """What of it is still open, in the base currency."""
        return self.volume - self.closed

    @property
    def open_cost(self) -> Decimal:
        """What the open part cost, in the quote currency."""
        return self.cost * self.open_volume / self.volume

    @property
    def margin(self) -> Decimal:
        """What the open part binds, in the quote currency."""
        return self.open_cost / self.leverage


@dataclass(slots=True)
class Transfer:
    """A deposit or withdrawal. ``amount`` is what arrives, ``fee`` comes on top of it."""

    refid: str
    method: str
    asset: Asset
    amount: Decimal
    fee: Decimal
    time: float
    address: str
    txid: str
    key: str = ""
    canceled: bool = False


@dataclass(frozen=True, slots=True)
class Export:
    """A report that was asked for, and its zip. Times are Unix seconds."""

    id: str
    report: str
    description: str
    format: str
    fields: str
    created: float
    start: float
    end: float
    content: bytes


@dataclass(slots=True)
class Amend:
    """One version of an order, as OrderAmends lists them."""

    id: str
    type: str
    time: float
    quantity: Decimal
    remaining: Decimal
    limit: Decimal | None
    stop: Decimal | None
    display: Decimal | None
    post_only: bool


@dataclass(slots=True)
class Funding:
    """What an account has on the funding side."""

    addresses: dict[str, list[str]] = field(default_factory=dict)
    """Deposit addresses by asset id."""
    approved: dict[str, str] = field(default_factory=dict)
    """The one approved withdrawal address of each asset id, made when first looked at."""
    deposits: dict[str, Transfer] = field(default_factory=dict)
    withdrawals: dict[str, Transfer] = field(default_factory=dict)
    futures: dict[str, Decimal] = field(default_factory=dict)
    """What went to the Futures wallet, by asset id."""
