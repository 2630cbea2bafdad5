"""What an allowed call would use of which cap. Only named here; the ledger counts."""

from __future__ import annotations

from decimal import Decimal

from signer.model import Call, Charge, Facts
from signer.policy.legs import EXACT, Leg, legs_of
from signer.policy.policy import Policy
from signer.policy.targets import target_of

ZERO = Decimal(0)
ONE = Decimal(1)


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
