"""Runs an order's life: it meets the market, waits, triggers, fills and ends."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from signer.sandbox import margin
from signer.sandbox.admission import admit, check_money, limit_beyond, needs, new_order, plan, trailing_stop
from signer.sandbox.orders import SimulatedOrder, version
from signer.sandbox.pairs import SimulatedPair
from signer.sandbox.records import Trade
from signer.sandbox.rejected import Rejected, invalid
from signer.sandbox.state import SimulatedAccount, State
from signer.sandbox.terms import TRAILING, Terms


def place(state: State, account: SimulatedAccount, terms: Terms) -> SimulatedOrder:
    """Admit an order and let it meet the market. Raises `Rejected` and changes nothing if it is not admitted."""
    order = new_order(state, account, terms)
    admit(state, account, order)
    register(state, account, order)
    return order


def register(state: State, account: SimulatedAccount, order: SimulatedOrder) -> None:
    """Register an admitted order and let it meet the market."""
    account.orders[order.txid] = account.open[order.txid] = order
    order.amends.append(version(order, state.ids.trade(), "original"))
    if order.terms.starttm or order.terms.expiretm:
        state.timed[order.txid] = order
    arrive(state, order)


def arrive(state: State, order: SimulatedOrder) -> None:
    """Let an order meet the market, at its start or after its terms changed."""
    account = state.accounts[order.account]
    if order.terms.ordertype == "settle-position":
        margin.settle(account, order, state.ids.trade())
        finish(state, order, "closed")
    elif order.status == "pending":
        _hold(state, order)
    elif not order.waits:
        _execute(state, order)
    elif _reached(state, order):
        _trigger(state, order)
    else:
        _hold(state, order)


def start(state: State, order: SimulatedOrder) -> None:
    """Begin a scheduled order."""
    order.status = "open"
    if order.waits:
        arrive(state, order)
    else:
        _act(state, order)


def reprice(state: State, pair: SimulatedPair, price: Decimal) -> None:
    """Move a pair's market: fill the resting orders that it crosses at their limits, and trigger stops."""
    state.market.move(pair, price)
    for order in list(state.open_orders(pair)):
        if order.status == "open":
            _meet(state, order)


def fill(state: State, order: SimulatedOrder, volume: Decimal) -> None:
    """Trade a part of a resting order at its limit, as if somebody else's order had come. Raises `Rejected`."""
    if not order.rests or order.limit is None:
        raise Rejected("EOrder:Unknown order")
    if not 0 < volume <= order.remaining or volume != order.terms.pair.lots(volume):
        raise invalid("volume")
    _fill(state, order, volume, order.limit, maker=True)
    if order.remaining:
        _hold(state, order)
    else:
        finish(state, order, "closed")


def finish(state: State, order: SimulatedOrder, status: str, reason: str | None = None) -> None:
    """End an order: ``closed`` (filled), ``canceled`` or ``expired``."""
    order.status, order.reason, order.closed = status, reason, state.now()
    account = state.accounts[order.account]
    account.wallet.release(order.txid)
    account.open.pop(order.txid, None)
    state.timed.pop(order.txid, None)


def _meet(state: State, order: SimulatedOrder) -> None:
    if order.waits:
        _trail(state, order)
        if _reached(state, order):
            _trigger(state, order)
    elif order.limit is not None and state.market.crosses(order.terms.pair, order.terms.side, order.limit):
        _fill(state, order, order.remaining, order.limit, maker=True)
        finish(state, order, "closed")


def _reached(state: State, order: SimulatedOrder) -> bool:
    """Answer whether the last price has reached the trigger."""
    if order.stop is None:
        return True
    last = state.market.last(order.terms.pair)
    rises = order.terms.buys != order.terms.ordertype.startswith("take-profit")
    return last >= order.stop if rises else last <= order.stop


def _trail(state: State, order: SimulatedOrder) -> None:
    """Move a trailing stop after the price. It never moves back."""
    terms = order.terms
    if terms.ordertype not in TRAILING or terms.price is None or order.stop is None:
        return
    stop = trailing_stop(terms, terms.price, state.market.last(terms.pair))
    order.stop = min(order.stop, stop) if terms.buys else max(order.stop, stop)
    order.limit = limit_beyond(terms, order.stop)
    _hold(state, order)


