"""Requests of clients taken apart, requests of ours put together, and what signs both."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote, urlencode

from signer.errors import NotAuthentic, NotUnderstood, RefusalKind
from signer.model import Call, Decoded, Json, Proof, Request, Timestamp, WireAnswer, WireRequest
from signer.secret import Secret

BASE = "/api/v5/"
KEY, SIGN, TIME, PASSPHRASE = "ok-access-key", "ok-access-sign", "ok-access-timestamp", "ok-access-passphrase"
HEADERS = frozenset({KEY, SIGN, TIME, PASSPHRASE, "content-type"})
WINDOW_US = 30_000_000
ROWS = "rows"
"""The one field of a call whose body is an array."""
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def invalid(why: str) -> NotUnderstood:
    """Return the refusal of a parameter."""
    return NotUnderstood(RefusalKind.INVALID_ARGUMENTS, why)


def decode(request: Request) -> Decoded:
    """Take a private request apart. Raises `NotUnderstood`, or `NotAuthentic` without a usable timestamp."""
    proof = claimed_proof(request)
    fields = _query(request.query) if request.method == "GET" else _body(request)
    return Decoded(endpoint_of(request), _freshness(request.headers.get(TIME, "")), proof, fields)


def claimed_proof(request: Request) -> Proof:
    """Return the proof of a request. Some clients sign the query before it is escaped."""
    targets = dict.fromkeys((request.target.decode("latin-1"), unquote(request.target.decode("latin-1"))))
    start = request.headers.get(TIME, "") + request.method
    messages = tuple((start + target).encode() + request.body for target in targets)
    try:
        signature = b64decode(request.headers.get(SIGN, ""), validate=True)
    except ValueError:
        signature = b""
    return Proof(messages, signature, request.headers.get(PASSPHRASE, ""))


def endpoint_of(request: Request) -> str:
    """Return the method and the path below the base."""
    return f"{request.method} {request.path.removeprefix(BASE)}"


def stamp(at_us: int) -> str:
    """Return a time as the venue writes it."""
    return (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def encode(call: Call, now_us: int, api_key: str) -> tuple[WireRequest, bytes]:
    """Return the request for ``call``, as its fields are, and the message to sign."""
    method, _, path = call.endpoint.partition(" ")
    fields = call.fields.get(ROWS, dict(call.fields))
    query = f"?{urlencode(dict(call.fields))}" if method == "GET" and call.fields else ""
    body = b"" if method == "GET" else json.dumps(fields, separators=(",", ":")).encode()
    at, target = stamp(now_us), f"{BASE}{path}{query}"
    headers = ((KEY, api_key), (TIME, at), ("content-type", "application/json"))
    return WireRequest(method, target, headers, body), f"{at}{method}{target}".encode() + body


def signed(request: WireRequest, signature: bytes, passphrase: Secret | None) -> WireRequest:
    """Return ``request`` with its signature, and the passphrase beside it."""
    shown = "" if passphrase is None else passphrase.expose_to(lambda raw: raw.decode())
    headers = (*request.headers, (SIGN, b64encode(signature).decode()), (PASSPHRASE, shown))
    return replace(request, headers=headers)


def told(answer: WireAnswer) -> dict[str, Any]:
    """Return the envelope of an answer; empty if there is none."""
    try:
        envelope = json.loads(answer.body)
    except ValueError:
        return {}
    return envelope if isinstance(envelope, dict) and isinstance(envelope.get("data"), list) else {}


def _freshness(text: str) -> Timestamp:
    if not _TIME.fullmatch(text):
        raise NotAuthentic(RefusalKind.NOT_FRESH, detail="no timestamp that reads")
    return Timestamp(int((datetime.fromisoformat(text) - _EPOCH) / timedelta(microseconds=1)), WINDOW_US)


def _query(query: bytes) -> dict[str, Json]:
    pairs = parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True)
    return _present(pairs)


def _body(request: Request) -> Mapping[str, Json]:
    if request.query:
        raise invalid("a POST has no query")
    try:
        read = json.loads(
            request.body, parse_int=str, parse_float=str, parse_constant=_no_number, object_pairs_hook=_present
        )
    except ValueError:
        raise invalid("the body is not JSON") from None
    return read if isinstance(read, dict) else {ROWS: read}


def _present(pairs: list[tuple[str, Any]]) -> dict[str, Json]:
    """Return the fields that say something: an empty text is absent. Raises `NotUnderstood` for one given twice."""
    if len(dict(pairs)) < len(pairs):
        raise invalid("a parameter is given twice")
    return {name: value for name, value in pairs if value != ""}


def _no_number(text: str) -> NoReturn:
    raise invalid(f"{text} is no number")
