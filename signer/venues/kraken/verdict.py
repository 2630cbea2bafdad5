"""Step 8: what the venue's answer means for a call. Whatever is not a clear yes or no is unknown."""

from __future__ import annotations

import json
from typing import cast

from signer.model import Action, Call, Json, Outcome, VenueResult, WireAnswer

_NOT_PLACED = (
    "EAPI:Invalid key",
    "EAPI:Invalid signature",
    "EAPI:Invalid nonce",
    "EAPI:Rate limit exceeded",
    "EAPI:Bad request",
    "EAPI:Feature disabled",
    "EAPI:Invalid token",
    "EAuth:",
    "ESession:Invalid session",
    "EGeneral:Permission denied",
    "EGeneral:Invalid arguments",
    "EGeneral:Unknown method",
    "EGeneral:Temporary lockout",
    "EGeneral:Too many requests",
    "EService:Throttled",
    "EService: Throttled",
    "EService:Market in ",
    "EOrder:Insufficient funds",
    "EOrder:Insufficient margin",
    "EOrder:Insufficient initial margin",
    "EOrder:Order minimum not met",
    "EOrder:Cost minimum not met",
    "EOrder:Post only order",  # it would have taken liquidity; docs/kraken.md §10 has who sends it
    "EOrder:Tick size check failed",
    "EOrder:Invalid price",
    "EOrder:Invalid order",
    "EOrder:Unknown order",
    "EOrder:Unknown position",
    "EOrder:Margin allowance exceeded",
    "EOrder:Margin level too low",
    "EOrder:Margin position size exceeded",
    "EOrder:Cannot open position",
    "EOrder:Cannot open opposing position",
    "EOrder:Orders limit exceeded",
    "EOrder:Positions limit exceeded",
    "EOrder:Scheduled orders limit exceeded",
    "EOrder:Trading agreement required",
    "EOrder:Order not editable",
    "EOrder:Not enough leaves qty",
    "EOrder:No amendable parameters",
    "EOrder:Reduce only:No position exists",
    "EOrder:Reduce only:Non-PC",
    "EOrder:Reduce only:Non-ECP",
    "EOrder:Non-ECP",
    "EOrder:Rate limit exceeded",
    "EOrder:Domain rate limit exceeded",
    "ETrade:Invalid request",
    "ETrade:Locked",
    "ETrade:User Locked",
    "EAccount:Invalid permissions",
    "EFunding:",
    "EQuery:",
    "EBM:limit exceeded",
)
"""Errors after which an order is certainly not placed: the "no" rows of docs/kraken.md §3. With any other it may be."""

_decode = json.JSONDecoder(parse_float=str).decode
"""Made once: `json.loads` makes a new decoder at each call that has a ``parse_float``."""

_EMPTY_ERROR = b'{"error":[],'


def read_answer(call: Call, answer: WireAnswer) -> VenueResult:
    """What ``answer`` means for ``call``."""
    if call.action is Action.READ:
        return _read_of_read(call, answer)
    envelope = _envelope(answer)
    if envelope is None:
        return VenueResult(Outcome.UNKNOWN)
    errors, result = envelope
    severe = tuple(error for error in errors if not error.startswith("W"))
    if severe:
        return _refused(errors, severe, result)
    txids = _accepted(call, result)
    if txids is None:
        return VenueResult(Outcome.UNKNOWN, errors)
    if call.endpoint == "AddOrderBatch" and not call.dry_run:
        errors += _row_errors(result)
        if not any(txids):
            return VenueResult(Outcome.REJECTED, errors, txids)
    return VenueResult(Outcome.ACCEPTED, errors, txids)


def _read_of_read(call: Call, answer: WireAnswer) -> VenueResult:
    """A read has no effect to be unsure of; unknown says that nothing in the answer is fit to be passed on."""
    # Reads are many and may have megabytes: one that begins as every good one does is not parsed.
    good = answer.body.startswith(_EMPTY_ERROR)
    export = call.endpoint == "RetrieveExport" and "json" not in answer.content_type  # binary (docs/kraken.md §1b)
    if answer.status == 200 and (good or export):
        return VenueResult(Outcome.ACCEPTED)
    envelope = _envelope(answer)
    if envelope is None:
        return VenueResult(Outcome.UNKNOWN)
    errors, _ = envelope
    if any(not error.startswith("W") for error in errors):
        return VenueResult(Outcome.REJECTED, errors, bad_nonce=_is_bad_nonce(errors), bad_key=_is_bad_key(errors))
    return VenueResult(Outcome.ACCEPTED, errors)


