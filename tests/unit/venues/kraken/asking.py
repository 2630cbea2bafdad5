"""Private requests as a client would send them, for the tests of the Kraken venue."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from signer.errors import Refused
from signer.model import Call, Request
from signer.venues.kraken.answers import words
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.venue import Kraken
from tests.harness.arriving import arriving

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
NONCE = "1616492376594"
KRAKEN = Kraken(PairTable.built_in())
LIMIT = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "37500", "volume": "1.25"}


def request(endpoint: str, body: bytes | str, content_type: str = FORM, query: bytes = b"") -> Request:
    """A POST of ``body`` to a private endpoint."""
    raw = body.encode() if isinstance(body, str) else body
    return arriving("POST", f"/0/private/{endpoint}", query, content_type, "key", "sign", raw, "127.0.0.1")


def parse(endpoint: str, body: bytes | str, content_type: str = FORM) -> Call:
    """The call that a body means; raises `Refused`."""
    return KRAKEN.parse(KRAKEN.decode(request(endpoint, body, content_type)))


def form(endpoint: str, fields: dict[str, Any]) -> Call:
    """The call of a form with ``fields``."""
    return parse(endpoint, urlencode({"nonce": NONCE, **fields}))


def as_json(endpoint: str, fields: dict[str, Any]) -> Call:
    """The call of a JSON object with ``fields``."""
    return parse(endpoint, json.dumps({"nonce": NONCE, **fields}), JSON)


def refused(endpoint: str, body: bytes | str, content_type: str = FORM) -> tuple[str, ...]:
    """The error array that answers a body."""
    with pytest.raises(Refused) as caught:
        parse(endpoint, body, content_type)
    return words(caught.value)


def refused_form(endpoint: str, fields: dict[str, Any]) -> tuple[str, ...]:
    """The error array that answers a form with ``fields``."""
    return refused(endpoint, urlencode({"nonce": NONCE, **fields}))


def says(first: str) -> Callable[[Refused], bool]:
    """Whether a refusal's first word at Kraken is ``first``."""
    return lambda refused: words(refused)[0] == first


def numbered(start: int = 1) -> Callable[[int], int]:
    """Random bits of which names 1, 2, 3 … are made."""
    numbers = iter(range(start, 99))
    return lambda _: next(numbers)


def named(call: Call, is_taken: Callable[[str], bool] = lambda _: False) -> Call:
    """The call with names 1, 2, 3 … of ours."""
    return KRAKEN.with_own_names(call, numbered(), is_taken)
