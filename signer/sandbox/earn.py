"""Earn: allocates money to strategies and takes it back (docs/kraken.md §1f).

Allocated money is in a balance of its own (``DOT.B``), so it can be traded only after it was deallocated.
Both take effect at once, and there are no rewards.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from signer.sandbox.money import amount_text
from signer.sandbox.pairs import Asset, asset
from signer.sandbox.rejected import Rejected, invalid
from signer.sandbox.state import Methods, SimulatedCall


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to earn on one asset."""

    id: str
    asset: Asset
    lock: str
    apr: tuple[str, str]
    minimum: Decimal

    @property
    def balance(self) -> str:
        """The balance that holds allocated money."""
        return f"{self.asset.altname}.{'B' if self.lock == 'bonded' else 'F'}"


STRATEGIES = {
    strategy.id: strategy
    for strategy in (
        Strategy("ESDQCOL-WTZEU-NU55QF", asset("XETH"), "bonded", ("2.0000", "5.0000"), Decimal("0.001")),
        Strategy("ESRFUO3-Q62XD-WIOIL7", asset("DOT"), "instant", ("6.0000", "10.0000"), Decimal("0.1")),
        Strategy("ESMWVX6-JAPVY-23L3CV", asset("ATOM"), "bonded", ("9.0000", "14.0000"), Decimal("0.1")),
        Strategy("ESXUM7H-SJHQ6-KOQNNI", asset("SOL"), "bonded", ("4.0000", "7.0000"), Decimal("0.01")),
    )
}

_LOCKS: dict[str, dict[str, object]] = {
    "instant": {"type": "instant", "payout_frequency": 604_800},
    "bonded": {
        "type": "bonded",
        "payout_frequency": 604_800,
        "bonding_period": 0,
        "bonding_period_variable": False,
        "bonding_rewards": False,
        "unbonding_period": 0,
        "unbonding_period_variable": False,
        "unbonding_rewards": False,
        "exit_queue_period": 0,
    },
}


def _strategies(call: SimulatedCall) -> object:
    wanted = call.state.instruments.asset(call.fields.text("asset")) if call.fields.has("asset") else None
    chosen = [strategy for strategy in STRATEGIES.values() if wanted is None or strategy.asset == wanted]
    return {"items": [_strategy_json(strategy) for strategy in chosen], "next_cursor": None}


def _strategy_json(strategy: Strategy) -> dict[str, object]:
    low, high = strategy.apr
    return {
        "id": strategy.id,
        "asset": strategy.asset.altname,
        "lock_type": _LOCKS[strategy.lock],
        "apr_estimate": {"low": low, "high": high},
        "user_min_allocation": f"{strategy.minimum:f}",
        "allocation_fee": "0.0000",
        "deallocation_fee": "0.0000",
        "auto_compound": {"type": "enabled"},
        "yield_source": {"type": "staking"},
        "can_allocate": True,
        "can_deallocate": True,
        "allocation_restriction_info": [],
    }


def _named(call: SimulatedCall) -> Strategy:
    strategy = STRATEGIES.get(call.fields.required("strategy_id"))
    if strategy is None:
        raise invalid("strategy_id")
    return strategy


def _allocate(call: SimulatedCall) -> object:
    strategy = _named(call)
    amount = strategy.asset.down(call.fields.required_amount("amount"))
    if amount < strategy.minimum:
        raise Rejected("EEarnings:Below min")
    _move(call, "allocation", strategy.asset.id, strategy.balance, amount)
    return True


def _deallocate(call: SimulatedCall) -> object:
    strategy = _named(call)
    amount = strategy.asset.down(call.fields.required_amount("amount"))
    if amount <= 0:
        raise Rejected("EEarnings:Below min")
    _move(call, "deallocation", strategy.balance, strategy.asset.id, amount)
    return True


def _move(call: SimulatedCall, subtype: str, source: str, target: str, amount: Decimal) -> None:
    wallet = call.account.wallet
    wallet.require(source, amount, error="EEarnings:Insufficient funds")
    refid = call.state.ids.transfer("E")
    wallet.post(refid=refid, type="earn", subtype=subtype, asset=source, amount=-amount)
    wallet.post(refid=refid, type="earn", subtype=subtype, asset=target, amount=amount)


def _status(call: SimulatedCall) -> object:
    _named(call)
    return {"pending": False}


def _allocations(call: SimulatedCall) -> object:
    converted = call.state.instruments.asset(call.fields.text("converted_asset", "USD"))
    worth = call.state.market.worth
    items: list[dict[str, object]] = []
    total = Decimal(0)
    for strategy in STRATEGIES.values():
        amount = call.account.wallet.balance(strategy.balance)
        if not amount:
            continue
        value = amount * worth(strategy.asset) / worth(converted)
        total += value
        both = {"native": amount_text(strategy.asset.id, amount), "converted": amount_text(converted.id, value)}
        items.append(
            {
                "strategy_id": strategy.id,
                "native_asset": strategy.asset.altname,
                "amount_allocated": {"total": both},
                "total_rewarded": {"native": amount_text(strategy.asset.id, Decimal(0)), "converted": "0"},
            }
        )
    return {
        "converted_asset": converted.altname,
        "total_allocated": amount_text(converted.id, total),
        "total_rewarded": amount_text(converted.id, Decimal(0)),
        "items": items,
        "next_cursor": None,
    }


METHODS: Methods = {
    "Earn/Strategies": _strategies,
    "Earn/Allocate": _allocate,
    "Earn/AllocateStatus": _status,
    "Earn/Deallocate": _deallocate,
    "Earn/DeallocateStatus": _status,
    "Earn/Allocations": _allocations,
}
