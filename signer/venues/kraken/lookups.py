"""After a crash or a lost answer: which reads list the orders of an account, and whether a listed order is one of ours.

An order is recognised by the reference that it carries, which is why each gets one (`Venue.with_own_refs`). A client's
own userref or cl_ord_id is a name that anybody may give, so an order counts only if it is alike in all else too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import cast

from signer.model import Action, Call, Intent, Json, Order, Price, WireAnswer
from signer.model.sightings import Listing, Sighting
from signer.venues.kraken.endpoints import ENDPOINTS
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.values import to_price

LOT = Decimal("0.00000001")
"""How far the volume that the venue shows may be from the one that was asked for, since it rounds to its lots."""


def open_orders() -> Call:
    """Return the read that lists every open order of the account."""
    return _read("OpenOrders", {})


def closed_orders(since_us: int, skip: int) -> Call:
    """Build the read of the closed orders that were opened since then, newest first, after the first ``skip``."""
    # ``start`` is exclusive and in whole seconds here: one second earlier loses none.
    start = str(max(0, since_us // 1_000_000 - 1))
    fields: dict[str, Json] = {"start": start, "closetime": "open"}
    return _read("ClosedOrders", {**fields, "ofs": str(skip)} if skip else fields)


def orders_by_id(txids: Sequence[str]) -> Call:
    """Return the read that shows exactly these orders, at most 50 (docs/kraken.md §1b)."""
    return _read("QueryOrders", {"txid": ",".join(txids)})


def read_orders(answer: WireAnswer, pairs: PairTable) -> Listing | None:
    """Return the orders in an answer of OpenOrders, ClosedOrders or QueryOrders; None if it is not whole.

    One row that does not read spoils the answer: it may be the one that is looked for.
    """
    result = _result(answer)
    if result is None:
        return None
    rows = result.get("open", result.get("closed", result))
    if not isinstance(rows, dict):
        return None
    try:
        sightings = {txid: _sighting(txid, row, pairs) for txid, row in rows.items()}
        total = int(cast("int", result["count"])) if "closed" in result and "count" in result else None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    return None if total is not None and total < len(sightings) else Listing(sightings, total)


def is_alike(intent: Intent, order: Order, seen: Sighting, pairs: PairTable) -> bool | None:
    """Return whether a listed order that bears the same reference is in all else, but its time, what ``intent`` placed.

    None if that cannot be told: one of the pairs is not listed, so the two may be the same pair under two names.
    """
    unlisted = order.pair not in pairs.by_id or seen.pair not in pairs.by_id
    if not (unlisted or seen.pair == order.pair) or (seen.side, seen.order_type) != (order.side, order.order_type):
        return False
    # What a replacement's volume becomes when its order was partly filled, and in which currency the venue shows a
    # volume in quote, is not documented.
    exact = intent.endpoint != "EditOrder" and not order.quote_sized
    same = _has_prices(order, seen) and (not exact or _has_volume(order, seen))
    return None if same and unlisted else same


def amended_id(intent: Intent) -> str | None:
    """Return the order that ``intent`` changes in place, empty if it has no txid there; None if it places orders."""
    if intent.endpoint != "AmendOrder":
        return None
    return next((target.value for target in intent.targets if target.kind == "venue-id"), "")


def is_amended(order: Order, seen: Sighting) -> bool:
    """Return whether the one order that an amend named shows what it was to become."""
    return _has_volume(order, seen) and _has_prices(order, seen)


def _read(endpoint: str, fields: Mapping[str, Json]) -> Call:
    return Call(endpoint, Action.READ, fields, ENDPOINTS[endpoint].needs)


KINDS = (open_orders(), closed_orders(0, 0), orders_by_id(()))
"""Every kind of read that a look-up makes."""


def _result(answer: WireAnswer) -> dict[str, Json] | None:
    if answer.status != 200:
        return None
    try:
        envelope = json.loads(answer.body, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    result = envelope.get("result") if isinstance(envelope, dict) else None
    return result if isinstance(result, dict) and not envelope.get("error") else None


def _sighting(txid: str, row: Json, pairs: PairTable) -> Sighting:
    shown = cast("dict[str, Json]", row)
    descr = cast("dict[str, Json]", shown["descr"])
    pair = pairs.find(descr["pair"])
    closed_us = _microseconds(shown.get("closetm") or 0)
    return Sighting(
        venue_id=txid,
        pair=pair.id if pair else str(descr["pair"]),
        side=str(descr["type"]),
        order_type=str(descr["ordertype"]),
        volume=Decimal(str(shown["vol"])),
        price=to_price(descr["price"]),
        price2=to_price(descr["price2"]),
        client_tag=str(shown.get("userref") or ""),
        client_id=str(shown.get("cl_ord_id") or ""),
        opened_us=_microseconds(shown["opentm"]),
        closed_us=closed_us or None,  # 0 is how the venue writes that a moment is not there
        cancelled=shown.get("status") == "canceled",
    )


def _microseconds(seconds: Json) -> int:
    return int(Decimal(str(seconds)) * 1_000_000)


def _has_volume(order: Order, seen: Sighting) -> bool:
    return abs(seen.volume - order.volume) <= LOT


def _has_prices(order: Order, seen: Sighting) -> bool:
    return _has_price(order.price, seen.price) and _has_price(order.price2, seen.price2)


def _has_price(asked: Price | None, shown: Price | None) -> bool:
    """Return whether the venue shows the price that was asked for. What it makes of a relative one is not compared."""
    if asked is None or asked.sign or asked.percent:
        return True
    return shown is not None and shown.amount == asked.amount
