"""Changes live orders: AmendOrder in place, EditOrder by cancel and replace (docs/kraken.md §1c)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from signer.sandbox.admission import (
    admit,
    check_money,
    check_passive,
    check_size,
    dry_run,
    limit_beyond,
    new_order,
    trailing_stop,
)
from signer.sandbox.fields import Fields
from signer.sandbox.limits import FIXED, amend_cost, edit_cost
from signer.sandbox.matching import arrive, finish, register
from signer.sandbox.orders import SimulatedOrder, description, version
from signer.sandbox.pairs import SimulatedPair
from signer.sandbox.placing import check_deadline
from signer.sandbox.prices import read_price
from signer.sandbox.rejected import Rejected, invalid
from signer.sandbox.state import Methods, SimulatedAccount, SimulatedCall, State
from signer.sandbox.terms import RESTING, TRAILING, Terms, read_oflags, read_userref
from signer.sandbox.wording import short_description

_AMENDABLE = ("order_qty", "display_qty", "limit_price", "trigger_price", "post_only")


def _amend_order(call: SimulatedCall) -> object:
    order = _target(call.account, call.fields)
    if not any(call.fields.has(name) for name in _AMENDABLE):
        raise Rejected("EOrder:No amendable parameters")
    call.account.counters.charge(order.terms.pair.id, amend_cost(call.state.now() - order.touched), call.state.now())
    check_deadline(call.state, call.fields)
    changed = _changed(call.state, order, call.fields)
    check_passive(call.state.market, changed)
    check_money(call.state, call.account, changed, besides=order.txid)
    order.terms, order.volume, order.display = changed.terms, changed.volume, changed.display
    order.limit, order.stop, order.touched = changed.limit, changed.stop, call.state.now()
    amend = version(order, call.state.ids.trade(), "user")
    order.amends.append(amend)
    arrive(call.state, order)
    return {"amend_id": amend.id}


def _target(account: SimulatedAccount, fields: Fields) -> SimulatedOrder:
    """Answer the live order that ``txid`` or ``cl_ord_id`` names. Only one of the two may be given."""
    if fields.has("txid") == fields.has("cl_ord_id"):
        raise invalid("txid")
    if fields.has("txid"):
        order = account.open.get(fields.text("txid"))
    else:
        name = fields.text("cl_ord_id")
        order = next((order for order in account.open.values() if order.terms.cl_ord_id == name), None)
    if order is None:
        raise Rejected("EOrder:Unknown order")
    if order.cancel_at:
        raise Rejected("EOrder:Cancel pending")
    return order


def _changed(state: State, order: SimulatedOrder, fields: Fields) -> SimulatedOrder:
    """Answer a changed copy of the order."""
    volume = fields.amount("order_qty")
    volume = order.volume if volume is None else order.terms.pair.lots(volume)
    if volume <= order.filled:
        raise Rejected("EOrder:Not enough leaves qty")
    changed = replace(order, volume=volume, terms=replace(order.terms, volume=volume))
    _amend_display(changed, fields)
    _amend_prices(state, changed, fields)
    if fields.flag("post_only"):
        if changed.terms.ordertype not in RESTING:
            raise invalid("post_only")
        changed.terms = replace(changed.terms, oflags=changed.terms.oflags | {"post"})
    check_size(changed.terms, state.market, changed.limit, changed.stop)
    return changed


def _amend_display(order: SimulatedOrder, fields: Fields) -> None:
    display = fields.amount("display_qty")
    if display is None:
        return
    if order.display is None or not order.volume / 15 <= display <= order.volume:
        raise invalid("display_qty")
    order.display = display


def _amend_prices(state: State, order: SimulatedOrder, fields: Fields) -> None:
    """Set the copy's prices, also in its terms, which a later edit uses. A trailing stop's prices are distances."""
    terms, pair, last = order.terms, order.terms.pair, state.market.last(order.terms.pair)
    if fields.has("trigger_price"):
        written = read_price(fields.text("trigger_price"), "trigger_price")
        if not order.waits or (terms.ordertype in TRAILING) != (written.sign == "+"):
            raise invalid("trigger_price")
        order.terms = replace(order.terms, price=written)
        if terms.ordertype in TRAILING:
            order.stop = trailing_stop(terms, written, last)
            order.limit = limit_beyond(terms, order.stop)
        else:
            order.stop = written.at(pair, last, above=terms.buys)
    if fields.has("limit_price"):
        written = read_price(fields.text("limit_price"), "limit_price")
        if order.limit is None or (terms.ordertype in TRAILING) != (written.sign in {"+", "-"}):
            raise invalid("limit_price")
        resting = terms.ordertype in RESTING
        order.terms = replace(order.terms, price=written) if resting else replace(order.terms, price2=written)
        order.limit = written.at(pair, order.stop or last, above=not terms.buys)


def _edit_order(call: SimulatedCall) -> object:
    pair = call.state.instruments.asked_pair(call.fields)
    dry = call.fields.flag("validate")
    old = _edited_order(call, pair, dry=dry)
    check_deadline(call.state, call.fields)
    terms = _edited(old, call.fields)
    limit, stop = dry_run(call.state, terms)
    if dry:
        return {"descr": short_description(terms, terms.volume, limit, stop)}
    new = new_order(call.state, call.account, terms)
    admit(call.state, call.account, new, besides=old.txid)
    finish(call.state, old, "canceled", "Order replaced")
    register(call.state, call.account, new)
    return _edit_answer(old, new)


def _edited_order(call: SimulatedCall, pair: SimulatedPair, *, dry: bool) -> SimulatedOrder:
    """Answer the order to edit and charge the edit. If `Rejected` is raised, its fixed part is charged."""
    name, counters, now = call.fields.required("txid"), call.account.counters, call.state.now()
    old = next((order for order in reversed(call.account.open_on(pair)) if order.called(name)), None)
    editable = old and not (old.terms.close or old.terms.cl_ord_id or old.terms.leverage or old.triggered)
    if not dry:
        counters.charge(pair.id, edit_cost(now - old.touched) if old and editable else FIXED, now)
    if old is None:
        raise Rejected("EOrder:Unknown order")
    if old.cancel_at:
        raise Rejected("EOrder:Cancel pending")
    if not editable:
        raise Rejected("EOrder:Order not editable")
    return old


def _edited(old: SimulatedOrder, fields: Fields) -> Terms:
    """Answer the terms of the order that replaces ``old``. What is not stated stays, but for userref and post flag."""
    terms = old.terms
    volume = fields.amount("volume")
    display = fields.amount("displayvol") if fields.has("displayvol") else terms.display
    volume = old.remaining if volume is None else terms.pair.lots(volume)
    if not volume or volume < old.filled:
        raise invalid("volume")
    if display is not None and (terms.display is None or not volume / 15 <= display <= volume):
        raise invalid("displayvol")
    if (fields.has("price") and terms.price is None) or (fields.has("price2") and terms.price2 is None):
        raise invalid("price" if terms.price is None else "price2")
    oflags = terms.oflags - {"post"}
    if fields.has("oflags"):
        oflags = read_oflags(fields, terms.ordertype, terms.side, terms.leverage)
    return replace(
        terms,
        volume=volume,
        display=display,
        price=read_price(fields.text("price"), "price") if fields.has("price") else terms.price,
        price2=read_price(fields.text("price2"), "price2") if fields.has("price2") else terms.price2,
        oflags=oflags,
        userref=read_userref(fields),
    )


def _edit_answer(old: SimulatedOrder, new: SimulatedOrder) -> dict[str, object]:
    pair = new.terms.pair
    first, second = (new.stop, new.limit) if new.stop is not None else (new.limit, None)
    return {
        "status": "Ok",
        "txid": new.txid,
        "originaltxid": old.txid,
        "volume": pair.volume_text(new.volume),
        "price": pair.price_text(first or Decimal(0)),
        "price2": pair.price_text(second or Decimal(0)),
        "orders_cancelled": 1,
        "newuserref": "" if new.terms.userref is None else str(new.terms.userref),
        "olduserref": "" if old.terms.userref is None else str(old.terms.userref),
        "error_message": "",
        "descr": description(new),
    }


METHODS: Methods = {"AmendOrder": _amend_order, "EditOrder": _edit_order}
