"""Ends orders: on a cancel call, by the dead man's switch, and at their expiry (docs/kraken.md §1c)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from signer.sandbox.limits import cancel_cost
from signer.sandbox.matching import finish, start
from signer.sandbox.orders import SimulatedOrder
from signer.sandbox.rejected import Rejected, invalid
from signer.sandbox.state import Methods, SimulatedAccount, SimulatedCall, State

_BATCH = range(2, 51)
_LONGEST_TIMEOUT = 86_400
_REASON = "User requested"


def run_timers(state: State) -> None:
    """Run what is due by now: dead man's switches, expiries and scheduled starts."""
    now = state.now()
    for account in state.accounts.values():
        if account.cancel_all_at is not None and account.cancel_all_at <= now:
            account.cancel_all_at = None
            _cancel(state, list(account.open.values()))
    for order in list(state.timed.values()):
        if order.cancel_at and order.cancel_at <= now:
            finish(state, order, "canceled", _REASON)
        elif order.terms.expiretm and order.terms.expiretm <= now:
            finish(state, order, "expired")
        elif order.status == "pending" and order.terms.starttm <= now:
            start(state, order)


def _cancel(state: State, orders: Iterable[SimulatedOrder]) -> None:
    for order in orders:
        finish(state, order, "canceled", _REASON)


def _cancel_counted(call: SimulatedCall, found: dict[str, SimulatedOrder]) -> object:
    """Cancel the orders that a call names. Raises `Rejected` if there are none, or if a counter is exhausted."""
    if not found:
        raise Rejected("EOrder:Unknown order")
    if any(order.cancel_at for order in found.values()):
        raise Rejected("EOrder:Cancel pending")
    return _cancel_now_or_late(call, found.values())


def _cancel_now_or_late(call: SimulatedCall, orders: Collection[SimulatedOrder]) -> dict[str, object]:
    """Count and cancel orders, and answer how many they are, and whether they can trade for a while.

    Raises `Rejected` if the counter of one of their pairs is exhausted.
    """
    for pair in {order.terms.pair.id for order in orders}:
        call.account.counters.require_room(pair, call.state.now())
    _count(call.state, call.account, orders)
    late = call.met.cancel_late_s
    if not late:
        _cancel(call.state, orders)
        return {"count": len(orders)}
    for order in orders:
        order.cancel_at = call.state.now() + late
        call.state.timed[order.txid] = order
    return {"count": len(orders), "pending": True}


def _count(state: State, account: SimulatedAccount, orders: Iterable[SimulatedOrder]) -> None:
    for order in orders:
        account.counters.add(order.terms.pair.id, cancel_cost(state.now() - order.touched), state.now())


def called(account: SimulatedAccount, names: list[str], cl_ord_ids: list[str]) -> dict[str, SimulatedOrder]:
    """Answer the live orders that have one of the txids, userrefs or client ids."""
    return {
        txid: order
        for txid, order in account.open.items()
        if any(map(order.called, names)) or order.terms.cl_ord_id in cl_ord_ids
    }


def _cancel_order(call: SimulatedCall) -> object:
    """Cancel by one txid or userref, or by one ``cl_ord_id``. Kraken documents no list with commas."""
    txid, cl_ord_id = call.fields.text("txid"), call.fields.text("cl_ord_id")
    if not txid and not cl_ord_id:
        raise Rejected("EOrder:Invalid order")
    if txid and cl_ord_id:
        raise invalid("txid")
    found = called(call.account, [txid] if txid else [], [cl_ord_id] if cl_ord_id else [])
    return _cancel_counted(call, found)


def _cancel_order_batch(call: SimulatedCall) -> object:
    """Cancel several orders. Kraken demands at least two names."""
    txids, cl_ord_ids = call.fields.words("orders"), call.fields.words("cl_ord_ids")
    if len(txids) + len(cl_ord_ids) not in _BATCH:
        raise invalid("orders")
    return _cancel_counted(call, called(call.account, txids, cl_ord_ids))


def _cancel_all(call: SimulatedCall) -> object:
    return _cancel_now_or_late(call, [order for order in call.account.open.values() if not order.cancel_at])


def _cancel_all_orders_after(call: SimulatedCall) -> object:
    timeout = call.fields.integer("timeout")
    if timeout is None or not 0 <= timeout <= _LONGEST_TIMEOUT:
        raise invalid("timeout")
    now = call.state.now()
    call.account.cancel_all_at = now + timeout if timeout else None
    return {"currentTime": _iso(now), "triggerTime": _iso(now + timeout) if timeout else "0"}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


METHODS: Methods = {
    "CancelOrder": _cancel_order,
    "CancelOrderBatch": _cancel_order_batch,
    "CancelAll": _cancel_all,
    "CancelAllOrdersAfter": _cancel_all_orders_after,
}
