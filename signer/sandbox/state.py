"""The state of the exchange: its accounts and its market, with one clock and one source of ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from signer.sandbox.conditions import Conditions
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
    """One customer's money, orders and their results, each by id in the order in which they were made."""

    name: str
    iban: str
    """The account's id for transfers, as ``AA61 N84G 2WQP XNBA``."""
    wallet: Wallet
    counters: CallCounters
    orders: dict[str, SimulatedOrder] = field(default_factory=dict)
    open: dict[str, SimulatedOrder] = field(default_factory=dict)
    trades: dict[str, Trade] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    funding: Funding = field(default_factory=Funding)
    exports: dict[str, Export] = field(default_factory=dict)
    cancel_all_at: float | None = None
    """When CancelAllOrdersAfter cancels its orders."""

    def open_on(self, pair: SimulatedPair) -> list[SimulatedOrder]:
        """Answer the live orders of a pair, oldest first."""
        return [order for order in self.open.values() if order.terms.pair is pair]


@dataclass(slots=True)
class State:
    """The state of the whole exchange."""

    now: Callable[[], float]
    ids: Ids
    market: Market
    accounts: dict[str, SimulatedAccount] = field(default_factory=dict)
    timed: dict[str, SimulatedOrder] = field(default_factory=dict)
    """Live orders with a start or an end, by txid."""
    close_keeps_userref: bool = False
    """Whether a close order has its parent's userref, which Kraken's pages do not say."""

    @property
    def instruments(self) -> Instruments:
        """The pairs and assets that the exchange lists."""
        return self.market.instruments

    def open_orders(self, pair: SimulatedPair) -> Iterator[SimulatedOrder]:
        """Answer a copy of all accounts' live orders of a pair."""
        for account in self.accounts.values():
            yield from account.open_on(pair)


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """One private call, as its method gets it."""

    state: State
    account: SimulatedAccount
    fields: Fields
    met: Conditions


Methods = Mapping[str, Callable[[SimulatedCall], object]]
"""The endpoints that one module adds to the exchange, by their names in the path."""
