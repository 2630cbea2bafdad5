"""Finds the orders that a call refers to and would leave at the venue, and the most that each could cost.

Several clients, and the account's owner, may give the same name to different orders. From a client such a
name means only that client's own orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_UP, Context, Decimal

from signer.model import Call, Change, Facts, Order, OrderRef, Pair, PlacedOrder, Price
from signer.model.immutable import immutable
from signer.policy.policy import Limits, Policy, limits_for

EXACT = Context(prec=100, rounding=ROUND_UP)
"""Exact for the product of any two numbers that the parser accepts. It rounds up, so that a cap would err upwards."""

LIMIT_IN_PRICE = frozenset({"limit", "iceberg"})
LIMIT_IN_PRICE2 = frozenset({"stop-loss-limit", "take-profit-limit"})
"""The order types with a limit, by the field that holds it (docs/kraken.md §6). Others may trade at any price."""

TRIGGERED_LIMITS = frozenset({"stop-loss-limit", "take-profit-limit", "trailing-stop-limit"})
HAVE_TRIGGER = TRIGGERED_LIMITS | {"stop-loss", "take-profit", "trailing-stop"}
HAVE_LIMIT = TRIGGERED_LIMITS | LIMIT_IN_PRICE


@immutable
class Leg:
    """One order or closing order, as the rules see it."""

    index: int
    """The position of its order in the call. A closing order has that of the order that it closes."""
    name: str
    """The beginning of reasons: empty for an only order, else ``order 2: `` or ``order 2, close: ``."""
    order: Order
    limits: Limits
    size: Decimal | None
    """The volume in the base asset, None if only the quote amount is known."""
    notional: Decimal | None
    """The most that a buy costs, or the least that a sell asks, in the quote currency; None if no price bounds it."""
    is_attached: bool = False
    ahead_s: int | None = None
    """Seconds from now to its start or its end, whichever is later; None if it has neither."""


def legs_of(policy: Policy, orders: tuple[Order, ...], facts: Facts) -> tuple[Leg, ...]:
    """Make a leg for each order and for each closing order."""
    if len(orders) == 1 and not orders[0].attached:  # as in nearly every call
        order = orders[0]
        limits, ahead_s = limits_of(policy, order.pair, facts.pairs), _ahead_s(order, facts.now_us)
        return (Leg(0, "", order, limits, _size(order), notional_of(order), ahead_s=ahead_s),)
    legs: list[Leg] = []
    for index, order in enumerate(orders):
        name = f"order {index + 1}" if len(orders) > 1 else ""
        limits = limits_of(policy, order.pair, facts.pairs)
        label, ahead_s = f"{name}: " if name else "", _ahead_s(order, facts.now_us)
        legs.append(Leg(index, label, order, limits, _size(order), notional_of(order), ahead_s=ahead_s))
        label = f"{name}, close: " if name else "close: "
        legs += [_attached_leg(index, label, order, attached, limits) for attached in order.attached]
    return tuple(legs)


def limits_of(policy: Policy, pair_id: str, pairs: Mapping[str, Pair]) -> Limits:
    """Return the limits of orders of a pair, whether the policy lists it or not, so that every rule can be asked."""
    known = policy.limits.get(pair_id)
    if known is not None:
        return known
    pair = pairs.get(pair_id)
    if pair is None:
        return Limits(None, None, None, ())
    return limits_for(pair, None, policy.sizes, policy.notionals, policy.notional_caps)


def _attached_leg(index: int, name: str, order: Order, attached: Order, limits: Limits) -> Leg:
    # It closes what the first order got in the base asset, which is unknown for an order by quote amount.
    known = not order.quote_sized
    size, notional = (_size(attached), notional_of(attached)) if known else (None, None)
    return Leg(index, name, attached, limits, size, notional, is_attached=True)


def limit_price(order: Order) -> Decimal | None:
    """Return the price that an order cannot trade beyond, None if it has none or if it moves with the market."""
    if order.order_type in LIMIT_IN_PRICE:
        price = order.price
    elif order.order_type in LIMIT_IN_PRICE2:
        price = order.price2
    else:
        return None
    return price.amount if price is not None and is_absolute(price) else None


def is_absolute(price: Price) -> bool:
    """Return whether the amount is the price, with no market needed to know it."""
    return not price.sign and not price.percent


def notional_of(order: Order) -> Decimal | None:
    """Return the order's value in its quote currency at its limit price, None if it is not known."""
    if order.quote_sized:
        return _finite(order.volume)
    price = limit_price(order)
    if price is None or not (price.is_finite() and order.volume.is_finite()):
        return None
    return EXACT.multiply(order.volume, price)


