"""After a crash or a lost answer: which reads tell what became of an intent, and what their answers say.

An order is looked up by the reference that it carries, which is why each gets one (`with_own_refs`). A client's own
userref is not unique (kraken-api.md §1c-1), so a row counts only if it also was opened since the intent and is the same
pair, side, type, limit and volume.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypeAlias, cast

from signer.model import Action, Call, Found, Intent, Json, Order, OrderRef, WireAnswer
from signer.venues.kraken.amounts import to_price
from signer.venues.kraken.endpoints import ENDPOINTS
from signer.venues.kraken.pairs import PairTable

SLACK_US = 3_600_000_000
"""How far the venue's clock may be behind ours before its order looks older than our intent. Generous: to take an older
order alike in all else for this one keeps a charge too long; to miss this one frees it."""

LOT = Decimal("0.00000001")
"""How far the volume that the venue shows may be from the one that was asked for, since it rounds to its lots."""

PAGE = 50
"""Rows in one ClosedOrders answer; more than that are pages that we have not seen."""

_REPLACES_OR_PLACES = frozenset({"AddOrder", "AddOrderBatch", "EditOrder"})

Row: TypeAlias = "tuple[str, dict[str, object]]"


def with_own_refs(call: Call, new_ref: Callable[[], int]) -> Call:
    """``call`` in which each order that carries neither userref nor cl_ord_id has a userref of ours.

    An edit's replacement counts as an order without one unless the edit states it. A dry run places nothing that could
    be looked up and stays as it is.
    """
    if call.dry_run:
        return call
    if call.change is not None and call.change.replaces and call.change.userref is None:
        ref = new_ref()
        return replace(call, fields={**call.fields, "userref": ref}, change=replace(call.change, userref=ref))
    refs = [None if order.userref is not None or order.cl_ord_id else new_ref() for order in call.orders]
    if not any(refs):
        return call
    orders = tuple(
        order if ref is None else replace(order, userref=ref) for order, ref in zip(call.orders, refs, strict=True)
    )
    return replace(call, orders=orders, fields=_with_refs(call, refs))


def lookups(intent: Intent) -> Sequence[Call]:
    """The reads that tell what became of ``intent``; none where nothing can tell."""
    if intent.endpoint == "AmendOrder":
        return _amended_lookups(intent)
    if intent.endpoint not in _REPLACES_OR_PLACES:
        return ()
    refs = _refs(intent)
    # Open orders first: one that closes between the two reads is then in the second.
    return [read for ref in refs for read in _reads_by_ref(ref, intent)]


def found(intent: Intent, answers: Sequence[WireAnswer], pairs: PairTable) -> Found | None:
    """What the answers of `lookups` say, order by order; None if any is an error, or not the whole truth."""
    if not intent.orders:
        return Found(())
    reads = lookups(intent)
    pages = [_rows(answer) for answer in answers]
    if not reads or len(pages) != len(reads) or any(page is None for page in pages):
        return None
    try:
        rows = [row for page in pages for row in cast("list[Row]", page)]
        if intent.endpoint == "AmendOrder":
            return _amended(intent, rows)
        return _placed(intent, rows, pairs)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None  # a row that we cannot read may be the one


def _with_refs(call: Call, refs: Sequence[int | None]) -> Mapping[str, Json]:
    if "orders" not in call.fields:
        return {**call.fields, "userref": refs[0]}
    rows = cast("list[dict[str, Json]]", call.fields["orders"])
    named: list[Json] = [row if ref is None else {**row, "userref": ref} for row, ref in zip(rows, refs, strict=True)]
    return {**call.fields, "orders": named}


def _refs(intent: Intent) -> list[OrderRef]:
    """The distinct references of the intent's orders; none at all if one order has none, for it could not be found."""
    refs = [_ref(order) for order in intent.orders]
    return [] if None in refs else list(dict.fromkeys(ref for ref in refs if ref is not None))


def _ref(order: Order) -> OrderRef | None:
    if order.userref is not None:
        return OrderRef("userref", str(order.userref))
    return OrderRef("cl_ord_id", order.cl_ord_id) if order.cl_ord_id else None


