"""An order as it was at an earlier moment, which a lagging copy of the exchange's books still shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from signer.sandbox.orders import SimulatedOrder
from signer.sandbox.records import Trade


def as_it_was(order: SimulatedOrder, trades: Mapping[str, Trade], moment: float) -> SimulatedOrder | None:
    """Answer a copy of the order with its fills, terms and state of that moment; None if it was not there yet.

    ``trades`` are the account's, by id. Times are Unix seconds.
    """
    if order.opened > moment:
        return None
    fills = [trade for trade in (trades[txid] for txid in order.trades) if trade.time <= moment]
    then = replace(
        _amended(order, moment),
        trades=[trade.id for trade in fills],
        filled=sum((trade.volume for trade in fills), Decimal(0)),
        cost=sum((trade.cost for trade in fills), Decimal(0)),
        fee=sum((trade.fee for trade in fills), Decimal(0)),
    )
    if order.live or order.closed <= moment:
        return then
    status = "pending" if order.terms.starttm > moment else "open"
    return replace(then, status=status, closed=0.0, reason=None)


def _amended(order: SimulatedOrder, moment: float) -> SimulatedOrder:
    """Answer the order with the terms of its latest version by then."""
    version = [amend for amend in order.amends if amend.time <= moment][-1]
    post = {"post"} if version.post_only else set()
    terms = replace(order.terms, volume=version.quantity, oflags=order.terms.oflags - {"post"} | post)
    return replace(
        order,
        terms=terms,
        volume=version.quantity,
        limit=version.limit,
        stop=version.stop,
        display=version.display,
    )
