"""Orders as this venue writes, answers and lists them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from signer.model import (
    Action,
    Call,
    Json,
    NamesOf,
    Order,
    OrderRef,
    Outcome,
    Price,
    Side,
    VenueResult,
    WireAnswer,
)
from signer.model.ended import CancelAnswer
from signer.model.sightings import Listing, Sighting
from tests.venue_seam.okx_like.wire import ROWS, invalid, told

TRADE, READ = frozenset({"trade"}), frozenset({"read_only"})
PLACE, PLACE_ALL = "POST trade/order", "POST trade/batch-orders"
CANCEL, CANCEL_ALL = "POST trade/cancel-order", "POST trade/cancel-batch-orders"
OPEN, CLOSED = "GET trade/orders-pending", "GET trade/orders-history"
UNKNOWN_CODES = frozenset({"50004", "51054", "51149"})
KEY_CODES = frozenset({"50111", "50105", "50113", "50101", "50119"})
GONE = frozenset({"51400", "51401", "51402"})
FIELDS = frozenset({"instId", "tdMode", "side", "ordType", "sz", "px", "clOrdId", "tgtCcy"})
TYPES: Mapping[str, tuple[str, str]] = {
    "limit": ("limit", "GTC"),
    "post_only": ("limit", "GTC"),
    "ioc": ("limit", "IOC"),
    "fok": ("limit", "FOK"),
    "market": ("market", "GTC"),
}
"""The neutral type and time in force of each ``ordType``."""


def place(endpoint: str, fields: Mapping[str, Json]) -> Call:
    """Return the call that places one order, or as many as the array has."""
    rows = _rows(endpoint == PLACE_ALL, fields)
    orders = tuple(_order(row) for row in rows)
    return Call(endpoint, Action.ORDER, fields, (TRADE,), orders=orders)


def with_own_names(call: Call, bits: Callable[[int], int]) -> Call:
    """Return the call in which each order has a name of ours."""
    return replace(call, orders=tuple(replace(one, own=f"s{bits(96):024x}") for one in call.orders))


def restored(body: bytes, names: NamesOf) -> bytes:
    """Return an answer with the client's names."""

    def given(found: re.Match[bytes]) -> bytes:
        known = names(found[1].decode(), "")
        return found[0] if known is None else b'"clOrdId":%b' % json.dumps(known.id or "").encode()

    return re.sub(rb'"clOrdId":\s*"([^"]+)"', given, body)


def fields_on_the_wire(call: Call) -> Mapping[str, Json]:
    """Return the fields of a call with our names of its orders."""
    if not call.orders:
        return call.fields
    many = ROWS in call.fields
    pairs = zip(_rows(many, call.fields), call.orders, strict=True)
    rows: list[Json] = [row if order.own is None else {**row, "clOrdId": order.own} for row, order in pairs]
    return {ROWS: rows} if many else cast("dict[str, Json]", rows[0])


def cancel(endpoint: str, fields: Mapping[str, Json]) -> Call:
    """Return the call that cancels one order, or as many as the array has."""
    refs = tuple(_ref(row) for row in _rows(endpoint == CANCEL_ALL, fields))
    return Call(endpoint, Action.CANCEL, fields, (TRADE,), targets=refs)


def cancel_of(refs: Sequence[OrderRef]) -> Call:
    """Return the call of ours that cancels these orders by their venue ids."""
    rows: list[Json] = [dict(zip(("instId", "ordId"), ref.value.split("/"), strict=True)) for ref in refs]
    if len(rows) == 1:
        return Call(CANCEL, Action.CANCEL, cast("dict[str, Json]", rows[0]), (TRADE,), targets=tuple(refs))
    return Call(CANCEL_ALL, Action.CANCEL, {ROWS: rows}, (TRADE,), targets=tuple(refs))


def read_answer(call: Call, answer: WireAnswer) -> VenueResult:
    """Return what an answer means. An order is accepted if a row of it is; what is neither yes nor no is unknown."""
    envelope = told(answer)
    code = str(envelope.get("code", ""))
    if not code or code in UNKNOWN_CODES or answer.status >= 500:
        return VenueResult(Outcome.UNKNOWN, (code,) if code else ())
    rows = envelope["data"]
    failed = tuple(str(row["sCode"]) for row in rows if isinstance(row, dict) and row.get("sCode", "0") != "0")
    if code not in {"0", "1", "2"}:
        return VenueResult(Outcome.REJECTED, (code,), bad_key=code in KEY_CODES)
    if call.action is not Action.ORDER:
        return VenueResult(
            Outcome.ACCEPTED if code == "0" else Outcome.REJECTED, failed or (() if code == "0" else (code,))
        )
    if len(rows) != len(call.orders):
        return VenueResult(Outcome.UNKNOWN)
    pairs = zip(rows, call.orders, strict=True)
    ids = tuple(f"{order.pair}/{row['ordId']}" if row["sCode"] == "0" else None for row, order in pairs)
    if not any(ids):
        return VenueResult(Outcome.REJECTED, failed)
    return VenueResult(Outcome.ACCEPTED, failed, ids)


