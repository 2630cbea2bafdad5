"""Decides on a call (step 3 of the line): asks every rule, and charges what an allowed call would use of its caps.

A rule is a function that allows or denies with a reason, or returns None if it does not apply. Rules of a call look at
the call, rules of an order at one leg. Every rule is asked, even after one has denied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Literal, TypeAlias

from signer.errors import NotAllowed, RefusalKind
from signer.model import Action, Call, Charge, Decision, Facts, Order, OrderRef, PlacedOrder, Price, RuleHit, one_name
from signer.policy.orders import (
    EXACT,
    Leg,
    changed,
    is_absolute,
    known_targets,
    legs_of,
    limit_price,
    meant,
    target_of,
    unfit_price,
)
from signer.policy.policy import Policy, format_amount
from signer.policy.schema import FLAGS

ZERO = Decimal(0)
ONE = Decimal(1)

_GRAVEST_FIRST = {
    "feature": RefusalKind.NOT_PERMITTED,
    "limit": RefusalKind.ORDER_LIMIT,
    "rate": RefusalKind.ORDER_RATE,
    "nothing": RefusalKind.NO_ORDER_NAMED,
}
"""A feature that is not permitted (the bot should stop) outranks an order above a limit, and that one outranks orders
that come too fast (the bot should wait)."""


def decide(policy: Policy, client: str, call: Call, facts: Facts) -> Decision:
    """Ask every rule about ``call`` by ``client`` under ``policy`` and return the decision.

    ``Decision.hits`` has all denials, most important first, then the rules that allow. A call that no permission covers
    is denied.
    """
    taken, facts = client_ids(policy, client, call, facts), meant(policy, client, facts)
    targets = _targets(call, facts)
    orders = _orders(call, targets)
    legs = legs_of(policy, orders, facts) if orders else ()
    denials: list[RuleHit] = []
    allows: dict[RuleHit, None] = {}  # a dict keeps their order and holds each once
    for hit in (*_hits_of_call(policy, call, facts, targets), *taken, *_hits_of_orders(policy, call, legs)):
        if hit.allows:
            allows[hit] = None
        else:
            denials.append(hit)
    allowed = not denials and bool(allows)
    charged = allowed and legs and not call.dry_run
    charges = charges_of(policy, client, legs, _counted_before(policy, call, facts, targets)) if charged else ()
    return Decision(allowed, (*denials, *allows), orders, charges, policy.name, policy.hash, targets)


def denial(decision: Decision) -> NotAllowed:
    """Return the refusal for a decision that denies: its gravest denial, with all rules that denied."""
    denials = decision.denials
    rules = tuple(hit.rule for hit in denials)
    for kind, refusal in _GRAVEST_FIRST.items():
        for hit in denials:
            if hit.kind == kind:
                return NotAllowed(refusal, f"{hit.rule}: {hit.reason}", rules=rules)
    # Without a rule that allows, the call is denied although no rule objects.
    return NotAllowed(RefusalKind.NOT_PERMITTED, "default: no rule allows this call", rules=rules)


def _targets(call: Call, facts: Facts) -> tuple[PlacedOrder, ...]:
    """Return the orders that the call's names reach, each once; of a change the one order, if it is certain which."""
    if call.change is not None:
        target = target_of(call, facts)
        return () if target is None else (target,)
    return tuple({one.venue_id: one for ref in call.targets for one in known_targets(ref, facts)}.values())


def _orders(call: Call, targets: tuple[PlacedOrder, ...]) -> tuple[Order, ...]:
    """Return the orders that the call would leave: those it places, or its target as changed."""
    return call.orders if call.change is None else tuple(changed(one.order, call.change) for one in targets)


def _hits_of_call(policy: Policy, call: Call, facts: Facts, targets: tuple[PlacedOrder, ...]) -> list[RuleHit]:
    hits = [*never_list(call), *loaded(policy, call), *permissions(policy, call), *sees(policy, call)]
    if call.action is not Action.READ or call.targets or call.whole_account or call.change is not None:
        hits += [*ownership(policy, call, facts, targets), *change(policy, call, targets)]
    return hits


