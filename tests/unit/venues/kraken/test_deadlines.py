"""A call's own deadline, compared with the moment at which the call came."""

from __future__ import annotations

from typing import Any

import pytest

from signer.errors import NotUnderstood
from tests.unit.venues.kraken.asking import KRAKEN, LIMIT, as_json, form

AT_US = 1_700_000_000_250_000
"""2023-11-14T22:13:20.25Z."""
ROW = {"type": "buy", "ordertype": "limit", "price": "1", "volume": "2"}
CALLS: dict[str, dict[str, Any]] = {
    "AddOrder": LIMIT,
    "AddOrderBatch": {"pair": "XBTUSD", "orders": [ROW, ROW]},
    "EditOrder": {"pair": "XBTUSD", "txid": "OLD", "volume": "1"},
    "AmendOrder": {"txid": "OLD", "order_qty": "1"},
}
GOOD = ("2023-11-14T22:13:20.250001Z", "2023-11-14T22:14:20.25Z", "2023-11-14T23:13:25+01:00")
BAD = (
    "2020-01-01T00:00:00Z",
    "2023-11-14T22:13:20.25Z",
    "2023-11-14T22:13:20Z",
    "2023-11-14T22:14:20.250001Z",
    "2023-11-14T22:13:25-01:00",
    "2123-11-14T22:13:25Z",
)


def made(endpoint: str, deadline: str) -> Any:
    """The call of that endpoint with that deadline."""
    fields = {**CALLS[endpoint], "deadline": deadline}
    return (as_json if endpoint == "AddOrderBatch" else form)(endpoint, fields)


@pytest.mark.parametrize("endpoint", CALLS)
@pytest.mark.parametrize("deadline", GOOD)
def test_a_deadline_that_the_exchange_takes_passes(endpoint: str, deadline: str) -> None:
    """A deadline passes from the call's arrival to a minute after it, in any time zone."""
    KRAKEN.require_timely(made(endpoint, deadline), AT_US)


@pytest.mark.parametrize("endpoint", CALLS)
@pytest.mark.parametrize("deadline", BAD)
def test_a_deadline_that_has_passed_or_is_too_far_is_refused(endpoint: str, deadline: str) -> None:
    """The refusal has Kraken's words and names the parameter."""
    with pytest.raises(NotUnderstood, match="deadline"):
        KRAKEN.require_timely(made(endpoint, deadline), AT_US)


@pytest.mark.parametrize("endpoint", CALLS)
def test_a_call_without_deadline_is_never_late(endpoint: str) -> None:
    """A call without a deadline passes at any time."""
    call = made(endpoint, GOOD[0])
    KRAKEN.require_timely(type(call)(call.endpoint, call.action, {}), AT_US)