def _refused(errors: tuple[str, ...], severe: tuple[str, ...], result: Json) -> VenueResult:
    certain = all(_certainly_not_placed(error) for error in severe) and not result
    outcome = Outcome.REJECTED if certain else Outcome.UNKNOWN
    return VenueResult(outcome, errors, bad_nonce=_is_bad_nonce(errors), bad_key=_is_bad_key(errors))


def _is_bad_nonce(errors: tuple[str, ...]) -> bool:
    return any(error.startswith("EAPI:Invalid nonce") for error in errors)


def _is_bad_key(errors: tuple[str, ...]) -> bool:
    return any(error.startswith("EAPI:Invalid key") for error in errors)


def _certainly_not_placed(error: str) -> bool:
    return error.startswith(_NOT_PLACED)


def _envelope(answer: WireAnswer) -> tuple[tuple[str, ...], Json] | None:
    """The errors and the result, or None where the body is no whole envelope of Kraken's."""
    if answer.status != 200:
        return None  # an edge in between speaks; the order may have passed it (docs/kraken.md §3)
    try:
        read = _decode(answer.body.decode())
    except (ValueError, RecursionError):
        return None
    errors = read.get("error") if isinstance(read, dict) else None
    if not isinstance(errors, list) or not all(isinstance(error, str) for error in errors):
        return None
    return tuple(errors), read.get("result")


def _accepted(call: Call, result: Json) -> tuple[str | None, ...] | None:
    """The txid of each order of the call if ``result`` has the shape of an acceptance, else None."""
    if not isinstance(result, dict):
        return None
    if call.dry_run:
        return (None,) * len(call.orders)
    read = _SHAPES.get(call.endpoint)
    return read(call, result) if read else ()


def _added(_: Call, result: dict[str, Json]) -> tuple[str | None, ...] | None:
    return _one_id(result.get("txid"))


def _edited(_: Call, result: dict[str, Json]) -> tuple[str | None, ...] | None:
    return _one_id(result.get("txid")) if result.get("status", "ok") in {"ok", "Ok"} else None


def _amended(call: Call, result: dict[str, Json]) -> tuple[str | None, ...] | None:
    """The answer has no txid. An amend keeps it; one that named its order by cl_ord_id is settled under that."""
    return (call.targets[0].value,) if _is_id(result.get("amend_id")) else None


def _one_id(value: Json) -> tuple[str | None, ...] | None:
    """The one txid, which AddOrder answers in a list and EditOrder bare."""
    txid = value[0] if isinstance(value, list) and len(value) == 1 else value
    return (txid,) if isinstance(txid, str) and txid else None


def _is_id(value: Json) -> bool:
    return isinstance(value, str) and bool(value)


def _batch(call: Call, result: dict[str, Json]) -> tuple[str | None, ...] | None:
    """Row by row: an id, or an error that is a clear no."""
    rows = result.get("orders")
    if not isinstance(rows, list) or len(rows) != len(call.orders):
        return None
    txids: list[str | None] = []
    for row in rows:
        txid, error = (row.get("txid"), row.get("error")) if isinstance(row, dict) else (None, None)
        if _is_id(txid) and not error:
            txids.append(cast("str", txid))
        elif txid is None and isinstance(error, str) and _certainly_not_placed(error):
            txids.append(None)
        else:
            return None
    return tuple(txids)


def _row_errors(result: Json) -> tuple[str, ...]:
    rows = cast("dict[str, list[dict[str, str]]]", result)["orders"]
    return tuple(row["error"] for row in rows if row.get("error"))


_SHAPES = {"AddOrder": _added, "AddOrderBatch": _batch, "EditOrder": _edited, "AmendOrder": _amended}
"""How each call that places or changes orders is accepted."""