def _hits_of_orders(policy: Policy, call: Call, legs: tuple[Leg, ...]) -> list[RuleHit]:
    rules = FEATURE_RULES if call.dry_run else FEATURE_RULES + LIMIT_RULES
    return [hit for rule in rules for leg in legs if (hit := rule(policy, leg)) is not None]


def charges_of(policy: Policy, client: str, legs: tuple[Leg, ...], before: Mapping[int, Decimal]) -> tuple[Charge, ...]:
    """Return the charges of an allowed call: for each leg, closing orders included, its notional and one order.

    An edit counts in full, because it places a new order. An amend counts what it adds to the order. What it takes off
    is not given back, so that going down and up again cannot exceed a cap. ``before`` has what the legs were charged
    for before, by their places.
    """
    scope = f"client/{client}"
    charges: list[Charge] = []
    for place, leg in enumerate(legs):
        added = ZERO if leg.notional is None else EXACT.subtract(leg.notional, before.get(place, ZERO))
        counts = [(cap, added) for cap in leg.limits.caps if added > 0] + [(cap, ONE) for cap in policy.order_caps]
        charges += [
            Charge(cap.name, scope, cap.unit, cap.window_s, cap.limit, amount, leg.index) for cap, amount in counts
        ]
    return tuple(charges)


def _counted_before(
    policy: Policy, call: Call, facts: Facts, targets: tuple[PlacedOrder, ...]
) -> Mapping[int, Decimal]:
    """Return the notional that each leg of an amended order was charged for before, by its place."""
    if call.change is None or call.change.replaces:
        return {}
    legs = legs_of(policy, tuple(one.order for one in targets), facts)
    return {place: leg.notional for place, leg in enumerate(legs) if leg.notional is not None}


OrderRule: TypeAlias = Callable[[Policy, Leg], RuleHit | None]

NO_PERMISSION_NEEDED = RuleHit("permissions", True, "the call needs no permission")
OWN_ORDERS = RuleHit("ownership", True, "every order it touches was placed by this client")
WHOLE_ACCOUNT = RuleHit("ownership", True, 'order_scope = "account" is granted')


def never_list(call: Call) -> Iterator[RuleHit]:
    """Deny calls that no policy can allow."""
    if call.never:
        yield _deny("never-list", f"{call.endpoint} is refused whatever a policy says")


def loaded(policy: Policy, call: Call) -> Iterator[RuleHit]:
    """Deny all but cancels if the policy's file does not load, because nobody knows what it allows."""
    if policy.only_cancels and call.action is not Action.CANCEL and not call.local:
        yield _deny("policy", f"policy {policy.name} does not load, so only cancels pass until it is fixed")


def permissions(policy: Policy, call: Call) -> Iterator[RuleHit]:
    """Require one granted permission of each set that the call needs. A call that names none is denied."""
    if not call.needs:
        if call.local or call.action is Action.READ:
            yield NO_PERMISSION_NEEDED
        else:
            yield _deny("permissions", f"no permission covers {call.endpoint}")
    for need in call.needs:
        granted = [word for word in need if word in policy.granted]
        if granted:
            yield policy.granted[min(granted)]
        else:
            yield _deny("permissions", f"{call.endpoint} needs {' or '.join(sorted(need))}")


def sees(policy: Policy, call: Call) -> Iterator[RuleHit]:
    """Deny calls that show the whole account, unless the policy says that its clients see it."""
    if call.sees_account and not policy.sees_account:
        yield _deny("sees", f'{call.endpoint} shows the whole account, and the policy does not say sees = "account"')


