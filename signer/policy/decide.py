"""Decides whether a client may make a call, by which rules, and what it would use of its caps (step 3 of the line)."""

from __future__ import annotations

from decimal import Decimal

from signer.errors import NotAllowed, RefusalKind
from signer.model import Call, Charge, Decision, Facts, Order, RuleHit
from signer.policy.orders import EXACT, Leg, changed, legs_of, meant, target_of
from signer.policy.policy import Policy
from signer.policy.rules import (
    FEATURE_RULES,
    LIMIT_RULES,
    change,
    client_ids,
    loaded,
    never_list,
    ownership,
    permissions,
)

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
    orders = _orders(call, facts)
    legs = legs_of(policy, orders, facts) if orders else ()
    denials: list[RuleHit] = []
    allows: dict[RuleHit, None] = {}  # a dict keeps their order and holds each once
    for hit in (*_hits_of_call(policy, call, facts), *taken, *_hits_of_orders(policy, call, legs)):
        if hit.allows:
            allows[hit] = None
        else:
            denials.append(hit)
    allowed = not denials and bool(allows)
    charges = charges_of(policy, client, call, facts, legs) if allowed and legs and not call.dry_run else ()
    return Decision(allowed, (*denials, *allows), orders, charges, policy.name, policy.hash)


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


def _orders(call: Call, facts: Facts) -> tuple[Order, ...]:
    """Return the orders that the call would leave: those it places, or its target as changed."""
    if call.change is None:
        return call.orders
    target = target_of(call, facts)
    return (changed(target.order, call.change),) if target else ()


def _hits_of_call(policy: Policy, call: Call, facts: Facts) -> list[RuleHit]:
    return [
        *never_list(call),
        *loaded(policy, call),
        *permissions(policy, call),
        *ownership(policy, call, facts),
        *change(policy, call, facts),
    ]


def _hits_of_orders(policy: Policy, call: Call, legs: tuple[Leg, ...]) -> list[RuleHit]:
    rules = FEATURE_RULES if call.dry_run else FEATURE_RULES + LIMIT_RULES
    return [hit for rule in rules for leg in legs if (hit := rule(policy, leg)) is not None]


def charges_of(policy: Policy, client: str, call: Call, facts: Facts, legs: tuple[Leg, ...]) -> tuple[Charge, ...]:
    """Return the charges of an allowed call: for each leg, closing orders included, its notional and one order.

    An edit counts in full, because it places a new order. An amend counts what it adds to the order. What it takes off
    is not given back, so that going down and up again cannot exceed a cap.
    """
    before = _counted_before(policy, call, facts)
    scope = f"client/{client}"
    charges: list[Charge] = []
    for place, leg in enumerate(legs):
        added = ZERO if leg.notional is None else EXACT.subtract(leg.notional, before.get(place, ZERO))
        counts = [(cap, added) for cap in leg.limits.caps if added > 0] + [(cap, ONE) for cap in policy.order_caps]
        charges += [
            Charge(cap.name, scope, cap.unit, cap.window_s, cap.limit, amount, leg.index) for cap, amount in counts
        ]
    return tuple(charges)


def _counted_before(policy: Policy, call: Call, facts: Facts) -> dict[int, Decimal]:
    """Return the notional that each leg of an amended order was charged for before, by its place."""
    if call.change is None or call.change.replaces:
        return {}
    target = target_of(call, facts)
    legs = legs_of(policy, (target.order,), facts) if target else ()
    return {place: leg.notional for place, leg in enumerate(legs) if leg.notional is not None}