def _trigger(state: State, order: SimulatedOrder) -> None:
    order.triggered = True
    _act(state, order)


def _act(state: State, order: SimulatedOrder) -> None:
    """Execute an order that waited, although the price may be beyond the one for which its money is held."""
    try:
        check_money(state, state.accounts[order.account], order, besides=order.txid)
    except Rejected as short:
        finish(state, order, "canceled", short.errors[0])
    else:
        _execute(state, order)


def _execute(state: State, order: SimulatedOrder) -> None:
    """Trade what the market offers, then rest or end."""
    fills = plan(state.market, order)
    terms = order.terms
    short = not terms.in_quote and sum(quantity for _, quantity in fills) < order.remaining
    if short and terms.timeinforce == "FOK":
        finish(state, order, "canceled", "Fill or kill")
        return
    for price, quantity in fills:
        _fill(state, order, quantity, price, maker=False)
    if not order.remaining or (terms.in_quote and fills):
        finish(state, order, "closed")
    elif order.limit is None or terms.timeinforce == "IOC":
        finish(state, order, "canceled", "Immediate or cancel")
    else:
        _hold(state, order)


def _hold(state: State, order: SimulatedOrder) -> None:
    state.accounts[order.account].wallet.hold(order.txid, *needs(state.market, order))


def _fill(state: State, order: SimulatedOrder, quantity: Decimal, price: Decimal, *, maker: bool) -> None:
    """Trade a part of an order: move money and positions, write the tape, and place its close order."""
    account, terms = state.accounts[order.account], order.terms
    trade = _trade(state, order, quantity, price, maker=maker)
    # The fill is paid out of the hold. The rest of the hold is calculated again after the fills.
    account.wallet.release(order.txid)
    if terms.leverage:
        trade = replace(trade, misc="closing" if margin.opposite(account, trade.pair, trade.side) else "")
        trade.ledgers.append(margin.trade(account, trade))
    else:
        trade.ledgers.extend(_exchange(account, terms, trade))
    account.trades[trade.id] = trade
    order.trades.append(trade.id)
    order.filled += trade.volume
    order.cost += trade.cost
    order.fee += trade.fee
    if terms.close is not None:
        userref = terms.userref if state.close_keeps_userref else None
        _spawn(state, account, order, replace(terms.close, volume=quantity, userref=userref))


def _trade(state: State, order: SimulatedOrder, quantity: Decimal, price: Decimal, *, maker: bool) -> Trade:
    """Answer the record of a fill, which is on the tape but whose money has not moved yet."""
    terms, pair = order.terms, order.terms.pair
    cost = pair.quote.down(quantity * price)
    rate = pair.maker if maker else pair.taker
    return Trade(
        id=state.ids.trade(),
        order=order.txid,
        pair=pair,
        time=state.now(),
        side=terms.side,
        ordertype=terms.ordertype,
        price=price,
        volume=quantity,
        cost=cost,
        fee=pair.base.down(quantity * rate) if terms.fee_in_base else pair.quote.down(cost * rate),
        leverage=terms.leverage,
        maker=maker,
        number=state.market.print(pair, price, quantity, terms.side[0], "l" if order.limit is not None else "m"),
    )


def _exchange(account: SimulatedAccount, terms: Terms, trade: Trade) -> tuple[str, ...]:
    """Post both sides of a spot trade and answer their ledger entries, the payment first."""
    base_fee, quote_fee = (trade.fee, Decimal(0)) if terms.fee_in_base else (Decimal(0), trade.fee)
    sign = 1 if terms.buys else -1
    sides = [
        (trade.pair.quote.id, -sign * trade.cost, quote_fee),
        (trade.pair.base.id, sign * trade.volume, base_fee),
    ]
    return tuple(
        account.wallet.post(refid=trade.id, type="trade", subtype="tradespot", asset=asset, amount=amount, fee=fee)
        for asset, amount, fee in sides[::sign]
    )


def _spawn(state: State, account: SimulatedAccount, parent: SimulatedOrder, terms: Terms) -> None:
    """Place the close order of a fill. If the engine refuses it, it is dropped and the fill stays."""
    try:
        order = new_order(state, account, terms)
        admit(state, account, order)
    except Rejected:
        return
    order.refid = parent.txid
    register(state, account, order)
