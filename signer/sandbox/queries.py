"""Answer OpenOrders, ClosedOrders, QueryOrders, OrderAmends, trades and positions (docs/kraken.md §1b)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from signer.sandbox.fields import Fields
from signer.sandbox.history import counted, named, page, times
from signer.sandbox.orders import SimulatedOrder, order_json
from signer.sandbox.pairs import SimulatedPair
from signer.sandbox.past import as_it_was
from signer.sandbox.records import Amend, Position, Trade
from signer.sandbox.rejected import Rejected, invalid
from signer.sandbox.state import Methods, SimulatedCall, State
from signer.sandbox.terms import read_userref

_MOST_ORDERS = 50
_MOST_TRADES = 20
_ROLLOVER = 4 * 3600

_TRADE_TYPES: dict[str, Callable[[Trade], bool]] = {
    "all": lambda _trade: True,
    "any position": lambda trade: trade.leverage > 0,
    "closed position": lambda trade: trade.misc == "closing",
    "closing position": lambda trade: trade.misc == "closing",
    "no position": lambda trade: trade.leverage == 0,
}


def _open_orders(call: SimulatedCall) -> object:
    wanted = _wanted(call.fields)
    may_be_open = call.account.orders if call.met.stale_s else call.account.open
    orders = [order for order in _seen(call, may_be_open).values() if order.live]
    listed = call.met.listed(orders, _opened_at, call.state.now())
    return {"open": _order_rows(call, call.met.arranged(list(filter(wanted, listed))))}


def _closed_orders(call: SimulatedCall) -> object:
    wanted = _wanted(call.fields)
    by_open = call.fields.one_of("closetime", ("open", "close", "both"), "both") == "open"
    orders = [order for order in _seen(call, call.account.orders).values() if not order.live]
    ended = call.met.listed(orders, _closed_at, call.state.now())
    # For an order's txid Kraken takes the time when it opened, whatever ``closetime`` says.
    opening = times(call.account.orders, _opened_at)
    rows, count = page(call, filter(wanted, ended), _opened_at if by_open else _closed_at, opening)
    return counted(call.fields, "closed", _order_rows(call, rows), count)


def _seen(call: SimulatedCall, orders: Mapping[str, SimulatedOrder]) -> Mapping[str, SimulatedOrder]:
    """Answer these orders as the call sees them, by txid."""
    if not call.met.stale_s:
        return orders
    moment = call.state.now() - call.met.stale_s
    seen = {txid: as_it_was(order, call.account.trades, moment) for txid, order in orders.items()}
    return {txid: order for txid, order in seen.items() if order is not None}


def _opened_at(order: SimulatedOrder) -> float:
    return order.opened


def _closed_at(order: SimulatedOrder) -> float:
    return order.closed


def _order_rows(call: SimulatedCall, orders: Iterable[SimulatedOrder]) -> dict[str, object]:
    with_fills = call.fields.flag("trades")
    return {order.txid: order_json(order, trades=_fills(call, order) if with_fills else None) for order in orders}


def _fills(call: SimulatedCall, order: SimulatedOrder) -> list[str]:
    """Answer the ids of an order's fills that its row lists already."""
    fills = [call.account.trades[txid] for txid in order.trades]
    return [trade.id for trade in call.met.listed_fills(fills, _traded_at, call.state.now())]


def _wanted(fields: Fields) -> Callable[[SimulatedOrder], bool]:
    """Answer the filter by ``userref`` and ``cl_ord_id``."""
    userref = read_userref(fields)
    name = fields.text("cl_ord_id")
    return lambda order: (
        (userref is None or order.terms.userref == userref) and (not name or order.terms.cl_ord_id == name)
    )


def _query_orders(call: SimulatedCall) -> object:
    txids = call.fields.words("txid")
    if not 0 < len(txids) <= _MOST_ORDERS:
        raise invalid("txid")
    known = {txid: call.account.orders[txid] for txid in txids if txid in call.account.orders}
    orders = named(call, txids, _seen(call, known), _opened_at)
    if orders is None:
        raise Rejected("EOrder:Unknown order")
    return _order_rows(call, filter(_wanted(call.fields), orders))


def _order_amends(call: SimulatedCall) -> object:
    order = call.account.orders.get(call.fields.required("order_id"))
    if order is None:
        raise Rejected("EOrder:Unknown order")
    rows = [_amend_json(amend, order.terms.pair) for amend in order.amends]
    return {"count": len(rows), "amends": rows}


def _amend_json(amend: Amend, pair: SimulatedPair) -> dict[str, object]:
    answer: dict[str, object] = {
        "amend_id": amend.id,
        "amend_type": amend.type,
        "order_qty": pair.volume_text(amend.quantity),
        "remaining_qty": pair.volume_text(amend.remaining),
        "post_only": amend.post_only,
        "timestamp": int(amend.time * 1000),
    }
    if amend.display is not None:
        answer["display_qty"] = pair.volume_text(amend.display)
    if amend.limit is not None:
        answer["limit_price"] = pair.price_text(amend.limit)
    if amend.stop is not None:
        answer["trigger_price"] = pair.price_text(amend.stop)
    return answer