def _reads_by_ref(ref: OrderRef, intent: Intent) -> tuple[Call, Call]:
    named: dict[str, Json] = {ref.kind: int(ref.value) if ref.kind == "userref" else ref.value}
    since: dict[str, Json] = {}
    if intent.endpoint != "AmendOrder":  # an amended order may be older than its amendment
        since["start"] = str((intent.at_us - SLACK_US) // 1_000_000)
    return _read("OpenOrders", named), _read("ClosedOrders", {**named, **since})


def _amended_lookups(intent: Intent) -> Sequence[Call]:
    (target,) = intent.targets
    if target.kind == "txid":
        return (_read("QueryOrders", {"txid": target.value}),)
    return _reads_by_ref(target, intent)


def _read(endpoint: str, fields: Mapping[str, Json]) -> Call:
    return Call(endpoint, Action.READ, fields, ENDPOINTS[endpoint].needs)


KINDS = tuple(_read(endpoint, {}) for endpoint in ("OpenOrders", "ClosedOrders", "QueryOrders"))
"""Every kind of read that `lookups` makes."""


def _rows(answer: WireAnswer) -> list[Row] | None:
    """The orders in an answer of OpenOrders, ClosedOrders or QueryOrders, or None if they are not all there."""
    if answer.status != 200:
        return None
    try:
        envelope = json.loads(answer.body, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    result = envelope.get("result") if isinstance(envelope, dict) else None
    if not isinstance(result, dict) or envelope.get("error"):
        return None
    rows = result.get("open", result.get("closed", result))
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        return None
    if "closed" in result and (len(rows) >= PAGE or result.get("count", len(rows)) != len(rows)):
        return None
    return list(rows.items())


def _placed(intent: Intent, rows: Iterable[Row], pairs: PairTable) -> Found | None:
    """Each order takes the oldest row that is it and that no other order has taken."""
    free = dict(sorted(rows, key=_opened))
    txids: list[str | None] = []
    for order in intent.orders:
        alike = [(txid, row) for txid, row in free.items() if _is_row_of(order, row, intent, pairs)]
        txid = next((row[0] for row in alike if _opened(row) * 1_000_000 >= intent.at_us - SLACK_US), None)
        if txid is not None:
            del free[txid]
        elif alike:
            return None  # the same in all but its age: an earlier order, or this one if our clock is ahead
        txids.append(txid)
    return Found(tuple(txids))


def _opened(row: Row) -> Decimal:
    return Decimal(str(row[1]["opentm"]))


def _is_row_of(order: Order, row: Mapping[str, object], intent: Intent, pairs: PairTable) -> bool:
    ref = _ref(order)
    if ref is None or str(row.get(ref.kind)) != ref.value:
        return False
    descr = cast("Mapping[str, Json]", row["descr"])
    pair = pairs.find(descr["pair"])
    if pair is None and order.pair not in pairs.by_id:
        raise LookupError  # the pair is not listed any more, so nobody can tell whether it is the same
    if pair is None or (pair.id, descr["type"], descr["ordertype"]) != (order.pair, order.side, order.order_type):
        return False
    # What a replacement's volume becomes when its order was partly filled, and in which currency the venue shows a
    # volume in quote, is not documented.
    exact = intent.endpoint != "EditOrder" and not order.volume_in_quote
    return _has_limit(row, order) and (not exact or _has_volume(row, order))


def _has_volume(row: Mapping[str, object], order: Order) -> bool:
    return abs(Decimal(str(row["vol"])) - order.volume) <= LOT


def _has_limit(row: Mapping[str, object], order: Order) -> bool:
    """Whether the venue shows the limit (of an order without one, the trigger) that was asked for."""
    descr = cast("Mapping[str, Json]", row["descr"])
    shown, asked = (
        (descr["price2"], order.price2) if order.order_type.endswith("-limit") else (descr["price"], order.price)
    )
    if asked is None or not asked.absolute:
        return True
    price = to_price(shown)
    return price is not None and price.amount == asked.amount


def _amended(intent: Intent, rows: Sequence[Row]) -> Found | None:
    """Whether the one order shows the volume and the limit that were asked for."""
    (order,) = intent.orders
    if len(rows) != 1:
        return None
    txid, row = rows[0]
    same = _has_volume(row, order) and _has_limit(row, order)
    return Found((txid if same else None,))
