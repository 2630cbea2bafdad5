"""Decisions of the example policies, and what tests ask of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from signer.model import Call, Decision, Order
from signer.policy import decide
from tests.unit.policy.examples import TXID, add, facts, order, policy

D = Decimal


def denied_by(decision: Decision) -> list[str]:
    """The rules that deny, in their order; nothing is charged then."""
    assert decision.allowed == (not decision.denials)
    assert decision.allowed or not decision.charges
    return [hit.rule for hit in decision.denials]


def placing(*orders: Order, dry_run: bool = False, **changes: Any) -> Decision:
    """The decision on placing ``orders`` under TRADER with ``changes``."""
    return decide(policy(**changes), "bot", add(*orders, dry_run=dry_run), facts())


def amounts(decision: Decision) -> list[tuple[str, str, int]]:
    """Charges as cap, amount and leg."""
    return [(charge.cap, f"{charge.amount:f}", charge.leg) for charge in decision.charges]


def changing(call: Call, *known: Any, **changes: Any) -> Decision:
    """The decision on an edit or amend of the order TXID, which is ``known``."""
    return decide(policy(**changes), "bot", call, facts({TXID: known}))


def closing(side: str = "sell", price: str = "60000", volume: str = "0.01", **fields: Any) -> Order:
    """A limit buy of 0.01 XBT with a conditional close."""
    return order(volume, attached=(order(volume, price, side=side),), **fields)
