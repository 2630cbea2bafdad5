"""Trades on margin: positions, the money that they bind, and how they are closed.

A fill with leverage moves no base currency. It closes positions of the other side, oldest first, pays their
profit or loss in the quote currency, and opens a position with the rest. Opening and rollover fees and
liquidation are not simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from signer.sandbox.orders import SimulatedOrder
from signer.sandbox.pairs import SimulatedPair, asset_of
from signer.sandbox.records import Position, Trade
from signer.sandbox.rejected import Rejected
from signer.sandbox.state import SimulatedAccount, State


@dataclass(frozen=True, slots=True)
class Equity:
    """An account's values in USD, with TradeBalance's letters."""

    balance: Decimal
    """``eb``, ``tb``: the value of all balances."""
    used: Decimal
    """``m``: the margin that positions bind."""
    ordered: Decimal
    """The margin that live orders with leverage bind."""
    profit: Decimal
    """``n``: the profit of positions if closed now."""
    cost: Decimal
    """``c``: the cost of positions."""
    value: Decimal
    """``v``: the present value of positions."""

    @property
    def total(self) -> Decimal:
        """``e``: the equity."""
        return self.balance + self.profit

    @property
    def free(self) -> Decimal:
        """``mf``: the free margin."""
        return self.total - self.used - self.ordered


def equity(state: State, account: SimulatedAccount, *, besides: str = "") -> Equity:
    """Value an account now, without the order ``besides``."""
    worth = state.market.worth
    used = profit = cost = value = Decimal(0)
    for position in account.positions.values():
        dollars = worth(position.pair.quote)
        now = position.open_volume * state.market.last(position.pair)
        used += position.margin * dollars
        cost += position.open_cost * dollars
        value += now * dollars
        profit += (now - position.open_cost) * dollars * (1 if position.side == "buy" else -1)
    ordered = sum((_binds(state, order) for order in account.open.values() if order.txid != besides), Decimal(0))
    balance = sum((amount * worth(asset_of(name)) for name, amount in account.wallet.balances.items()), Decimal(0))
    return Equity(balance, used, ordered, profit, cost, value)


def _binds(state: State, order: SimulatedOrder) -> Decimal:
    """Answer the margin in USD that an order would bind if all of it opened a position."""
    terms = order.terms
    if not terms.leverage or terms.reduce_only or terms.ordertype == "settle-position":
        return Decimal(0)
    price = order.limit or order.stop or state.market.last(terms.pair)
    return order.remaining * price / terms.leverage * state.market.worth(terms.pair.quote)


def opposite(account: SimulatedAccount, pair: SimulatedPair, side: str) -> list[Position]:
    """Answer the positions that an order of this side would close, oldest first."""
    return [position for position in account.positions.values() if position.pair is pair and position.side != side]


def closing_volume(account: SimulatedAccount, pair: SimulatedPair, side: str) -> Decimal:
    """Answer the volume that an order of this side could close."""
    return sum((position.open_volume for position in opposite(account, pair, side)), Decimal(0))


def check(state: State, account: SimulatedAccount, order: SimulatedOrder, *, besides: str = "") -> None:
    """Raise `Rejected` unless the margin suffices, or the money for settle-position."""
    terms = order.terms
    if terms.ordertype == "settle-position":
        _check_settle(account, order)
        return
    closes = closing_volume(account, terms.pair, terms.side)
    opens = max(order.remaining - closes, Decimal(0)) / order.remaining if order.remaining else Decimal(0)
    if opens and _binds(state, order) * opens > equity(state, account, besides=besides).free:
        raise Rejected("EOrder:Insufficient initial margin")


def _check_settle(account: SimulatedAccount, order: SimulatedOrder) -> None:
    pair = order.terms.pair
    if order.terms.buys:  # a short is settled by delivering what was sold
        account.wallet.require(pair.base.id, order.volume)
        return
    cost = sum((position.cost * part / position.volume for position, part in _settles(account, order)), Decimal(0))
    account.wallet.require(pair.quote.id, pair.quote.up(cost))


def trade(account: SimulatedAccount, fill: Trade) -> str:
    """Apply a fill to the positions and post its profit and fee; answer the ledger entry's id."""
    profit, left = Decimal(0), fill.volume
    for position, part in _parts(account, fill.pair, fill.side, fill.volume):
        paid = position.cost * part / position.volume
        got = fill.cost * part / fill.volume
        profit += got - paid if position.side == "buy" else paid - got
        left -= part
        _close(account, position, part)
    if left:
        account.positions[fill.id] = Position(
            id=fill.id,
            order=fill.order,
            pair=fill.pair,
            time=fill.time,
            side=fill.side,
            ordertype=fill.ordertype,
            volume=left,
            cost=fill.cost * left / fill.volume,
            fee=fill.fee,
            leverage=fill.leverage,
        )
    quote = fill.pair.quote
    return account.wallet.post(refid=fill.id, type="margin", asset=quote.id, amount=quote.down(profit), fee=fill.fee)


def settle(account: SimulatedAccount, order: SimulatedOrder, refid: str) -> None:
    """Settle positions with the account's own money: pay a long's cost, or deliver a short's volume."""
    pair = order.terms.pair
    for position, part in _settles(account, order):
        paid = pair.quote.up(position.cost * part / position.volume)
        sign = 1 if position.side == "buy" else -1
        account.wallet.post(refid=refid, type="settled", asset=pair.base.id, amount=sign * part)
        account.wallet.post(refid=refid, type="settled", asset=pair.quote.id, amount=-sign * paid)
        order.filled += part
        order.cost += paid
        _close(account, position, part)


def _settles(account: SimulatedAccount, order: SimulatedOrder) -> list[tuple[Position, Decimal]]:
    return _parts(account, order.terms.pair, order.terms.side, order.remaining)


def _parts(
    account: SimulatedAccount, pair: SimulatedPair, side: str, volume: Decimal
) -> list[tuple[Position, Decimal]]:
    """Answer the positions that this volume of an order closes, and how much of each."""
    parts: list[tuple[Position, Decimal]] = []
    for position in opposite(account, pair, side):
        part = min(volume, position.open_volume)
        if part > 0:
            parts.append((position, part))
            volume -= part
    return parts


def _close(account: SimulatedAccount, position: Position, part: Decimal) -> None:
    position.closed += part
    if not position.open_volume:
        del account.positions[position.id]
