"""Cancels as Kraken takes and answers them: one order alone, 2 to 50 together in JSON (docs/kraken.md §1c)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from signer.errors import NotServed, RefusalKind
from signer.model import Call, Json, OrderRef, Outcome, Response, VenueResult, WireAnswer
from signer.model.ended import CancelAnswer, Ended
from signer.venues.kraken.answers import answer_with, reason
from signer.venues.kraken.endpoints import ENDPOINTS

GONE = "EOrder:Unknown order"
_TOO_FAST = ("EOrder:Rate limit exceeded", "EOrder:Domain rate limit exceeded")
_OF_ONE = ("EOrder:", "EGeneral:Invalid arguments")
"""Refusals that one order of several may have caused, or the form of the request. Any other concerns the key, the
account or the exchange, and asking again for each order would only do harm."""
_IDS_AT_ONCE = 7
"""Names of orders in one error string: those of 20 characters fit its length."""


def cancel(refs: Sequence[OrderRef]) -> Call:
    """Return the call that cancels the order of one name of any kind, or 2 to 50 orders by their txids."""
    if len(refs) > 1:
        return _call("CancelOrderBatch", {"orders": [ref.value for ref in refs]}, refs)
    (ref,) = refs
    return _call("CancelOrder", {"cl_ord_id" if ref.kind == "client-id" else "txid": ref.value}, refs)


def read(answer: WireAnswer, result: VenueResult) -> CancelAnswer:
    """Return what an answer that was read as ``result`` says of the orders of its cancel."""
    severe = [error for error in result.errors if not error.startswith("W")]
    if result.outcome is Outcome.ACCEPTED:
        told = json.loads(answer.body)["result"]
        count, pending = told.get("count"), told.get("pending")
        return CancelAnswer(count if isinstance(count, int) else 0, pending is True)
    return CancelAnswer(
        gone=bool(severe) and all(error.startswith(GONE) for error in severe),
        too_fast=bool(severe) and all(error.startswith(_TOO_FAST) for error in severe),
        final=result.outcome is Outcome.REJECTED and not all(error.startswith(_OF_ONE) for error in severe),
        error=severe[0] if severe else "EService:Unavailable",
    )


def answered(ended: Ended) -> Response:
    """Return the answer to a cancel, in Kraken's shape. Raises `NotServed` if anything is left or untold.

    Kraken answers a cancel that ended no order with an error.
    """
    if ended.left or ended.untold:
        raise _not_cancelled(ended)
    if not ended.count:
        raise NotServed(RefusalKind.UNKNOWN_ORDER)
    return answer_with({"count": ended.count, **({"pending": True} if ended.pending else {})})


def read_open(answer: WireAnswer) -> frozenset[str] | None:
    """Read the txids of all open orders in an answer of OpenOrders; None if they are not there."""
    try:
        envelope = json.loads(answer.body)
        listed = None if envelope["error"] or answer.status != 200 else envelope["result"]["open"]
        return None if listed is None else frozenset(dict(listed))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _not_cancelled(ended: Ended) -> NotServed:
    """Return the refusal that says which orders may still be open, and of which nobody can tell who closed them.

    Kraken's own error comes first if it gave one.
    """
    first = next((why for why in ended.left.values() if why.startswith("E")), "EService:Unavailable")
    category = first.partition(":")[0]
    texts = [f"{ended.count} cancelled", *_lists("perhaps still open", ended.left)]
    texts += _lists("closed, perhaps by this cancel", ended.untold)
    texts += dict.fromkeys(why for why in ended.left.values() if not why.startswith("E"))
    words = (first, *(f"{category}:Gateway: {reason(text)}" for text in texts))
    return NotServed(RefusalKind.NOT_CANCELLED, venue_words=words)


def _lists(what: str, refs: Iterable[OrderRef]) -> list[str]:
    """Return texts that each name a few of ``refs``, because one error string has no room for all."""
    names = [ref.value for ref in refs]
    parts = (names[start : start + _IDS_AT_ONCE] for start in range(0, len(names), _IDS_AT_ONCE))
    return [f"{what}: {' '.join(part)}" for part in parts]


def _call(name: str, fields: Mapping[str, Json], refs: Sequence[OrderRef]) -> Call:
    endpoint = ENDPOINTS[name]
    return Call(name, endpoint.action, fields, endpoint.needs, targets=tuple(refs))
