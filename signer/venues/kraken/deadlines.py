"""Whether a call comes within its own ``deadline``: the moment after which the engine must not carry it out.

Kraken answers a deadline that has passed with an error after which the order may all the same be placed (docs/kraken.md
§3), so each such call would leave an unknown outcome, which a bot could make at will. We refuse it ourselves instead.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from signer.model import Call
from signer.venues.kraken.answers import invalid

LONGEST_S = 60
"""Kraken takes a deadline at most so far ahead (docs/kraken.md §1c-1)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def require_timely(call: Call, at_us: int) -> None:
    """Raises `NotUnderstood` if ``call``, which came at ``at_us``, has a deadline that is over or too far off."""
    text = call.fields.get("deadline")
    if text is None:
        return
    left_us = (datetime.fromisoformat(str(text)) - _EPOCH) // timedelta(microseconds=1) - at_us
    if left_us <= 0:
        raise invalid("deadline has passed; see that this machine's clock and yours agree")
    if left_us > LONGEST_S * 1_000_000:
        raise invalid(f"deadline is more than {LONGEST_S} s ahead, and the exchange takes no later one")
