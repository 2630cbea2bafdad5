"""The parameters that are more than one value, and what becomes of those that a call's model does not have.

Real clients send more than Kraken documents (docs/clients.md). A read changes nothing, so its plain unknown parameters
are sent on, written anew. A call that changes something has no unknown parameters: what is known to mean nothing is
dropped by name, and the rest is refused when the call is read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from signer.model import Json
from signer.venues.kraken.answers import invalid, quoted
from signer.venues.kraken.values import (
    BATCH_MOST,
    Model,
    amount,
    cl_ord_id,
    flag,
    leverage,
    matching,
    must,
    one_of,
    pair_text,
    price,
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
    """Return the orders of a batch (docs/kraken.md §1c)."""
    if not (isinstance(value, list) and 2 <= len(value) <= 15):
        raise must(name, "a list of 2 to 15 orders", value)
    return [_order_row(f"{name}[{index}]", row) for index, row in enumerate(value)]


def _order_row(name: str, value: Json) -> Json:
    if not isinstance(value, dict):
        raise must(name, "an object", value)
    return read_fields(ORDER, value, name)


def rows(name: str, value: Json) -> Json:
    """Read the list itself; its entries are read by `signer.venues.kraken.changes`. An empty list is left out."""
    if not (isinstance(value, list) and len(value) <= BATCH_MOST):
        raise must(name, f"a list of at most {BATCH_MOST}", value)
    return value or None


def text(name: str, value: Json) -> Json:
    """Read text. The endpoint's own parser looks it up in the pair table or as a reference to an order."""
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


MOST_EXTRAS: Final = 20
"""Unknown parameters of one read that are sent on; further ones are dropped."""

_NAME = re.compile(r"[A-Za-z0-9_]{1,40}")
_VALUE = re.compile(r"[ -~]{1,128}")

_CREDENTIALS = frozenset({"nonce", "otp", "apikey", "apisign", "apinonce", "apiotp", "apisecret", "privatekey"})
"""Refused in any spelling: a second nonce or key could outrank ours."""

_SECRETS = frozenset({"secret", "password", "passphrase", "token", "signature"})
_SELECTING = frozenset({
    "account", "accountid", "subaccount", "user", "users", "userid", "iiban", "portfolio", "master"
})  # fmt: skip
"""They could choose whose data an answer tells. Where Kraken documents one, the endpoint's own model has it."""
_CHANGING = frozenset({"new", "validate", "timeout", "cancel", "delete"})
"""They could make a change of a read, as ``new=true`` makes an address of DepositAddresses."""
_NAMING = frozenset({"userref", "clordid"})
"""A client's name of an order, which no answer to such a read is narrowed by."""
_KEPT_BACK = _SECRETS | _SELECTING | _CHANGING | _NAMING

_WITHOUT_PRICE = frozenset({"market", "settle-position"})


def passed_on(known: Collection[str], fields: Mapping[str, Json]) -> tuple[dict[str, Json], tuple[str, ...]]:
    """Return the fields of a read that are not ``known``: the plain ones, to be sent on, and the names of the rest.

    Raises `NotUnderstood` for a parameter that is named like a credential, or that spells a known one in odd brackets.
    """
    strangers = {name: value for name, value in fields.items() if name not in known}
    if not strangers:
        return {}, ()
    plain: dict[str, Json] = {}
    dropped: list[str] = []
    taken = {_bare(name) for name in known}
    for name, value in strangers.items():
        bare = _bare(name)
        if bare in _CREDENTIALS:
            raise invalid(f"the parameter {quoted(name)} is not known")
        if name.partition("[")[0] in known:  # without its filter the read would tell of everything
            raise invalid(f"{quoted(name)} is no spelling of a parameter that we can read")
        if _blank(value):
            continue
        if bare in taken | _KEPT_BACK or not _plain(name, value) or len(plain) == MOST_EXTRAS:
            dropped.append(name)
        else:
            plain[name] = value
    return plain, tuple(dropped)


def without_debris(endpoint: str, fields: Mapping[str, Json]) -> tuple[Mapping[str, Json], tuple[str, ...]]:
    """Drop what unmodified clients send without meaning; return the other fields and the dropped names."""
    debris = set(_debris(endpoint, fields))
    if not debris and endpoint != "AddOrderBatch":
        return fields, ()
    kept: dict[str, Json] = {name: value for name, value in fields.items() if name not in debris}
    dropped = [*sorted(debris)]
    rows = kept.get("orders")
    if endpoint == "AddOrderBatch" and isinstance(rows, list):
        kept["orders"] = [_row_without_debris(f"orders[{index}]", row, dropped) for index, row in enumerate(rows)]
    return (kept, tuple(dropped)) if dropped else (fields, ())


def _debris(endpoint: str, fields: Mapping[str, Json]) -> Iterator[str]:
    https = fields.get("https")
    if isinstance(https, dict) and https.keys() == {"rejectUnauthorized"}:  # of node-kraken-rest-api's own options
        yield "https"
    if endpoint in {"AddOrder", "AddOrderBatch"}:
        yield from _order_debris(fields)
    elif endpoint in {"EditOrder", "AmendOrder"} and fields.get("trading_agreement", "no") in ("agree", "", None):
        yield "trading_agreement"  # the order was placed with it, or needs none


def _order_debris(fields: Mapping[str, Json]) -> Iterator[str]:
    if "position" in fields and (fields["position"] == "0" or _blank(fields["position"])):
        yield "position"  # XChange sends it with every order
    if "broker" in fields and (isinstance(fields["broker"], str) or _blank(fields["broker"])):
        yield "broker"  # it credits the order to whoever it names
    order_type = fields.get("ordertype")
    if isinstance(order_type, str) and order_type in _WITHOUT_PRICE:
        yield from (name for name in ("price", "price2") if isinstance(fields.get(name), str) and fields[name])


def _row_without_debris(where: str, row: Json, dropped: list[str]) -> Json:
    if not isinstance(row, dict):
        return row
    debris = set(_order_debris(row))
    dropped.extend(f"{where}[{name}]" for name in sorted(debris))
    return {name: value for name, value in row.items() if name not in debris}


def _blank(value: Json) -> bool:
    return value is None or value == ""


def _plain(name: str, value: Json) -> bool:
    """Return whether a parameter has a plain name and one short printable value."""
    if not _NAME.fullmatch(name):
        return False
    return isinstance(value, bool) or (isinstance(value, str) and _VALUE.fullmatch(value) is not None)


def _bare(name: str) -> str:
    """Return a name without the differences that two readers could overlook."""
    return name.replace("_", "").replace("-", "").casefold()
