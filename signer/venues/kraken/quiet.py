"""When an answer of Kraken's, or of the network before it, asks for quiet (docs/kraken.md §3, §4)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from signer.model import Action, Call, VenueResult, WireAnswer
from signer.model.quiet import QuietAsked, Reach
from signer.model.wire import RETRY_AFTER

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


def asked_for_quiet(call: Call, answer: WireAnswer, verdict: VenueResult, now_us: int) -> QuietAsked | None:
    """The request for quiet in the answer to ``call``; None if there is none."""
    if answer.status == 429:
        return QuietAsked((RATE_LIMITED,), Reach.CALLS, True, CALLS_S, _retry_after(answer.header(RETRY_AFTER), now_us))
    for error in verdict.errors:
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
    """Seconds from now until then; None for no time, or one that has passed already."""
    if unix_time is None:
        return None
    moment = float(unix_time)
    while moment > _LARGEST_IN_SECONDS:
        moment /= 1000
    return _ahead(moment, now_us)


def _retry_after(text: str, now_us: int) -> float | None:
    """RFC 9110 §10.2.3: seconds, or a date; None for neither."""
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
