"""Kraken's counters: what each tier may do, and what each call costs (docs/kraken.md §4)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from signer.errors import ConfigError
from signer.model import Action, Call, PlacedOrder
from signer.model.allowances import Allowance, Tier

TIERS: Mapping[str, Tier] = {
    "starter": Tier(Allowance(15, 0.33), Allowance(60, 1.0)),
    "intermediate": Tier(Allowance(20, 0.5), Allowance(125, 2.34)),
    "pro": Tier(Allowance(20, 1.0), Allowance(180, 3.75)),
    "unlimited": Tier(None, None),
}
"""By its name at Kraken; ``unlimited`` is the sandbox's, for tests under load."""

_DEAR_READS = frozenset({"Ledgers", "QueryLedgers", "TradesHistory", "QueryTrades", "ClosedOrders"})
"""Ledger and trade history, two points each."""

_AGES_S = (5, 10, 15, 45, 90, 300)
_AMEND = (3, 2, 1, 0, 0, 0, 0)
_EDIT = (6, 5, 4, 2, 1, 0, 0)
_CANCEL = (8, 6, 5, 4, 2, 1, 0)
"""By the order's age: below the first of `_AGES_S`, the second, and so on."""


def tier(name: str) -> Tier:
    """Return what the counters of an account of that level take. Raises `ConfigError` for an unknown level."""
    if name not in TIERS:
        raise ConfigError(f'Kraken has no tier "{name[:70]}"', hint=f"choose one of: {', '.join(TIERS)}")
    return TIERS[name]


def read_cost(call: Call) -> float:
    """What ``call`` adds to the counter of its key. Calls that place, change or cancel orders have another counter."""
    if call.action in {Action.ORDER, Action.CANCEL}:
        return 0.0
    return 2.0 if call.endpoint in _DEAR_READS else 1.0


def order_costs(call: Call, targets: Sequence[PlacedOrder], now_us: int) -> Mapping[str, float]:
    """What ``call`` adds to the counter of each pair; ``targets`` are the orders that it changes or cancels."""
    if call.action is Action.ORDER and call.change is None:
        return {call.orders[0].pair: add_cost(len(call.orders))} if call.orders else {}
    cost = cancel_cost if call.change is None else edit_cost if call.change.replaces else amend_cost
    costs: dict[str, float] = {}
    for target in targets if call.action in {Action.ORDER, Action.CANCEL} else ():
        age_s = max(0.0, (now_us - target.placed_us) / 1_000_000)
        costs[target.order.pair] = costs.get(target.order.pair, 0.0) + cost(age_s)
    return costs


def add_cost(orders: int) -> float:
    """What a call adds to its pair's counter that places so many orders; the cost of a batch is approximate."""
    return 1.0 if orders == 1 else 1.0 + orders / 2


def amend_cost(age_s: float) -> float:
    """What it costs to amend an order of that age."""
    return 1.0 + _AMEND[bisect_right(_AGES_S, age_s)]


def edit_cost(age_s: float) -> float:
    """What it costs to edit an order of that age."""
    return 1.0 + _EDIT[bisect_right(_AGES_S, age_s)]


def cancel_cost(age_s: float) -> float:
    """What it costs to cancel an order of that age."""
    return float(_CANCEL[bisect_right(_AGES_S, age_s)])
