"""The exchange's records besides orders: trades, positions, transfers and exports."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from signer.sandbox.pairs import Asset, SimulatedPair


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill of an order. ``cost`` and ``fee`` are in the quote currency, except a fee by ``fcib``."""

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
    """The trade's number on the public tape."""
    misc: str = ""
    ledgers: list[str] = field(default_factory=list)

    @property
    def margin(self) -> Decimal:
        """The margin that it bound at its time, in the quote currency."""
        return self.cost / self.leverage if self.leverage else Decimal(0)


@dataclass(slots=True)
class Position:
    """A margin position: ``volume`` was opened for ``cost``, and ``closed`` of it is closed."""

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
        """The volume that is still open, in the base currency."""
        return self.volume - self.closed

    @property
    def open_cost(self) -> Decimal:
        """The cost of the open part, in the quote currency."""
        return self.cost * self.open_volume / self.volume

    @property
    def margin(self) -> Decimal:
        """The margin that the open part binds, in the quote currency."""
        return self.open_cost / self.leverage


@dataclass(slots=True)
class Transfer:
    """A deposit or withdrawal. ``amount`` arrives, and ``fee`` is paid on top of it."""

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
    """A requested report and its zip. Times are Unix seconds."""

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
    """An account's funding: addresses, transfers and wallets."""

    addresses: dict[str, list[str]] = field(default_factory=dict)
    """Deposit addresses by asset id."""
    approved: dict[str, str] = field(default_factory=dict)
    """The one approved withdrawal address of each asset id, made at its first use."""
    deposits: dict[str, Transfer] = field(default_factory=dict)
    withdrawals: dict[str, Transfer] = field(default_factory=dict)
    futures: dict[str, Decimal] = field(default_factory=dict)
    """The amounts moved to the Futures wallet, by asset id."""
