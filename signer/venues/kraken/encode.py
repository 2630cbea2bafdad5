"""Write a call as Kraken reads it: its bytes, the message that signs them, and what the call costs.

Nothing in the bytes is the client's own. The names of orders on the wire are those that were decided about. An order
whose client gave a ``cl_ord_id`` gets a random UUID of ours there, and any other order a random ``userref``. So Kraken
treats it as an order of the kind that the client asked for, and sees no name of a client's.

Each call adds to Kraken's counters (docs/kraken.md §4), and its answer may have so many bytes and no more.
"""

from __future__ import annotations

import base64
import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import Final, TypeAlias, cast
from urllib.parse import quote_plus
from uuid import UUID

from signer import __version__
from signer.errors import ConfigError, NotAllowed, RefusalKind
from signer.model import Action, Call, Json, Order, OrderRef, PlacedOrder, WireRequest
from signer.model.allowances import Allowance, Tier
from signer.venues.kraken.decode import PRIVATE
from signer.venues.kraken.endpoints import ENDPOINTS
from signer.venues.kraken.values import BATCH_MOST, order_ref

USER_AGENT = ("User-Agent", f"signer/{__version__}")
_FORM_HEADERS = (("Content-Type", "application/x-www-form-urlencoded"), USER_AGENT)
_encode = json.JSONEncoder(separators=(",", ":")).encode
"""Made once: `json.dumps` makes a new encoder at each call that has separators."""
_JSON_HEADERS = (("Content-Type", "application/json"), USER_AGENT)


def encode(call: Call, nonce: int, api_key: str) -> tuple[WireRequest, bytes]:
    """Return the request for ``call`` with ``nonce``, unsigned, and the message to sign (docs/kraken.md §2a).

    Raises `NotAllowed` for a call that must never leave, and for one that names other orders than it was decided about.
    The gateway has refused both long before: this is the last place that could let one out by mistake.
    """
    if call.never or call.local:
        raise NotAllowed(RefusalKind.NOT_PERMITTED, f"{call.endpoint} is never sent")
    if not is_as_decided(call):
        why = f"{call.endpoint} names other orders than it was decided about"
        raise NotAllowed(RefusalKind.NOT_PERMITTED, why)
    path = PRIVATE + call.endpoint
    digits, fields = str(nonce), fields_on_the_wire(call)
    if ENDPOINTS[call.endpoint].as_json or isinstance(call.fields.get("pair"), list):
        headers = _JSON_HEADERS
        body = _encode({"nonce": digits, **fields}).encode()
    else:
        headers = _FORM_HEADERS
        body = "&".join((f"nonce={digits}", *_form(fields))).encode()
    message = path.encode() + sha256(digits.encode() + body).digest()
    return WireRequest("POST", path, (*headers, ("API-Key", api_key)), body, most_answer(call.endpoint)), message


def signed(request: WireRequest, signature: bytes) -> WireRequest:
    """Return ``request`` with its signature in a header."""
    headers = (*request.headers, ("API-Sign", base64.b64encode(signature).decode()))
    return WireRequest(
        request.method, request.target, headers, request.body, request.most_answer, request.answer_headers
    )


def _form(fields: Mapping[str, Json], inside: str = "") -> Iterator[str]:
    for name, value in fields.items():
        label = f"{inside}[{name}]" if inside else name
        if isinstance(value, dict):
            yield from _form(value, label)
        elif isinstance(value, bool):
            yield f"{_escaped_name(label)}={'true' if value else 'false'}"
        else:
            text = str(value)
            yield f"{_escaped_name(label)}={text if text.isalnum() and text.isascii() else quote_plus(text)}"


@lru_cache(maxsize=256)
def _escaped_name(name: str) -> str:
    """Escape a name. Cached: the names are those of our own models."""
    return quote_plus(name)


GIVEN = ("userref", "cl_ord_id")
"""The fields in which a client names an order that it places, or filters a read."""

_Bits: TypeAlias = Callable[[int], int]