def ownership(policy: Policy, call: Call, facts: Facts, targets: tuple[PlacedOrder, ...]) -> Iterator[RuleHit]:
    """Require that a client cancels and changes only its own orders, unless its policy covers the account."""
    if call.whole_account:
        yield (
            WHOLE_ACCOUNT
            if policy.whole_account
            else _deny("ownership", f"{call.endpoint} reaches orders of everyone on the account")
        )
    if call.change is not None and not targets:
        own_id = policy.words.refs["venue-id"]
        yield _deny("ownership", f"{call.endpoint} must name one order that was placed through signer, by its {own_id}")
        return
    if not call.targets:
        if call.action is Action.CANCEL and not call.whole_account:
            yield _deny("ownership", f"{call.endpoint} names no order", "nothing")
        return
    foreign = () if policy.whole_account else tuple(ref for ref in call.targets if not known_targets(ref, facts))
    for ref in foreign:
        yield _deny("ownership", f"this client placed no order with {policy.words.refs[ref.kind]} {ref.value[:40]}")
    if not foreign:
        yield WHOLE_ACCOUNT if policy.whole_account else OWN_ORDERS


def client_ids(policy: Policy, client: str, call: Call, facts: Facts) -> Iterator[RuleHit]:
    """Deny a client's id that another open order of the client has: it names one open order at a time."""
    word, taken = policy.words.refs["client-id"], set[str]()
    for order in call.orders:
        if not order.client_id:
            continue
        bearers = facts.placed.get(OrderRef("client-id", order.client_id), ())
        open_now = any(placed.client == client and not placed.closed for placed in bearers)
        if open_now or one_name(order.client_id) in taken:
            yield _deny(word.replace("_", "-"), f"the {word} {order.client_id} is in use; choose another", "limit")
        taken.add(one_name(order.client_id))


def change(policy: Policy, call: Call, targets: tuple[PlacedOrder, ...]) -> Iterator[RuleHit]:
    """Deny what no edit or amend may do, whatever the order becomes."""
    if call.change is None or not targets:
        return
    (target,) = targets
    if call.change.pair not in {None, target.order.pair}:
        yield _deny("change", f"the order is of {target.order.pair}, not of {call.change.pair}")
    # The venue does not document whether it reads the new volume in the old unit.
    if target.order.quote_sized or call.change.quote_sized:
        word = policy.words.quote_sized
        yield _deny("change", f"an order by quote amount ({word}) cannot be changed; cancel it and place a new one")
    # The venue does not document what it does then, and we would assume a price that the order does not have.
    if unfit := unfit_price(target.order, call.change):
        yield _deny("change", f"an order of type {target.order.order_type} has no {unfit}")


def pairs(_: Policy, leg: Leg) -> RuleHit | None:
    """Require that the pair is listed."""
    return leg.limits.listed or _deny("pairs", f"{leg.name}{leg.order.pair} is not listed")


def sides(policy: Policy, leg: Leg) -> RuleHit | None:
    """Require that the side is listed."""
    return _listed("sides", policy.sides, leg.order.side, leg)


def order_types(policy: Policy, leg: Leg) -> RuleHit | None:
    """Require that the order type is listed."""
    return _listed("order-types", policy.order_types, leg.order.order_type, leg)


def close_orders(policy: Policy, leg: Leg) -> RuleHit | None:
    """Require that closing orders are allowed. Each is also checked as a leg of its own."""
    if not leg.is_attached or policy.close_orders:
        return None
    return _deny("close-orders", f"{leg.name}conditional closing orders are not allowed")


def leverage(policy: Policy, leg: Leg) -> RuleHit | None:
    """Deny margin orders unless the policy states a leverage, and those above it."""
    order = leg.order
    if order.leverage is None and not order.reduce_only and order.order_type != "settle-position":
        return None
    if policy.leverage is None:
        return _deny("leverage", f"{leg.name}orders on margin are not allowed")
    if order.leverage is not None and not (order.leverage.is_finite() and order.leverage <= policy.leverage):
        return _deny("leverage", f"{leg.name}leverage {order.leverage} is above {policy.leverage}")
    return None


def time_in_force(policy: Policy, leg: Leg) -> RuleHit | None:
    """Require that the time in force is listed."""
    return _listed("time-in-force", policy.time_in_force, leg.order.time_in_force, leg)


