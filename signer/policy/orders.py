"""The orders that a call means and would leave at the venue, with what each could cost at worst.

A userref or a cl_ord_id is a name that several clients, and the account's owner, may give to different orders. Said by
a client it means only that client's own orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_UP, Context, Decimal

from signer.model import Call, Change, Facts, Order, OrderRef, Pair, PlacedOrder, Price
from signer.policy.policy import Limits, Policy, limits_for

EXACT = Context(prec=100, rounding=ROUND_UP)
"""Wide enough for the product of any two numbers that the parser lets through; were it not, a cap errs upwards."""

LIMIT_IN_PRICE = frozenset({"limit", "iceberg"})
LIMIT_IN_PRICE2 = frozenset({"stop-loss-limit", "take-profit-limit"})
"""Where an order type has its limit (docs/kraken.md §6). Every other type may trade at any price."""

TRIGGERED_LIMITS = frozenset({"stop-loss-limit", "take-profit-limit", "trailing-stop-limit"})
HAVE_TRIGGER = TRIGGERED_LIMITS | {"stop-loss", "take-profit", "trailing-stop"}
HAVE_LIMIT = TRIGGERED_LIMITS | LIMIT_IN_PRICE


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
        limits, ahead_s = limits_of(policy, order.pair, facts.pairs), _ahead_s(order, facts.now_us)
        return (Leg(0, "", order, limits, _size(order), notional_of(order), ahead_s=ahead_s),)
    legs: list[Leg] = []
    for index, order in enumerate(orders):
        name = f"order {index + 1}" if len(orders) > 1 else ""
        limits = limits_of(policy, order.pair, facts.pairs)
        label, ahead_s = f"{name}: " if name else "", _ahead_s(order, facts.now_us)
        legs.append(Leg(index, label, order, limits, _size(order), notional_of(order), ahead_s=ahead_s))
        if order.close is not None:
            legs.append(_close_leg(index, f"{name}, close: " if name else "close: ", order, order.close, limits))
    return tuple(legs)


def limits_of(policy: Policy, pair_id: str, pairs: Mapping[str, Pair]) -> Limits:
    """What bounds orders of a pair, listed or not, so that every rule can speak of an order."""
    known = policy.limits.get(pair_id)
    if known is not None:
        return known
    pair = pairs.get(pair_id)
    if pair is None:
        return Limits(None, None, None, ())
    return limits_for(pair, None, policy.sizes, policy.notionals, policy.notional_caps)


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


def meant(policy: Policy, client: str, facts: Facts) -> Facts:
    """``facts`` with only those orders that ``client`` may mean: its own, or all under an account-wide policy."""
    if policy.whole_account or not facts.placed:
        return facts
    own = {ref: tuple(one for one in placed if one.client == client) for ref, placed in facts.placed.items()}
    return replace(facts, placed=own)


def refs_of(call: Call) -> tuple[OrderRef, ...]:
    """The names whose bearers `decide` must know, each once: those of the call's targets, and those that its orders
    take."""
    taken = (OrderRef("cl_ord_id", order.cl_ord_id) for order in call.orders if order.cl_ord_id)
    return tuple(dict.fromkeys((*call.targets, *taken)))


def known_targets(ref: OrderRef, facts: Facts) -> tuple[PlacedOrder, ...]:
    """The orders that ``ref`` may reach. A userref reaches all that carry it; other ids reach one, the newest: a
    ``cl_ord_id`` is unique among open orders (docs/kraken.md §1c-1), so older ones are closed. Wants `meant` facts."""
    placed = facts.placed.get(ref, ())
    return placed if ref.kind == "userref" else placed[:1]


def target_of(call: Call, facts: Facts) -> PlacedOrder | None:
    """The one order that an edit or amend changes, or None if we cannot tell which it is."""
    if len(call.targets) != 1:
        return None
    known = known_targets(call.targets[0], facts)
    return known[0] if len(known) == 1 else None


def changed(order: Order, change: Change) -> Order:
    """``order`` as ``change`` would leave it. An edit makes a new order, which has no userref and no post flag but
    those that the edit states (docs/kraken.md §1c-1)."""
    volume = order.volume if change.volume is None else change.volume
    price, price2 = (change.price, change.price2) if change.replaces else _amended_prices(order, change)
    return replace(
        order,
        volume=volume,
        price=price or order.price,
        price2=price2 or order.price2,
        display_volume=order.display_volume if change.display_volume is None else change.display_volume,
        oflags=_flags(order, change),
        userref=change.userref if change.replaces else order.userref,
        close=None if order.close is None else replace(order.close, volume=volume),
    )


def _flags(order: Order, change: Change) -> frozenset[str]:
    if change.oflags is not None:
        return change.oflags
    return order.oflags - {"post"} if change.replaces else order.oflags


def unfit_price(order: Order, change: Change) -> str:
    """The price that an amend sets although orders of this type have none such; empty if there is none."""
    if change.replaces:
        return ""
    trigger, limit = change.price, change.price2
    if trigger is not None and order.order_type not in HAVE_TRIGGER:
        return "trigger_price"
    return "limit_price" if limit is not None and order.order_type not in HAVE_LIMIT else ""


def _amended_prices(order: Order, change: Change) -> tuple[Price | None, Price | None]:
    """An amend's trigger and limit as the two prices of the order's type."""
    trigger, limit = change.price, change.price2
    return (limit, None) if order.order_type in LIMIT_IN_PRICE else (trigger, limit)