def _trades_history(call: SimulatedCall) -> object:
    kind = _TRADE_TYPES[call.fields.one_of("type", tuple(_TRADE_TYPES), "all")]
    ledgers = call.fields.flag("ledgers")
    trades = [trade for trade in call.account.trades.values() if kind(trade)]
    rows, count = page(call, trades, _traded_at, times(call.account.trades, _traded_at))
    return counted(call.fields, "trades", {trade.id: trade_json(trade, ledgers=ledgers) for trade in rows}, count)


def _traded_at(trade: Trade) -> float:
    return trade.time


def _query_trades(call: SimulatedCall) -> object:
    ids = call.fields.words("txid")
    trades = named(call, ids, call.account.trades, _traded_at)
    if not 0 < len(ids) <= _MOST_TRADES or trades is None:
        raise invalid("txid")
    return {trade.id: trade_json(trade, ledgers=call.fields.flag("ledgers")) for trade in trades}


def trade_json(trade: Trade, *, ledgers: bool) -> dict[str, object]:
    """Answer a trade in the shape of TradesHistory."""
    pair = trade.pair
    answer: dict[str, object] = {
        "ordertxid": trade.order,
        "postxid": trade.id if trade.leverage else trade.order,
        "pair": pair.id,
        "time": trade.time,
        "type": trade.side,
        "ordertype": trade.ordertype,
        "price": pair.cost_text(trade.price),
        "cost": pair.cost_text(trade.cost),
        "fee": pair.cost_text(trade.fee),
        "vol": pair.volume_text(trade.volume),
        "margin": pair.cost_text(trade.margin),
        "leverage": str(trade.leverage),
        "misc": trade.misc,
        "trade_id": trade.number,
        "maker": trade.maker,
    }
    if ledgers:
        answer["ledgers"] = list(trade.ledgers)
    return answer


def _open_positions(call: SimulatedCall) -> object:
    names = call.fields.words("txid")
    if any(name not in call.account.positions for name in names):
        raise Rejected("EOrder:Unknown position")
    chosen = [call.account.positions[name] for name in names] if names else list(call.account.positions.values())
    docalcs = call.fields.flag("docalcs")
    if call.fields.has("consolidation"):
        call.fields.one_of("consolidation", ("market",))
        return _consolidated(call.state, chosen, docalcs=docalcs)
    return {position.id: _position_json(call.state, position, docalcs=docalcs) for position in chosen}


def _position_json(state: State, position: Position, *, docalcs: bool) -> dict[str, object]:
    answer: dict[str, object] = {
        "ordertxid": position.order,
        "posstatus": "open",
        "time": position.time,
        "ordertype": position.ordertype,
        "terms": "0.0000% per 4 hours",
        "rollovertm": str(int(position.time) + _ROLLOVER),
        "misc": "",
        "oflags": "",
    }
    return answer | _sums(state, [position], docalcs=docalcs)


def _consolidated(state: State, positions: list[Position], *, docalcs: bool) -> list[dict[str, object]]:
    """Answer one row for each market and side."""
    groups: dict[tuple[str, str], list[Position]] = {}
    for position in positions:
        groups.setdefault((position.pair.id, position.side), []).append(position)
    return [
        {"positions": str(len(group)), "leverage": f"{group[0].leverage:.5f}"} | _sums(state, group, docalcs=docalcs)
        for group in groups.values()
    ]


def _sums(state: State, group: list[Position], *, docalcs: bool) -> dict[str, object]:
    pair, side = group[0].pair, group[0].side
    answer: dict[str, object] = {
        "pair": pair.id,
        "type": side,
        "cost": pair.cost_text(_total([position.cost for position in group])),
        "fee": pair.cost_text(_total([position.fee for position in group])),
        "vol": pair.volume_text(_total([position.volume for position in group])),
        "vol_closed": pair.volume_text(_total([position.closed for position in group])),
        "margin": pair.cost_text(_total([position.margin for position in group])),
    }
    if docalcs:
        value = _total([position.open_volume for position in group]) * state.market.last(pair)
        net = (value - _total([position.open_cost for position in group])) * (1 if side == "buy" else -1)
        answer |= {"value": f"{value:.1f}", "net": f"{net:+.4f}"}
    return answer


def _total(amounts: list[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))


METHODS: Methods = {
    "OpenOrders": _open_orders,
    "ClosedOrders": _closed_orders,
    "QueryOrders": _query_orders,
    "OrderAmends": _order_amends,
    "TradesHistory": _trades_history,
    "QueryTrades": _query_trades,
    "OpenPositions": _open_positions,
}
