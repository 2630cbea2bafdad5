"""The orders that a call means, and what an edit or amend makes of one.

A userref or a cl_ord_id is a name that several clients, and the owner's hand, may give to different orders. Said by a
client it means that client's own orders only, whoever else bears it.
"""

from __future__ import annotations

from dataclasses import replace

from signer.model import Call, Change, Facts, Order, OrderRef, PlacedOrder, Price
from signer.policy.legs import LIMIT_IN_PRICE
from signer.policy.policy import Policy

TRIGGERED_LIMITS = frozenset({"stop-loss-limit", "take-profit-limit", "trailing-stop-limit"})
HAVE_TRIGGER = TRIGGERED_LIMITS | {"stop-loss", "take-profit", "trailing-stop"}
HAVE_LIMIT = TRIGGERED_LIMITS | LIMIT_IN_PRICE


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
