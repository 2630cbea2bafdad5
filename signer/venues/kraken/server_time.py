"""The public Time for ourselves: what the exchange's clock says (docs/kraken.md §5)."""

from __future__ import annotations

import json
from typing import Final

from signer.errors import VenueError
from signer.model import WireAnswer, WireRequest
from signer.venues.kraken.encode import USER_AGENT

REQUEST: Final = WireRequest("GET", "/0/public/Time", (USER_AGENT,), b"")


def read(answer: WireAnswer) -> int:
    """Whole seconds since the Unix epoch, cut and not rounded. Raises `VenueError` if ``answer`` does not say."""
    try:
        return int(json.loads(answer.body)["result"]["unixtime"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise VenueError(f"Time was answered with HTTP {answer.status} and no time") from None
