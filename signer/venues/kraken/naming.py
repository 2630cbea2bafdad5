"""How a call names existing orders on the wire, and the same call with their ids in the place of the client's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from signer.model import Call, Json, OrderRef
from signer.venues.kraken.values import BATCH_MOST, order_ref

CHANGES = frozenset({"AmendOrder", "EditOrder"})
NAMING = CHANGES | {"CancelOrder", "CancelOrderBatch"}
"""Every endpoint that names existing orders."""

_NAMES = frozenset({"txid", "cl_ord_id", "orders", "cl_ord_ids"})


def changed_by_id(call: Call, txid: str) -> Call:
    """An edit or amend of exactly that order, whatever name the client gave it."""
    fields = {"txid": txid, **{name: value for name, value in call.fields.items() if name not in _NAMES}}
    return replace(call, fields=fields, targets=(OrderRef("venue-id", txid),))


def names_on_the_wire(call: Call) -> tuple[OrderRef, ...]:
    """The existing orders that the fields of ``call`` name, as the venue will read them."""
    fields = call.fields
    listed = [*_listed(fields, "txid"), *_listed(fields, "orders")]
    by_client = [str(name) for key in ("cl_ord_id", "cl_ord_ids") for name in _listed(fields, key)]
    return (*(order_ref("txid", str(one)) for one in listed), *(OrderRef("client-id", name) for name in by_client))


def is_as_decided(call: Call) -> bool:
    """Whether ``call`` names on the wire the orders that it was decided about, and no other.

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