def with_own_names(call: Call, bits: _Bits, is_taken: Callable[[str], bool]) -> Call:
    """Return ``call`` in which each order that it places has a new name of ours."""
    made: set[str] = set()

    def new(make: Callable[[_Bits], str]) -> str:
        while (name := make(bits)) in made or is_taken(name):
            pass
        made.add(name)
        return name

    if call.change is not None:
        return replace(call, change=replace(call.change, own=new(_userref))) if call.change.replaces else call
    if not call.orders:
        return call
    orders = tuple(replace(order, own=new(_uuid if order.client_id else _userref)) for order in call.orders)
    return replace(call, orders=orders)


def fields_on_the_wire(call: Call) -> Mapping[str, Json]:
    """Return the fields of ``call`` with our names of its orders in the place of the client's.

    A read is sent without the client's filter by a name. Raises `NotAllowed` for an order without a name of ours.
    """
    if call.change is not None and call.change.replaces:
        return {**_unnamed(call.fields), "userref": int(_own(call, call.change.own))}
    if not call.orders:
        return _unnamed(call.fields) if call.sought else call.fields
    if "orders" not in call.fields:
        return _named(call, call.fields, call.orders[0])
    rows = zip(cast("list[dict[str, Json]]", call.fields["orders"]), call.orders, strict=True)
    return {**call.fields, "orders": [_named(call, row, order) for row, order in rows]}


def _named(call: Call, fields: Mapping[str, Json], order: Order) -> dict[str, Json]:
    own = _own(call, order.own)
    return _unnamed(fields) | ({"cl_ord_id": own} if order.client_id else {"userref": int(own)})


def _own(call: Call, name: str | None) -> str:
    if name is None:
        raise NotAllowed(RefusalKind.NOT_PERMITTED, f"{call.endpoint} has an order without a name of ours")
    return name


def _unnamed(fields: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in fields.items() if name not in GIVEN}


def _userref(bits: _Bits) -> str:
    """Return a positive number of 31 bits: zero means none, and userrefs are signed."""
    return str(bits(31) or 1)


def _uuid(bits: _Bits) -> str:
    return str(UUID(int=bits(128), version=4))


SMALL: Final = 64 * 1024
"""Bytes; of whatever changes something: a batch of 15 orders is answered in some 4 KiB."""
LIST: Final = 4 * 1024 * 1024
"""All pairs of the exchange take some 1.5 MiB, a thousand trades some 80 KiB."""
EXPORT: Final = 64 * 1024 * 1024
"""An archive of years of ledger entries. One at a time is fetched."""
EXPORTS: Final = frozenset({"RetrieveExport"})
SMALL_PUBLIC: Final = frozenset({"Time", "SystemStatus"})


def most_answer(endpoint: str) -> int:
    """Return the most bytes of the answer to a private call."""
    if endpoint in EXPORTS:
        return EXPORT
    return LIST if ENDPOINTS[endpoint].action is Action.READ else SMALL


def most_public_answer(endpoint: str) -> int:
    """Return the most bytes of the answer to a public call."""
    return SMALL if endpoint in SMALL_PUBLIC else LIST


CHANGES = frozenset({"AmendOrder", "EditOrder"})
NAMING = CHANGES | {"CancelOrder", "CancelOrderBatch"}
"""Every endpoint that names existing orders."""

_NAMES = frozenset({"txid", "cl_ord_id", "orders", "cl_ord_ids"})


def changed_by_id(call: Call, txid: str) -> Call:
    """Return an edit or amend of exactly that order, whatever name the client gave it."""
    fields = {"txid": txid, **{name: value for name, value in call.fields.items() if name not in _NAMES}}
    return replace(call, fields=fields, targets=(OrderRef("venue-id", txid),))


def names_on_the_wire(call: Call) -> tuple[OrderRef, ...]:
    """Return the existing orders that the fields of ``call`` name, as the venue will read them."""
    fields = call.fields
    listed = [*_listed(fields, "txid"), *_listed(fields, "orders")]
    by_client = [str(name) for key in ("cl_ord_id", "cl_ord_ids") for name in _listed(fields, key)]
    return (*(order_ref("txid", str(one)) for one in listed), *(OrderRef("client-id", name) for name in by_client))