def _ahead_s(order: Order, now_us: int) -> int | None:
    """Return the seconds from now to the later of start and end; None if the order has neither."""
    return max((moment.ahead_s(now_us) for moment in (order.starts, order.ends) if moment), default=None)


def _size(order: Order) -> Decimal | None:
    # A limit price does not bound the size of a buy by quote amount: filled at a lower price, it gets more.
    return None if order.quote_sized else _finite(order.volume)


def _finite(number: Decimal) -> Decimal | None:
    return number if number.is_finite() else None


def meant(policy: Policy, client: str, facts: Facts) -> Facts:
    """Return ``facts`` with only the orders that ``client`` may refer to: its own, or all if its policy says so."""
    if policy.whole_account or not facts.placed:
        return facts
    own = {ref: tuple(one for one in placed if one.client == client) for ref, placed in facts.placed.items()}
    return replace(facts, placed=own)


def refs_of(call: Call) -> tuple[OrderRef, ...]:
    """Return the names by which `decide` must know orders, each once: the call's targets and its orders' own names."""
    taken = (OrderRef("client-id", order.client_id) for order in call.orders if order.client_id)
    return tuple(dict.fromkeys((*call.targets, *taken)))


def known_targets(ref: OrderRef, facts: Facts) -> tuple[PlacedOrder, ...]:
    """Return the orders that ``ref`` may reach, from facts that `meant` has filtered.

    A client's tag reaches all orders that carry it. Other names reach only the newest: a client's id is unique among
    open orders, so older ones are closed.
    """
    placed = facts.placed.get(ref, ())
    return placed if ref.kind == "client-tag" else placed[:1]


def target_of(call: Call, facts: Facts) -> PlacedOrder | None:
    """Return the one order that an edit or amend changes, None if it is not certain which.

    Of several orders with the same tag it is the one that may be open, if the others are known to be closed.
    """
    if len(call.targets) != 1:
        return None
    known = known_targets(call.targets[0], facts)
    possible = known if len(known) == 1 else [one for one in known if not one.closed]
    return possible[0] if len(possible) == 1 else None


def changed(order: Order, change: Change) -> Order:
    """Return ``order`` as ``change`` would leave it.

    A replacement has the tag and the post-only flag that the change states, or none (docs/kraken.md §1c-1).
    """
    volume = order.volume if change.volume is None else change.volume
    price, price2 = (change.price, change.price2) if change.replaces else _amended_prices(order, change)
    return replace(
        order,
        volume=volume,
        price=price or order.price,
        price2=price2 or order.price2,
        display_volume=order.display_volume if change.display_volume is None else change.display_volume,
        post_only=_post_only(order, change),
        flags=order.flags if change.flags is None else change.flags,
        client_tag=change.client_tag if change.replaces else order.client_tag,
        own=change.own if change.replaces else order.own,
        attached=tuple(replace(attached, volume=volume) for attached in order.attached),
    )


def _post_only(order: Order, change: Change) -> bool:
    if change.post_only is not None:
        return change.post_only
    return order.post_only and not change.replaces


def unfit_price(order: Order, change: Change) -> str:
    """Name the price that an amend sets but this type of order does not have; empty if there is none."""
    if change.replaces:
        return ""
    trigger, limit = change.price, change.price2
    if trigger is not None and order.order_type not in HAVE_TRIGGER:
        return "trigger_price"
    return "limit_price" if limit is not None and order.order_type not in HAVE_LIMIT else ""


def _amended_prices(order: Order, change: Change) -> tuple[Price | None, Price | None]:
    """Return an amend's trigger and limit as the two prices of the order's type."""
    trigger, limit = change.price, change.price2
    return (limit, None) if order.order_type in LIMIT_IN_PRICE else (trigger, limit)