def flags(policy: Policy, leg: Leg) -> RuleHit | None:
    """Require that every flag is listed."""
    order = leg.order
    if not (order.flags or order.post_only or order.quote_sized):
        return None
    carried = set(order.flags)
    if order.post_only:
        carried.add(policy.words.post_only)
    if order.quote_sized:
        carried.add(policy.words.quote_sized)
    unlisted = sorted(carried - policy.flags)
    return _deny(FLAGS, f"{leg.name}{', '.join(unlisted)} not listed") if unlisted else None


def relative_prices(policy: Policy, leg: Leg) -> RuleHit | None:
    """Deny prices relative to the market unless the policy allows them."""
    if policy.relative_prices or (_absolute(leg.order.price) and _absolute(leg.order.price2)):
        return None
    return _deny("relative-prices", f"{leg.name}prices relative to the market are not allowed")


def schedule(policy: Policy, leg: Leg) -> RuleHit | None:
    """Deny a start or an end beyond what the policy allows, because a scheduled order outlives every halt."""
    if leg.ahead_s is None:
        return None
    if policy.schedule_s is None:
        return _deny("schedule", f"{leg.name}{policy.words.starts} and {policy.words.ends} are not allowed")
    if leg.ahead_s > policy.schedule_s:
        reason = f"{leg.name}{policy.words.starts} or {policy.words.ends} is {leg.ahead_s} s ahead, more than "
        reason += f"{policy.schedule_s} s"
        return _deny("schedule", reason)
    return None


def amounts(_: Policy, leg: Leg) -> RuleHit | None:
    """Require a positive volume and limit price. A volume of 0 would close a whole margin position."""
    if not _positive(leg.order.volume):
        return _deny("amounts", f"{leg.name}the volume must be more than 0", "limit")
    price = limit_price(leg.order)
    if price is not None and not _positive(price):
        return _deny("amounts", f"{leg.name}the limit price must be more than 0", "limit")
    return None


def unpriced(_: Policy, leg: Leg) -> RuleHit | None:
    """Require a known worst price where a notional limit or cap applies."""
    if leg.notional is not None or (leg.limits.notional is None and not leg.limits.caps):
        return None
    reason = f"{leg.name}no price bounds a {leg.order.order_type} order, so its notional cannot be capped"
    return _deny("unpriced", reason, "limit")


def order_size(_: Policy, leg: Leg) -> RuleHit | None:
    """Require that the volume is known and within the largest size for the base asset."""
    bound = leg.limits.size
    if bound is None:
        return None
    if leg.size is None:
        return _deny("order-size", f"{leg.name}the volume in {bound.unit} is not known", "limit")
    if leg.size > bound.limit:
        return _deny(
            "order-size",
            f"{leg.name}{format_amount(leg.size)} {bound.unit} is above {format_amount(bound.limit)}",
            "limit",
        )
    return bound.within


def order_notional(_: Policy, leg: Leg) -> RuleHit | None:
    """Require that the value is within the largest for the quote currency."""
    bound = leg.limits.notional
    if bound is None or leg.notional is None:
        return None
    if leg.notional > bound.limit:
        reason = f"{leg.name}{format_amount(leg.notional)} {bound.unit} is above {format_amount(bound.limit)}"
        return _deny("order-notional", reason, "limit")
    return bound.within


FEATURE_RULES: tuple[OrderRule, ...] = (
    pairs,
    sides,
    order_types,
    close_orders,
    leverage,
    time_in_force,
    flags,
    relative_prices,
    schedule,
    amounts,
)
"""The rules for every order, most important first."""

LIMIT_RULES: tuple[OrderRule, ...] = (unpriced, order_size, order_notional)
"""The rules for real orders, but not for a dry run (docs/kraken.md §8.11)."""


def _deny(rule: str, reason: str, kind: Literal["feature", "limit", "nothing"] = "feature") -> RuleHit:
    return RuleHit(rule, False, reason, kind)


def _listed(rule: str, words: Mapping[str, RuleHit], word: str, leg: Leg) -> RuleHit:
    return words.get(word) or _deny(rule, f"{leg.name}{word} is not listed")


def _absolute(price: Price | None) -> bool:
    return price is None or is_absolute(price)


def _positive(number: Decimal) -> bool:
    return number.is_finite() and number > 0
