"""Everything the exchange knows: its accounts and its market, under one clock and one source of ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from signer.sandbox.fields import Fields
from signer.sandbox.ids import Ids
from signer.sandbox.instruments import Instruments
from signer.sandbox.limits import CallCounters
from signer.sandbox.market import Market
from signer.sandbox.money import Wallet
from signer.sandbox.orders import SimulatedOrder
from signer.sandbox.pairs import SimulatedPair
from signer.sandbox.records import Export, Funding, Position, Trade


@dataclass(slots=True)
class SimulatedAccount:
    """One customer: money, orders and all that came of them, each by id in the order of their making."""

    name: str
    iban: str
    """The account's id for transfers between accounts, as ``AA61 N84G 2WQP XNBA``."""
    wallet: Wallet
    counters: CallCounters
    orders: dict[str, SimulatedOrder] = field(default_factory=dict)
    open: dict[str, SimulatedOrder] = field(default_factory=dict)
    trades: dict[str, Trade] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    funding: Funding = field(default_factory=Funding)
    exports: dict[str, Export] = field(default_factory=dict)
    cancel_all_at: float | None = None
    """When CancelAllOrdersAfter strikes."""

    def open_on(self, pair: SimulatedPair) -> list[SimulatedOrder]:
        """Answer the live orders of a pair, oldest first."""
        return [order for order in self.open.values() if order.terms.pair is pair]


@dataclass(slots=True)
class State:
    """The whole exchange."""

    now: Callable[[], float]
    ids: Ids
    market: Market
    accounts: dict[str, SimulatedAccount] = field(default_factory=dict)
    timed: dict[str, SimulatedOrder] = field(default_factory=dict)
    """Live orders with a start or an end, by txid."""

    @property
    def instruments(self) -> Instruments:
        """What the exchange lists."""
        return self.market.instruments

    def open_orders(self, pair: SimulatedPair) -> Iterator[SimulatedOrder]:
        """Answer all accounts' live orders of a pair, as they are now."""
        for account in self.accounts.values():
            yield from account.open_on(pair)


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """One private call, as its method sees it."""

    state: State
    account: SimulatedAccount
    fields: Fields


Methods = Mapping[str, Callable[[SimulatedCall], object]]
"""Endpoints by name, as in the path: what one module adds to the exchange."""
