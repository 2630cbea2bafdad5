"""The public endpoints that pass through: which, with which parameters, and the requests of ours that ask for them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from signer.errors import VenueError
from signer.model import Request, WireAnswer, WireRequest
from signer.venues.kraken.answers import invalid, unknown_method
from signer.venues.kraken.decode import is_form, parse_form
from signer.venues.kraken.encode import USER_AGENT, most_public_answer
from signer.venues.kraken.models import passed_on

PUBLIC = "/0/public/"
MAX_QUERY = 8 * 1024
"""Bytes of a query or form: ccxt asks for the ticker of some hundred pairs at once."""

ENDPOINTS: Mapping[str, frozenset[str]] = {
    "Time": frozenset(),
    "SystemStatus": frozenset(),
    "MaintenanceSchedule": frozenset(),
    "Assets": frozenset({"asset", "aclass", "assetVersion"}),
    "AssetPairs": frozenset({
        "pair", "info", "country_code", "aclass_base", "asset_class", "execution_venue", "assetVersion"
    }),
    "Ticker": frozenset({"pair", "asset_class", "assetVersion"}),
    "OHLC": frozenset({"pair", "interval", "since", "asset_class", "assetVersion"}),
    "Depth": frozenset({"pair", "count", "asset_class", "assetVersion"}),
    "GroupedBook": frozenset({"pair", "depth", "grouping"}),
    "Trades": frozenset({"pair", "since", "count", "asset_class", "assetVersion"}),
    "Spread": frozenset({"pair", "since", "asset_class", "assetVersion"}),
    "PreTrade": frozenset({"symbol"}),
    "PostTrade": frozenset({"symbol", "from_ts", "to_ts", "count"}),
}  # fmt: skip
"""Parameters by endpoint (docs/kraken.md §1a)."""

_VALUE = re.compile(r"[A-Za-z0-9.,:/_+ -]{1,8192}")
_LEFT_ALONE = ",/:"
"""Legal in a query, so that a long list of pairs does not grow beyond what a request line may have."""
_NEEDLESS = ("nonce", "otp")  # krakenapi, kraky and the npm clients send them here too (docs/kraken.md §8.7)


def public_request(request: Request) -> tuple[WireRequest, tuple[str, ...]]:
    """Build our GET for a client's public call; also return the names of the parameters that are not sent on.

    The call may be a GET or a POST, with its parameters in the query or in a form. No header of the client is carried
    over. Raises `NotUnderstood`.
    """
    name, query, body = request.path.removeprefix(PUBLIC), request.query, request.body
    known = ENDPOINTS.get(name)
    if known is None or not request.path.startswith(PUBLIC) or request.method not in {"GET", "POST"}:
        raise unknown_method()
    if body and (query or request.method == "GET"):
        raise invalid("a public call has its parameters in the query or in a POST form, not in both")
    if len(query) > MAX_QUERY or len(body) > MAX_QUERY:
        raise invalid(f"the parameters have more than {MAX_QUERY} bytes")
    if body and not is_form(request.headers.get("content-type", "")):
        raise invalid("a public call takes a form or a query, not JSON")
    fields = parse_form(query or body, known)
    for needless in _NEEDLESS:
        fields.pop(needless, None)
    extras, dropped = passed_on(known, fields)
    given = {field: _read(field, value) for field, value in fields.items() if field in known and value} | extras
    target = f"{PUBLIC}{name}?{urlencode(given, safe=_LEFT_ALONE)}" if given else f"{PUBLIC}{name}"
    return WireRequest("GET", target, (USER_AGENT,), b"", most_public_answer(name)), dropped


def _read(name: str, value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise invalid(f"{name} has letters that no value of it has")
    return value


TIME: Final = WireRequest("GET", "/0/public/Time", (USER_AGENT,), b"")


def read_time(answer: WireAnswer) -> int:
    """Read whole seconds since the Unix epoch, cut and not rounded. Raises `VenueError` if ``answer`` does not say."""
    try:
        return int(json.loads(answer.body)["result"]["unixtime"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise VenueError(f"Time was answered with HTTP {answer.status} and no time") from None