def read_cancel(answer: WireAnswer, result: VenueResult) -> CancelAnswer:
    """Return what an answer says of the orders of its cancel."""
    rows = told(answer).get("data", [])
    codes = [str(row.get("sCode", "")) for row in rows]
    failed = [code for code in codes if code != "0"] or list(result.errors)
    if result.outcome is Outcome.UNKNOWN:
        return CancelAnswer(error="50004")
    return CancelAnswer(
        count=codes.count("0"),
        gone=bool(failed) and set(failed) <= GONE,
        too_fast=failed == ["50011"],
        error=failed[0] if failed else "",
    )


def read_orders(answer: WireAnswer) -> Listing | None:
    """Return the orders that an answer lists; None if it is not whole."""
    envelope = told(answer)
    if envelope.get("code") != "0":
        return None
    sightings = [_sighting(row) for row in envelope["data"]]
    return Listing({one.venue_id: one for one in sightings}, len(sightings))


def is_alike(order: Order, seen: Sighting) -> bool:
    """Return whether a listed order is in all but its time what was placed."""
    asked = order.price.amount if order.price else None
    shown = seen.price.amount if seen.price else None
    return (order.pair, order.side, order.volume, asked) == (seen.pair, seen.side, seen.volume, shown)


def _rows(many: bool, fields: Mapping[str, Json]) -> list[dict[str, Json]]:
    rows = fields.get(ROWS) if many else [dict(fields)]
    if not isinstance(rows, list) or not 1 <= len(rows) <= 20 or not all(isinstance(row, dict) for row in rows):
        raise invalid("this takes 1 to 20 orders in an array")
    return cast("list[dict[str, Json]]", rows)


def _order(row: Mapping[str, Json]) -> Order:
    if unknown := row.keys() - FIELDS:
        raise invalid(f"{min(unknown)} is not known")
    if row.get("tdMode") != "cash" or row.get("side") not in {"buy", "sell"} or row.get("ordType") not in TYPES:
        raise invalid("tdMode, side or ordType is not one that is understood")
    kind, in_force = TYPES[str(row["ordType"])]
    side = cast(Side, row["side"])
    quote = kind == "market" and row.get("tgtCcy", "quote_ccy" if side == "buy" else "base_ccy") == "quote_ccy"
    return Order(
        pair=str(row.get("instId", "")),
        side=side,
        order_type=kind,
        volume=_amount(row.get("sz")),
        price=Price(_amount(row["px"])) if "px" in row else None,
        quote_sized=quote,
        post_only=row["ordType"] == "post_only",
        time_in_force=in_force,
        client_id=str(row["clOrdId"]) if "clOrdId" in row else None,
    )


def _amount(text: Json) -> Decimal:
    if not isinstance(text, str) or not text.replace(".", "", 1).isdecimal() or not text.isascii():
        raise invalid("an amount does not read")
    return Decimal(text)


def _ref(row: Mapping[str, Json]) -> OrderRef:
    """Return how a row names an order. The venue lets its own id win."""
    if "ordId" in row:
        return OrderRef("venue-id", f"{row.get('instId')}/{row['ordId']}")
    if "clOrdId" not in row:
        raise invalid("neither ordId nor clOrdId is given")
    return OrderRef("client-id", str(row["clOrdId"]))


def _sighting(row: Mapping[str, Any]) -> Sighting:
    return Sighting(
        venue_id=f"{row['instId']}/{row['ordId']}",
        pair=row["instId"],
        side=row["side"],
        order_type=TYPES[row["ordType"]][0],
        volume=Decimal(row["sz"]),
        price=Price(Decimal(row["px"])) if row["px"] else None,
        price2=None,
        client_tag="",
        client_id=row["clOrdId"],
        opened_us=int(row["cTime"]) * 1000,
        closed_us=int(row["uTime"]) * 1000 if row["state"] in {"filled", "canceled"} else None,
        cancelled=row["state"] == "canceled",
    )
