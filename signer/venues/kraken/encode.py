"""Step 6: the canonical bytes of a call, and the message that signs them. Nothing in them is the client's bytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote_plus

from signer import __version__
from signer.errors import NotAllowed, RefusalKind
from signer.model import Call, Json, WireRequest
from signer.venues.kraken.bounds import most_answer
from signer.venues.kraken.decode import PRIVATE
from signer.venues.kraken.endpoints import ENDPOINTS
from signer.venues.kraken.naming import is_as_decided

USER_AGENT = ("User-Agent", f"signer/{__version__}")
_FORM_HEADERS = (("Content-Type", "application/x-www-form-urlencoded"), USER_AGENT)
_JSON_HEADERS = (("Content-Type", "application/json"), USER_AGENT)


def encode(call: Call, nonce: int) -> tuple[WireRequest, bytes]:
    """The request for ``call`` with ``nonce``, unsigned, and the message to sign (docs/kraken.md §2a).

    Raises `NotAllowed` for a call that must never leave, and for one that names other orders than it was decided about.
    The gateway has refused both long before: this is the last place that could let one out by mistake.
    """
    if call.never or call.local:
        raise NotAllowed(RefusalKind.NOT_PERMITTED, f"{call.endpoint} is never sent")
    if not is_as_decided(call):
        why = f"{call.endpoint} names other orders than it was decided about"
        raise NotAllowed(RefusalKind.NOT_PERMITTED, why)
    path = PRIVATE + call.endpoint
    digits = str(nonce)
    if ENDPOINTS[call.endpoint].as_json or isinstance(call.fields.get("pair"), list):
        headers = _JSON_HEADERS
        body = json.dumps({"nonce": digits, **call.fields}, separators=(",", ":")).encode()
    else:
        headers = _FORM_HEADERS
        body = "&".join((f"nonce={digits}", *_form(call.fields))).encode()
    message = path.encode() + sha256(digits.encode() + body).digest()
    return WireRequest("POST", path, headers, body, most_answer(call.endpoint)), message


def signed(request: WireRequest, api_key: str, signature: bytes) -> WireRequest:
    """``request`` with the headers that authenticate it."""
    credentials = (("API-Key", api_key), ("API-Sign", base64.b64encode(signature).decode()))
    return WireRequest(request.method, request.target, request.headers + credentials, request.body, request.most_answer)


def _form(fields: Mapping[str, Json], inside: str = "") -> Iterator[str]:
    for name, value in fields.items():
        label = f"{inside}[{name}]" if inside else name
        if isinstance(value, dict):
            yield from _form(value, label)
        elif isinstance(value, bool):
            yield f"{_escaped_name(label)}={'true' if value else 'false'}"
        else:
            text = str(value)
            yield f"{_escaped_name(label)}={text if text.isalnum() and text.isascii() else quote_plus(text)}"


@lru_cache(maxsize=256)
def _escaped_name(name: str) -> str:
    """Cached: the names are those of our own models."""
    return quote_plus(name)
