"""Read the orders that a call would place: AddOrder and AddOrderBatch.

Beyond each field alone, an order is understood only if its fields make sense together, because caps are computed from
them: a market order with a price would look cheaper than it is. Each order gets a reference of ours if it has none, so
that it can be looked up exactly when its answer is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

from signer.model import Call, Json, Moment, Order, Pair, Side
from signer.venues.kraken.answers import invalid, unknown_pair
from signer.venues.kraken.endpoints import Endpoint
from signer.venues.kraken.pairs import PairTable
from signer.venues.kraken.values import DRY_RUN, read_fields, to_decimal, to_price
from signer.venues.kraken.vocabulary import WORDS

_PRICES = {
    "market": (),
    "settle-position": (),
    "limit": ("price",),
    "iceberg": ("price",),
    "stop-loss": ("price",),
    "take-profit": ("price",),
    "trailing-stop": ("price",),
    "stop-loss-limit": ("price", "price2"),
    "take-profit-limit": ("price", "price2"),
    "trailing-stop-limit": ("price", "price2"),
}
"""Which prices each order type has; with two, the first triggers and the second is the limit (docs/kraken.md §6)."""

_OTHER: Mapping[Side, Side] = {"buy": "sell", "sell": "buy"}
_NO_FLAGS: frozenset[str] = frozenset()


def add_order(endpoint: Endpoint, fields: Mapping[str, Json], pairs: PairTable) -> Call:
    """The call of an AddOrder. Raises `NotUnderstood`."""
    given = read_fields(endpoint.model, fields)
    pair = named_pair(given, pairs)
    order = _order(pair, given, "")
    return Call(
        endpoint=endpoint.name,
        action=endpoint.action,
        fields=given,
        needs=endpoint.needs,
        orders=(order,),
        dry_run=DRY_RUN in given,
    )


def add_order_batch(endpoint: Endpoint, fields: Mapping[str, Json], pairs: PairTable) -> Call:
    """The call of an AddOrderBatch: its orders share the pair. Raises `NotUnderstood`."""
    given = read_fields(endpoint.model, fields)
    pair = named_pair(given, pairs)
    if "orders" not in given:
        raise invalid("orders is missing")
    rows = cast("list[dict[str, Json]]", given["orders"])
    orders = tuple(_order(pair, row, f"orders[{index}]") for index, row in enumerate(rows))
    return Call(
        endpoint=endpoint.name,
        action=endpoint.action,
        fields=given,
        needs=endpoint.needs,
        orders=orders,
        dry_run=DRY_RUN in given,
    )


def named_pair(given: dict[str, Json], pairs: PairTable) -> Pair:
    """The pair that ``given`` names, put back in as its canonical id.

    A tokenised asset is only meant where ``asset_class`` says so, and nothing else where it does (docs/kraken.md §5):
    otherwise a policy and the venue could think of different markets. Raises `NotUnderstood`.
    """
    if "pair" not in given:
        raise invalid("pair is missing")
    pair = pairs.find(given["pair"])
    asset_class = given.get("asset_class", "currency")
    if pair is None or pair.asset_class != asset_class:
        raise unknown_pair(given["pair"])
    given["pair"] = pair.id
    if asset_class == "currency":
        given.pop("asset_class", None)
    return pair


def with_own_refs(call: Call, bits: Callable[[int], int]) -> Call:
    """``call`` in which each order that carries neither userref nor cl_ord_id has a userref of ours.

    An edit's replacement counts as an order without one unless the edit states it. A dry run places nothing that could
    be looked up and stays as it is.
    """
    if call.dry_run:
        return call
    if call.change is not None and call.change.replaces and call.change.client_tag is None:
        ref = _new_userref(bits)
        return replace(call, fields={**call.fields, "userref": ref}, change=replace(call.change, client_tag=str(ref)))
    refs = [None if order.client_tag is not None or order.client_id else _new_userref(bits) for order in call.orders]
    if not any(refs):
        return call
    orders = tuple(
        order if ref is None else replace(order, client_tag=str(ref))
        for order, ref in zip(call.orders, refs, strict=True)
    )
    return replace(call, orders=orders, fields=_with_refs(call, refs))


def _order(pair: Pair, given: Mapping[str, Json], where: str) -> Order:
    order_type, side = given.get("ordertype"), given.get("type")
    if order_type is None or side is None or "volume" not in given:
        missing = next(name for name in ("ordertype", "type", "volume") if name not in given)
        raise invalid(f"{_label(where, missing)} is missing")
    order_type, side = cast("str", order_type), cast("Side", side)
    _check_prices(order_type, given, where)
    oflags = flags_of(given) or _NO_FLAGS
    _check_together(order_type, oflags, given, where)
    return Order(
        pair=pair.id,
        side=side,
        order_type=order_type,
        volume=Decimal(cast("str", given["volume"])),
        price=to_price(given.get("price")),
        price2=to_price(given.get("price2")),
        quote_sized=WORDS.quote_sized in oflags,
        display_volume=to_decimal(given.get("displayvol")),
        leverage=to_decimal(given.get("leverage")),
        reduce_only="reduce_only" in given,
        post_only=WORDS.post_only in oflags,
        flags=oflags - {WORDS.post_only, WORDS.quote_sized},
        time_in_force=cast("str", given.get("timeinforce", "GTC")),
        trigger=cast("str", given.get("trigger", "")),
        starts=_moment(given.get("starttm")),
        ends=_moment(given.get("expiretm")),
        client_tag=tag_of(given),
        client_id=cast("str | None", given.get("cl_ord_id")),
        attached=(_close(pair, side, given, where),) if "close" in given else (),
    )


def flags_of(given: Mapping[str, Json]) -> frozenset[str] | None:
    """The flags of an order or a change; None if it states none."""
    return frozenset(cast("str", given["oflags"]).split(",")) if "oflags" in given else None


def tag_of(given: Mapping[str, Json]) -> str | None:
    """The userref, as text."""
    return str(given["userref"]) if "userref" in given else None


def _moment(text: Json) -> Moment | None:
    """A start or an end, written ``+seconds`` or as a Unix second (docs/kraken.md §1c-1)."""
    return None if text is None else Moment(int(cast("str", text)), from_now=str(text).startswith("+"))


def _close(pair: Pair, side: Side, given: Mapping[str, Json], where: str) -> Order:
    """The order of the other side that fills place: at most the whole volume, with the same leverage."""
    close = cast("dict[str, Json]", given["close"])
    label = _label(where, "close")
    if "ordertype" not in close:
        raise invalid(f"{label}[ordertype] is missing")
    order_type = cast("str", close["ordertype"])
    _check_prices(order_type, close, label)
    return Order(
        pair=pair.id,
        side=_OTHER[side],
        order_type=order_type,
        volume=Decimal(cast("str", given["volume"])),
        price=to_price(close.get("price")),
        price2=to_price(close.get("price2")),
        leverage=to_decimal(given.get("leverage")),
    )


def _check_prices(order_type: str, given: Mapping[str, Json], where: str) -> None:
    """Exactly the prices that the type has, and offsets where it trails."""
    for name in ("price", "price2"):
        if (name in given) != (name in _PRICES[order_type]):
            says = "has no" if name in given else "needs a"
            raise invalid(f"an order of type {order_type} {says} {_label(where, name)}")
    if order_type.startswith("trailing"):
        # Relative only (docs/kraken.md §6): an absolute one would be a price to us and an offset to the venue.
        price, price2 = cast("str", given["price"]), cast("str", given.get("price2", "+"))
        if price[0] != "+" or price2[0] not in "+-":
            raise invalid(f"{_label(where, 'price')} of a trailing order must begin with +, its price2 with + or -")


def _check_together(order_type: str, oflags: frozenset[str], given: Mapping[str, Json], where: str) -> None:
    if ("displayvol" in given) != (order_type == "iceberg"):
        raise invalid(f"{_label(where, 'displayvol')} belongs to an iceberg order, and only to one")
    if "cl_ord_id" in given and "userref" in given:
        raise invalid(f"{_label(where, 'cl_ord_id')} and userref exclude each other")
    if "viqc" in oflags and (order_type != "market" or "leverage" in given or "close" in given):
        raise invalid(f"{_label(where, 'oflags')} viqc is for market orders without leverage or close")
    if "fcib" in oflags and "fciq" in oflags:
        raise invalid(f"{_label(where, 'oflags')} fcib and fciq exclude each other")


def _label(where: str, name: str) -> str:
    return f"{where}[{name}]" if where else name


LONGEST_S = 60
"""Kraken takes a deadline at most so far ahead (docs/kraken.md §1c-1)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def require_timely(call: Call, at_us: int) -> None:
    """Raises `NotUnderstood` if ``call``, which came at ``at_us``, has a deadline that is over or too far off."""
    text = call.fields.get("deadline")
    if text is None:
        return
    left_us = (datetime.fromisoformat(str(text)) - _EPOCH) // timedelta(microseconds=1) - at_us
    if left_us <= 0:
        raise invalid("deadline has passed; see that this machine's clock and yours agree")
    if left_us > LONGEST_S * 1_000_000:
        raise invalid(f"deadline is more than {LONGEST_S} s ahead, and the exchange takes no later one")


def _new_userref(bits: Callable[[int], int]) -> int:
    """A positive number of 31 bits: zero means none, and userrefs are signed."""
    return bits(30) + 1


def _with_refs(call: Call, refs: Sequence[int | None]) -> Mapping[str, Json]:
    if "orders" not in call.fields:
        return {**call.fields, "userref": refs[0]}
    rows = cast("list[dict[str, Json]]", call.fields["orders"])
    named: list[Json] = [row if ref is None else {**row, "userref": ref} for row, ref in zip(rows, refs, strict=True)]
    return {**call.fields, "orders": named}