def is_as_decided(call: Call) -> bool:
    """Return whether ``call`` names on the wire the orders that it was decided about, and no other.

    A change must name one order by its txid: an edit by userref changes whichever order the venue finds first, the
    account owner's too. A cancel must have a form that the venue takes: one order alone, or 2 to 50 in a batch.
    """
    if call.endpoint not in NAMING:
        return True
    names = names_on_the_wire(call)
    if names != call.targets:
        return False
    if call.endpoint in CHANGES:
        return len(names) == 1 and names[0].kind == "venue-id"
    least, limit = (2, BATCH_MOST) if call.endpoint == "CancelOrderBatch" else (1, 1)
    return least <= len(names) <= limit


def _listed(fields: Mapping[str, Json], name: str) -> Sequence[Json]:
    value = fields.get(name, [])
    if isinstance(value, list):
        return value
    return cast("list[Json]", str(value).split(",")) if name == "txid" else [value]


TIERS: Mapping[str, Tier] = {
    "starter": Tier(Allowance(15, 0.33), Allowance(60, 1.0)),
    "intermediate": Tier(Allowance(20, 0.5), Allowance(125, 2.34)),
    "pro": Tier(Allowance(20, 1.0), Allowance(180, 3.75)),
    "unlimited": Tier(None, None),
}
"""Keyed by the tier's name at Kraken; ``unlimited`` is the sandbox's, for tests under load."""

_DEAR_READS = frozenset({"Ledgers", "QueryLedgers", "TradesHistory", "QueryTrades", "ClosedOrders"})
"""Ledger and trade history, two points each."""

_AGES_S = (5, 10, 15, 45, 90, 300)
_AMEND = (3, 2, 1, 0, 0, 0, 0)
_EDIT = (6, 5, 4, 2, 1, 0, 0)
_CANCEL = (8, 6, 5, 4, 2, 1, 0)
"""The costs by the order's age: below the first of `_AGES_S`, the second, and so on."""


def tier(name: str) -> Tier:
    """Return what the counters of an account of that level take. Raises `ConfigError` for an unknown level."""
    if name not in TIERS:
        raise ConfigError(f'Kraken has no tier "{name[:70]}"', hint=f"choose one of: {', '.join(TIERS)}")
    return TIERS[name]


def read_cost(call: Call) -> float:
    """Return what ``call`` adds to its key's counter. Calls that concern orders have another counter."""
    if call.action in {Action.ORDER, Action.CANCEL}:
        return 0.0
    return 2.0 if call.endpoint in _DEAR_READS else 1.0


def order_costs(call: Call, targets: Sequence[PlacedOrder], now_us: int) -> Mapping[str, float]:
    """Return what ``call`` adds to the counter of each pair; ``targets`` are the orders that it changes or cancels."""
    if call.action is Action.ORDER and call.change is None:
        return {call.orders[0].pair: add_cost(len(call.orders))} if call.orders else {}
    cost = cancel_cost if call.change is None else edit_cost if call.change.replaces else amend_cost
    costs: dict[str, float] = {}
    for target in targets if call.action in {Action.ORDER, Action.CANCEL} else ():
        age_s = max(0.0, (now_us - target.placed_us) / 1_000_000)
        costs[target.order.pair] = costs.get(target.order.pair, 0.0) + cost(age_s)
    return costs


def add_cost(orders: int) -> float:
    """Return what a call adds to its pair's counter that places so many orders; the cost of a batch is approximate."""
    return 1.0 if orders == 1 else 1.0 + orders / 2


def amend_cost(age_s: float) -> float:
    """Return what it costs to amend an order of that age."""
    return 1.0 + _AMEND[bisect_right(_AGES_S, age_s)]


def edit_cost(age_s: float) -> float:
    """Return what it costs to edit an order of that age."""
    return 1.0 + _EDIT[bisect_right(_AGES_S, age_s)]


def cancel_cost(age_s: float) -> float:
    """Return what it costs to cancel an order of that age."""
    return float(_CANCEL[bisect_right(_AGES_S, age_s)])
