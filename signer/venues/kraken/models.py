"""The parameters that are more than one value: an order, its ``close``, the lists of a batch, TradeVolume's pairs."""

from __future__ import annotations

import re
from types import MappingProxyType

from signer.model import Json
from signer.venues.kraken.amounts import amount, leverage, price
from signer.venues.kraken.values import (
    BATCH_MOST,
    Model,
    cl_ord_id,
    flag,
    matching,
    must,
    one_of,
    pair_text,
    read_fields,
    schedule,
    some_of,
    userref,
    word,
)

_pair_list = matching(
    re.compile(r"[A-Za-z0-9./:]{1,40}(?:,[A-Za-z0-9./:]{1,40}){0,99}"), "a comma list of at most 100 pairs"
)

CLOSE: Model = {
    "ordertype": one_of(
        "limit", "stop-loss", "take-profit", "stop-loss-limit", "take-profit-limit", "trailing-stop",
        "trailing-stop-limit",
    ),
    "price": price,
    "price2": price,
}  # fmt: skip
"""What the order that each fill places takes (docs/kraken.md §6)."""

agreement = one_of("agree")
"""Kraken asks residents of Germany for it with each order (docs/kraken.md §1c-1)."""


def _close(name: str, value: Json) -> Json:
    if value == "{}":  # how XChange writes an empty object into a form
        return None
    if not isinstance(value, dict):
        raise must(name, "an object, or close[ordertype] and close[price]", value)
    return read_fields(CLOSE, value, name) or None


ORDER: Model = MappingProxyType({
    "ordertype": one_of(
        "market", "limit", "iceberg", "stop-loss", "take-profit", "stop-loss-limit", "take-profit-limit",
        "trailing-stop", "trailing-stop-limit", "settle-position",
    ),
    "type": one_of("buy", "sell"),
    "volume": amount,
    "displayvol": amount,
    "price": price,
    "price2": price,
    "trigger": one_of("last", "index"),
    "leverage": leverage,
    "reduce_only": flag,
    "stptype": one_of("cancel-newest", "cancel-oldest", "cancel-both"),
    "oflags": some_of("post", "fcib", "fciq", "nompp", "viqc"),
    "timeinforce": one_of("GTC", "IOC", "GTD", "FOK"),
    "starttm": schedule,
    "expiretm": schedule,
    "close": _close,
    "cl_ord_id": cl_ord_id,
    "userref": userref,
    "trading_agreement": agreement,
})  # fmt: skip
"""What one order takes besides its pair (docs/kraken.md §1c-1)."""


def order_rows(name: str, value: Json) -> Json:
    """The orders of a batch (docs/kraken.md §1c)."""
    if not (isinstance(value, list) and 2 <= len(value) <= 15):
        raise must(name, "a list of 2 to 15 orders", value)
    return [_order_row(f"{name}[{index}]", row) for index, row in enumerate(value)]


def _order_row(name: str, value: Json) -> Json:
    if not isinstance(value, dict):
        raise must(name, "an object", value)
    return read_fields(ORDER, value, name)


def rows(name: str, value: Json) -> Json:
    """The list itself; its entries are read by `signer.venues.kraken.changes`. An empty list says nothing."""
    if not (isinstance(value, list) and len(value) <= BATCH_MOST):
        raise must(name, f"a list of at most {BATCH_MOST}", value)
    return value or None


def text(name: str, value: Json) -> Json:
    """Text that the endpoint's own parser reads, with the pair table or as a reference to an order."""
    if not isinstance(value, str):
        raise must(name, "text", value)
    return value


def pairs(name: str, value: Json) -> Json:
    """TradeVolume's pair: a comma list of pairs, or a list of {asset, aclass} objects."""
    if isinstance(value, list):
        return [_asset_object(name, item) for item in value]
    return _pair_list(name, value)


def _asset_object(name: str, value: Json) -> Json:
    if not isinstance(value, dict):
        raise must(name, "a list of objects with asset and aclass", value)
    return read_fields({"asset": pair_text, "aclass": word}, value, name)
