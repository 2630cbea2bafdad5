"""Step 3 of the straight line: may this client make this call, by which rules, and what would it use of its caps?"""

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
    cl_ord_ids,
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
"""A feature that is not permitted outranks an order past a limit (the bot should stop), and that one outranks orders
that come too fast (the bot should wait)."""


def decide(policy: Policy, client: str, call: Call, facts: Facts) -> Decision:
    """The decision on ``call`` by ``client`` under ``policy``. Pure; every rule is asked.

    ``hits`` has all denials, most important first, then what allowed. Nothing is allowed that no permission covers.
    """
    taken, facts = cl_ord_ids(client, call, facts), meant(policy, client, facts)
    orders = _orders(call, facts)
    legs = legs_of(policy, orders, facts) if orders else ()
    denials: list[RuleHit] = []
    allows: dict[RuleHit, None] = {}  # a dict keeps their order and says each once
    for hit in (*_hits_of_call(policy, call, facts), *taken, *_hits_of_orders(policy, call, legs)):
        if hit.allows:
            allows[hit] = None
        else:
            denials.append(hit)
    allowed = not denials and bool(allows)
    charges = charges_of(policy, client, call, facts, legs) if allowed and legs and not call.dry_run else ()
    return Decision(allowed, (*denials, *allows), orders, charges, policy.name, policy.hash)


def denial(decision: Decision) -> NotAllowed:
    """The refusal that fits a decision which denies: for its gravest denial, with all rules that denied."""
    denials = decision.denials
    rules = tuple(hit.rule for hit in denials)
    for kind, refusal in _GRAVEST_FIRST.items():
        for hit in denials:
            if hit.kind == kind:
                return NotAllowed(refusal, f"{hit.rule}: {hit.reason}", rules=rules)
    # A missing allow is a denial: no rule needs to object.
    return NotAllowed(RefusalKind.NOT_PERMITTED, "default: no rule allows this call", rules=rules)


def _orders(call: Call, facts: Facts) -> tuple[Order, ...]:
    """The orders that there would be: those the call places, or what it makes of its target."""
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
        *change(call, facts),
    ]


def _hits_of_orders(policy: Policy, call: Call, legs: tuple[Leg, ...]) -> list[RuleHit]:
    rules = FEATURE_RULES if call.dry_run else FEATURE_RULES + LIMIT_RULES
    return [hit for rule in rules for leg in legs if (hit := rule(policy, leg)) is not None]


def charges_of(policy: Policy, client: str, call: Call, facts: Facts, legs: tuple[Leg, ...]) -> tuple[Charge, ...]:
    """The charges of a call that is allowed: for each leg its notional and one order, closing orders included.

    An edit counts in full, since it places a new order. An amend counts what it adds to the order; what it takes off
    is not given back, so that going down and up again cannot pass a cap.
    """
    before = _counted_before(policy, call, facts)
    scope = f"client/{client}"
    charges: list[Charge] = []
    for leg in legs:
        added = ZERO if leg.notional is None else EXACT.subtract(leg.notional, before.get(leg.is_close, ZERO))
        counts = [(cap, added) for cap in leg.limits.caps if added > 0] + [(cap, ONE) for cap in policy.order_caps]
        charges += [
            Charge(cap.name, scope, cap.unit, cap.window_s, cap.limit, amount, leg.index) for cap, amount in counts
        ]
    return tuple(charges)


def _counted_before(policy: Policy, call: Call, facts: Facts) -> dict[bool, Decimal]:
    """What an amended order had been charged for, itself (False) and its closing order (True)."""
    if call.change is None or call.change.replaces:
        return {}
    target = target_of(call, facts)
    legs = legs_of(policy, (target.order,), facts) if target else ()
    return {leg.is_close: leg.notional for leg in legs if leg.notional is not None}
