"""Read what Kraken's answer means for a call, and whether it asks for quiet (docs/kraken.md §3, §4).

Whatever is not a clear yes or no is unknown. The network before Kraken may ask for quiet too.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import cast

from signer.model import Action, Call, Json, Outcome, VenueResult, WireAnswer
from signer.model.quiet import QuietAsked, Reach
from signer.model.wire import RETRY_AFTER

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
    """Return what ``answer`` means for ``call``."""
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
    """Read the answer to a read. Unknown says that nothing in it is fit to be passed on."""
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
    """Return the errors and the result, or None where the body is no whole envelope of Kraken's."""
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
    """Return the txid of each order of the call if ``result`` has the shape of an acceptance, else None."""
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
    """Return the name that the amend gave, because the answer has no txid and the order keeps its own."""
    return (call.targets[0].value,) if _is_id(result.get("amend_id")) else None


def _one_id(value: Json) -> tuple[str | None, ...] | None:
    """Return the one txid, which AddOrder answers in a list and EditOrder bare."""
    txid = value[0] if isinstance(value, list) and len(value) == 1 else value
    return (txid,) if isinstance(txid, str) and txid else None


def _is_id(value: Json) -> bool:
    return isinstance(value, str) and bool(value)


def _batch(call: Call, result: dict[str, Json]) -> tuple[str | None, ...] | None:
    """Read each row: an id, or an error that is a clear no."""
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


LOCKOUT_S = 905.0
"""About 15 minutes, begun anew by each try; a little more, since the clock starts when the answer was sent."""
READS_S = 5.0
"""The lowest tier's counter has room for a call again then."""
THROTTLED_S = 5.0
CALLS_S = 10.0
RATE_LIMITED = "EAPI:Rate limit exceeded"
"""What bots are told where the network before Kraken said no with HTTP 429 and no words of Kraken's."""

_THROTTLED = re.compile(r"EService: ?Throttled(?:: ?([0-9]{1,16})(?:\.[0-9]*)?)?")
_TOO_MANY = ("EGeneral:Too many requests", "EAuth:Rate limit exceeded", "EAuth:Too many requests")
_LARGEST_IN_SECONDS = 10**11
"""A time above this is in milliseconds, or in a smaller unit still."""


def asked_for_quiet(call: Call, answer: WireAnswer, result: VenueResult, now_us: int) -> QuietAsked | None:
    """Return how long the answer to ``call`` asks us to send nothing, and to whom; None if it does not ask."""
    if answer.status == 429:
        return QuietAsked((RATE_LIMITED,), Reach.CALLS, True, CALLS_S, _retry_after(answer.header(RETRY_AFTER), now_us))
    for error in result.errors:
        asked = _read(error, call, now_us)
        if asked is not None:
            return asked
    return None


def _read(error: str, call: Call, now_us: int) -> QuietAsked | None:
    words = ("".join(each for each in error[:120] if " " <= each <= "~"),)
    if error.startswith("EGeneral:Temporary lockout"):
        return QuietAsked(words, Reach.ALL, True, LOCKOUT_S)
    if error.startswith(RATE_LIMITED):
        # Calls that concern orders are not on the counter of reads: if one meets this, Kraken limits more than that.
        reads = call.action not in {Action.ORDER, Action.CANCEL}
        return QuietAsked(words, Reach.READS if reads else Reach.CALLS, False, READS_S)
    throttled = _THROTTLED.match(error)
    if throttled:
        return QuietAsked(words, Reach.CALLS, False, THROTTLED_S, _until(throttled[1], now_us))
    return QuietAsked(words, Reach.CALLS, False, CALLS_S) if error.startswith(_TOO_MANY) else None


def _until(unix_time: str | None, now_us: int) -> float | None:
    """Return the seconds until then; None for no time, or one that has passed already."""
    if unix_time is None:
        return None
    moment = float(unix_time)
    while moment > _LARGEST_IN_SECONDS:
        moment /= 1000
    return _ahead(moment, now_us)


def _retry_after(text: str, now_us: int) -> float | None:
    """Read the header as seconds or a date (RFC 9110 §10.2.3); None for neither."""
    if text.isascii() and text.isdigit():
        return float(text[:16])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _ahead((moment - datetime.fromtimestamp(0, UTC)).total_seconds(), now_us)


def _ahead(moment: float, now_us: int) -> float | None:
    seconds = moment - now_us / 1_000_000
    return seconds if seconds > 0 else None
