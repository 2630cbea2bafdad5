"""Decides whether an order is accepted, by its prices, the minima and the money it needs, before anything changes."""

from __future__ import annotations

from decimal import Decimal

from signer.sandbox import margin
from signer.sandbox.market import Market
from signer.sandbox.orders import SimulatedOrder
from signer.sandbox.prices import WrittenPrice, check_price
from signer.sandbox.rejected import Rejected, invalid
from signer.sandbox.state import SimulatedAccount, State
from signer.sandbox.terms import TRAILING, TRIGGERED, Terms

Prices = tuple[Decimal | None, Decimal | None]
"""An order's limit and its trigger."""


def prices(terms: Terms, market: Market) -> Prices:
    """Answer an order's prices from the written ones and the market. Raises `Rejected` for a price that cannot be."""
    if terms.price is None:
        return None, None
    last = market.last(terms.pair)
    if terms.ordertype not in TRIGGERED:
        return terms.price.at(terms.pair, last, above=not terms.buys), None
    stop = trailing_stop(terms, terms.price, last) if terms.ordertype in TRAILING else _stop(terms, terms.price, last)
    return limit_beyond(terms, stop), stop


def _stop(terms: Terms, price: WrittenPrice, last: Decimal) -> Decimal:
    """Answer where a stop or take-profit triggers: ``#`` is on the side where it would not trigger at once."""
    above = terms.buys == terms.ordertype.startswith("stop-loss")
    return price.at(terms.pair, last, above=above)


def trailing_stop(terms: Terms, price: WrittenPrice, last: Decimal) -> Decimal:
    """Answer where a trailing stop would trigger if it were placed at this last price."""
    offset = price.offset(last)
    stop = terms.pair.rounded(last + offset if terms.buys else last - offset)
    check_price(stop)
    return stop


def limit_beyond(terms: Terms, stop: Decimal) -> Decimal | None:
    """Answer the limit that an order takes once triggered, None for a market order."""
    return terms.price2.at(terms.pair, stop, above=terms.buys) if terms.price2 is not None else None


def check_mode(terms: Terms) -> None:
    """Raise `Rejected` if the pair's market takes no such order now (docs/kraken.md §3)."""
    status = terms.pair.status
    takes = {
        "online": True,
        "cancel_only": False,
        "post_only": "post" in terms.oflags,
        "limit_only": terms.ordertype == "limit",
        "reduce_only": terms.reduce_only,
    }
    if not takes[status]:
        raise Rejected(f"EService:Market in {status} mode")


def check_size(terms: Terms, market: Market, limit: Decimal | None, stop: Decimal | None) -> None:
    """Raise `Rejected` if the order is too small. An order that closes a position may have any size."""
    pair = terms.pair
    if not terms.volume or terms.reduce_only or terms.ordertype == "settle-position":
        return
    price = limit or stop or market.last(pair)
    volume = terms.volume / price if terms.in_quote else terms.volume
    if volume < pair.ordermin:
        raise Rejected("EOrder:Order minimum not met")
    if volume * price < pair.costmin:
        raise Rejected("EOrder:Cost minimum not met")


def new_order(state: State, account: SimulatedAccount, terms: Terms) -> SimulatedOrder:
    """Make an order from its terms without registering it. Raises `Rejected` if the engine would not take it now."""
    limit, stop = prices(terms, state.market)
    now = state.now()
    return SimulatedOrder(
        txid=state.ids.order(),
        account=account.name,
        terms=terms,
        volume=_volume(account, terms),
        limit=limit,
        stop=stop,
        display=terms.display,
        opened=now,
        touched=now,
        status="pending" if terms.starttm > now else "open",
    )


def _volume(account: SimulatedAccount, terms: Terms) -> Decimal:
    """Answer the volume to trade: zero means the whole opposite position, and reduce-only is limited to it."""
    if terms.volume and not terms.reduce_only and terms.ordertype != "settle-position":
        return terms.volume
    closes = margin.closing_volume(account, terms.pair, terms.side)
    if not closes:
        raise Rejected("EOrder:Reduce only:No position exists" if terms.reduce_only else "EOrder:Unknown position")
    return min(terms.volume, closes) if terms.volume else closes


def plan(market: Market, order: SimulatedOrder) -> list[tuple[Decimal, Decimal]]:
    """Answer the (price, volume) that an order would take from the market now, best first."""
    pair, left = order.terms.pair, order.remaining
    fills: list[tuple[Decimal, Decimal]] = []
    for price, offered in market.levels(pair, order.terms.side):
        if order.limit is not None and (price > order.limit if order.terms.buys else price < order.limit):
            break
        quantity = min(offered, pair.lots(left / price) if order.terms.in_quote else left)
        if quantity <= 0:
            break
        fills.append((price, quantity))
        left -= price * quantity if order.terms.in_quote else quantity
    return fills


def needs(market: Market, order: SimulatedOrder) -> tuple[str, Decimal]:
    """Answer the asset and amount that an order must hold until it ends, with the higher fee."""
    terms, pair = order.terms, order.terms.pair
    if terms.leverage or not order.live:
        return pair.quote.id, Decimal(0)
    dearer = 1 + pair.taker
    if not terms.buys:
        return pair.base.id, pair.base.up(order.remaining * (dearer if terms.fee_in_base else 1))
    cost = _cost(market, order)
    return pair.quote.id, pair.quote.up(cost if terms.fee_in_base else cost * dearer)


def _cost(market: Market, order: SimulatedOrder) -> Decimal:
    """Answer the most that buying the rest of an order costs."""
    price = order.limit or (order.stop if order.waits else None)
    if price is not None:
        return order.remaining * price
    return sum((price * quantity for price, quantity in plan(market, order)), Decimal(0))


def admit(state: State, account: SimulatedAccount, order: SimulatedOrder, *, besides: str = "") -> None:
    """Raise `Rejected` unless the engine takes the order. The order ``besides``, which it replaces, is not counted."""
    others = [other for other in account.open.values() if other.txid != besides]
    if sum(other.terms.pair is order.terms.pair for other in others) >= account.counters.tier.open_orders:
        raise Rejected("EOrder:Orders limit exceeded")
    name = order.terms.cl_ord_id
    if name is not None and any(other.terms.cl_ord_id == name for other in others):
        raise invalid("cl_ord_id")
    check_passive(state.market, order)
    check_money(state, account, order, besides=besides)


def check_passive(market: Market, order: SimulatedOrder) -> None:
    """Raise `Rejected` for a post-only order that would take."""
    if order.post_only and order.limit is not None and market.crosses(order.terms.pair, order.terms.side, order.limit):
        raise Rejected("EOrder:Post only order")


def check_money(state: State, account: SimulatedAccount, order: SimulatedOrder, *, besides: str = "") -> None:
    """Raise `Rejected` unless the account can pay for the order. The hold of the order ``besides`` counts as free."""
    if order.terms.leverage:
        margin.check(state, account, order, besides=besides)
        return
    account.wallet.require(*needs(state.market, order), besides=besides)


def dry_run(state: State, terms: Terms) -> Prices:
    """Check what ``validate`` checks, which needs neither account nor engine; answer limit and trigger."""
    check_mode(terms)
    limit, stop = prices(terms, state.market)
    check_size(terms, state.market, limit, stop)
    if terms.close is not None:
        prices(terms.close, state.market)
    return limit, stop
