"""Fills orders around a call, as a market does that does not wait for anybody."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import cast

from signer.sandbox.cancelling import called
from signer.sandbox.matching import fill
from signer.sandbox.state import SimulatedCall

_PLACES = frozenset({"AddOrder", "AddOrderBatch"})


def fill_before(call: SimulatedCall, method: str) -> None:
    """Fill the open orders that a call names, before the exchange acts on it; if it names none, all open orders."""
    if call.met.filled_before is not None:
        _fill(call, _named(call, method), call.met.filled_before)


def fill_after(call: SimulatedCall, method: str, result: object) -> None:
    """Fill the open orders that a call placed, or else named, before its answer leaves; if it did neither, all."""
    if call.met.filled_after is not None:
        _fill(call, _placed(result) or _named(call, method), call.met.filled_after)


def _named(call: SimulatedCall, method: str) -> list[str]:
    """Answer the txids of the open orders that the call names, or of all if it names none."""
    fields, live = call.fields, call.account.open
    if method in _PLACES or not any(fields.has(name) for name in ("txid", "cl_ord_id", "orders", "cl_ord_ids")):
        return list(live)
    names = [*fields.words("txid"), *fields.words("orders")]
    return list(called(call.account, names, [*fields.words("cl_ord_id"), *fields.words("cl_ord_ids")]))


def _placed(result: object) -> list[str]:
    """Answer the txids in the answer of AddOrder, AddOrderBatch or EditOrder; empty for another answer."""
    if not isinstance(result, dict):
        return []
    txid, rows = result.get("txid", []), cast("list[dict[str, object]]", result.get("orders", []))
    placed = [txid] if isinstance(txid, str) else list(txid)
    return placed + [str(row["txid"]) for row in rows if "txid" in row]


def _fill(call: SimulatedCall, txids: Iterable[str], share: Decimal) -> None:
    for txid in txids:
        order = call.account.open.get(txid)
        if order is None or not order.rests:
            continue
        volume = order.terms.pair.lots(order.remaining * share)
        if volume:
            fill(call.state, order, volume)
