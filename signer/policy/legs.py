"""The orders that a call would leave at the venue, with what each could cost at worst."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_UP, Context, Decimal

from signer.model import Facts, Order
from signer.policy.policy import Limits, Policy

EXACT = Context(prec=100, rounding=ROUND_UP)
"""Wide enough for the product of any two numbers that the parser lets through; were it not, a cap errs upwards."""

LIMIT_IN_PRICE = frozenset({"limit", "iceberg"})
LIMIT_IN_PRICE2 = frozenset({"stop-loss-limit", "take-profit-limit"})
"""Where an order type has its limit (docs/kraken.md §6). Every other type may trade at any price."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One order as the rules see it."""

    index: int
    """Of the call's order that it belongs to; a closing order belongs to the one that it closes."""
    name: str
    """How reasons begin: empty for an only order, else ``order 2: `` or ``order 2, close: ``."""
    order: Order
    limits: Limits
    size: Decimal | None
    """In the base asset; None if only the quote amount is known."""
    notional: Decimal | None
    """Most that it can cost in the quote currency (for a sell: least that it asks); None if no price bounds it."""
    is_close: bool = False
    ahead_s: int | None = None
    """How far ahead its start or its end lies, whichever is later; None if it has neither."""


def legs_of(policy: Policy, orders: tuple[Order, ...], facts: Facts) -> tuple[Leg, ...]:
    """A leg for each order and for each closing order."""
    if len(orders) == 1 and orders[0].close is None:  # nearly every call
        order = orders[0]
        limits, ahead_s = policy.limits_of(order.pair, facts.pairs), _ahead_s(order, facts.now_us)
        return (Leg(0, "", order, limits, _size(order), notional_of(order), ahead_s=ahead_s),)
    legs: list[Leg] = []
    for index, order in enumerate(orders):
        name = f"order {index + 1}" if len(orders) > 1 else ""
        limits = policy.limits_of(order.pair, facts.pairs)
        label, ahead_s = f"{name}: " if name else "", _ahead_s(order, facts.now_us)
        legs.append(Leg(index, label, order, limits, _size(order), notional_of(order), ahead_s=ahead_s))
        if order.close is not None:
            legs.append(_close_leg(index, f"{name}, close: " if name else "close: ", order, order.close, limits))
    return tuple(legs)


def _close_leg(index: int, name: str, order: Order, close: Order, limits: Limits) -> Leg:
    # What it closes is what the first order got in the base asset, unknown if that was bought by quote amount.
    known = not order.volume_in_quote
    size, notional = (_size(close), notional_of(close)) if known else (None, None)
    return Leg(index, name, close, limits, size, notional, is_close=True)


def limit_price(order: Order) -> Decimal | None:
    """The price that an order cannot trade beyond, or None if there is no such price or it moves with the market."""
    if order.order_type in LIMIT_IN_PRICE:
        price = order.price
    elif order.order_type in LIMIT_IN_PRICE2:
        price = order.price2
    else:
        return None
    return price.amount if price is not None and price.absolute else None


def notional_of(order: Order) -> Decimal | None:
    """The order's value in its quote currency at its limit price, None if that is not known."""
    if order.volume_in_quote:
        return _finite(order.volume)
    price = limit_price(order)
    if price is None or not (price.is_finite() and order.volume.is_finite()):
        return None
    return EXACT.multiply(order.volume, price)


def _ahead_s(order: Order, now_us: int) -> int | None:
    """A time is written as ``+seconds`` from now, or as a Unix second (docs/kraken.md §1c-1)."""
    times = [time for time in (order.starttm, order.expiretm) if time]
    return max((int(time) - (0 if time[0] == "+" else now_us // 1_000_000) for time in times), default=None)


def _size(order: Order) -> Decimal | None:
    # A limit price would bound the size from one side only: a buy may fill lower, and so get more.
    return None if order.volume_in_quote else _finite(order.volume)


def _finite(number: Decimal) -> Decimal | None:
    return number if number.is_finite() else None
