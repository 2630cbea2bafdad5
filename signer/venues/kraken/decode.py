"""Step 2, first half: a private request's bytes taken apart, exactly, in every shape that real clients send.

Forms and JSON, with and without a content type, and all spellings of nested fields come out as one nested shape
(docs/kraken.md §8). A body that two parsers could read differently is refused: duplicate keys, a field spelled both
ways, query strings, other charsets, broken percent escapes, control characters, floats with exponents.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Collection, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import NoReturn
from urllib.parse import unquote, urlencode

from signer.model import Action, Decoded, Json, Proof, Request
from signer.venues.kraken.answers import invalid, invalid_nonce, quoted, unknown_method
from signer.venues.kraken.endpoints import ENDPOINTS

MAX_BODY = 64 * 1024
"""Bytes of a body. A full batch of 15 orders has some 6 KiB."""

MAX_FIELDS = 300
"""Scalar values in a body. A full batch of 15 orders with every parameter has 15 × 18 and a few."""

MAX_DEPTH = 4
"""Levels of names: ``orders[0][close][price]`` has four."""

PRIVATE = "/0/private/"
KEY_HEADER, SIGN_HEADER = "api-key", "api-sign"

ODD = "\N{REPLACEMENT CHARACTER}"
"""Stands for the unreadable value of a parameter that a read does not know. It is not plain, so it is dropped."""

_ENDPOINT = re.compile(r"[A-Za-z0-9]{1,48}(?:/[A-Za-z0-9]{1,48})?")
_NONCE = re.compile(r"[1-9][0-9]{0,19}")
_NONCE_IN_BYTES = re.compile(rb'(?:\A|&)nonce=([0-9]{1,20})(?=&|\Z)|"nonce"\s{0,9}:\s{0,9}"?([0-9]{1,20})(?![0-9.eE])')
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NESTED = re.compile(r"([A-Za-z0-9_-]{1,40})((?:\[[A-Za-z0-9_-]{1,40}\])+)")
_INDEX = re.compile(r"0|[1-9][0-9]?")
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"
_USUAL_TYPES = frozenset({"", _FORM, _JSON})
_NEEDED = {
    name: frozenset({"nonce", "otp", *known.model}) for name, known in ENDPOINTS.items() if known.action is Action.READ
}
"""The parameters of each read that must be readable. Of every other call all must be."""


class _Branch(dict[str, Json]):
    """A part of the tree that bracket keys built, as opposed to an object that stood in the JSON."""


def decode(request: Request) -> Decoded:
    """Take a private request apart.

    Raises `NotUnderstood` for what cannot be read in one way only, and `NotAuthentic` where there is no usable nonce.
    The signed message is over the body as it arrived and the nonce's digits as written (docs/kraken.md §2a).
    """
    path = request.path
    endpoint = _endpoint(request, path)
    if len(request.body) > MAX_BODY:
        raise invalid(f"the body has more than {MAX_BODY} bytes")
    fields = _fields(request, _NEEDED.get(endpoint))
    nonce = fields.pop("nonce", None)
    if not isinstance(nonce, str) or not _NONCE.fullmatch(nonce) or int(nonce) >= 2**64:
        raise invalid_nonce("the nonce is missing, or is not a whole number from 1 to 2^64-1")
    # The venue credential's second factor is ours to give, never the client's (docs/kraken.md §2f).
    fields.pop("otp", None)
    signed = path.encode() + sha256(nonce.encode() + request.body).digest()
    return Decoded(endpoint, int(nonce), Proof((signed,), _signature(request)), fields)


def form_request(endpoint: str, fields: Mapping[str, str]) -> Request:
    """Return the unsigned request by which a bot sends ``fields`` as a form."""
    body = urlencode({"nonce": "1", **fields}).encode()
    return Request("kraken", "POST", f"{PRIVATE}{endpoint}".encode(), {"content-type": _FORM}, body, source="")


def claimed_proof(request: Request) -> Proof | None:
    """Return the proof in a request that `decode` refuses, by the first nonce in its bytes; None if there is none.

    It tells whose request it was and nothing else: what it asks is not known.
    """
    found = _NONCE_IN_BYTES.search(request.body)
    if found is None:
        return None
    signed = request.path.encode() + sha256((found[1] or found[2]) + request.body).digest()
    return Proof((signed,), _signature(request))


def _signature(request: Request) -> bytes:
    """Return the bytes of API-Sign; empty, which matches nothing, if it is no base64."""
    try:
        return b64decode(request.headers.get(SIGN_HEADER, ""), validate=True)
    except ValueError:
        return b""


def parse_form(body: bytes, needed: Collection[str] | None = None) -> dict[str, str]:
    """Return the fields of a form, by their names as written. Raises `NotUnderstood`.

    If ``needed`` is given, an escaped control character in the value of another parameter makes the value `ODD`.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise invalid("the body is not UTF-8") from None
    if _CONTROL.search(text) or _BAD_ESCAPE.search(text):
        raise invalid("the body has a control character or a broken percent escape")
    pieces = text.removeprefix("&").split("&")  # krakentren begins with one (docs/kraken.md §8.5)
    if len(pieces) > MAX_FIELDS:
        raise invalid(f"the body has more than {MAX_FIELDS} fields")
    fields: dict[str, str] = {}
    for piece in pieces if text else ():
        name, equals, value = piece.partition("=")
        if "%" in piece or "+" in piece:
            name = _unescaped_name(name)
            value = _unescaped(value, odd=needed is not None and name.partition("[")[0] not in needed)
        if not equals or not name:
            raise invalid(f"the body has a field without a name or value near {quoted(name)}")
        if name in fields:
            raise invalid(f"the parameter {quoted(name)} is given twice")
        fields[name] = value
    return fields


def is_form(content_type: str) -> bool:
    """Return whether a content type means a form, or says nothing (npm kraken-api sends none).

    Raises `NotUnderstood` if it is neither form nor JSON, or not in UTF-8.
    """
    return _media_type(content_type) != _JSON


def _endpoint(request: Request, path: str) -> str:
    if request.method != "POST" or not path.startswith(PRIVATE):
        raise unknown_method()
    endpoint = path[len(PRIVATE) :]
    if not _ENDPOINT.fullmatch(endpoint):
        raise unknown_method()
    if request.query:
        # Whether Kraken reads it is not known; whatever it did with one, it was not in what we checked.
        raise invalid("a private call has no query string; put its parameters into the body")
    return endpoint


def _fields(request: Request, needed: Collection[str] | None) -> dict[str, Json]:
    body = request.body
    media_type = _media_type(request.headers.get("content-type", ""))
    # Some clients say JSON only by content. No form can be mistaken: its names have no brace.
    if body[:1] == b"{" or body.lstrip(b" \t\r\n")[:1] == b"{":
        return _parse_json(body, needed)
    if media_type == _JSON:
        raise invalid("the body is not a JSON object")
    flat = parse_form(body, needed)
    for name in flat:
        if "[" in name:
            return _nested(flat)
    return dict(flat)


def _media_type(content_type: str) -> str:
    if content_type in _USUAL_TYPES:
        return content_type
    media_type, _, parameter = content_type.lower().partition(";")
    media_type = media_type.strip(" \t")
    if media_type not in _USUAL_TYPES:
        raise invalid(f"the content type {quoted(content_type)} is neither a form nor JSON")
    if parameter.strip(" \t").replace('"', "") not in {"", "charset=utf-8", "charset=utf8"}:
        raise invalid(f"the content type {quoted(content_type)} is not in UTF-8")
    return media_type


@lru_cache(maxsize=256)
def _unescaped_name(text: str) -> str:
    """Unescape a name. Cached, because the same few names come with every order of a client."""
    return _unescaped(text)


def _unescaped(text: str, *, odd: bool = False) -> str:
    """Unescape a name or value. Raises `NotUnderstood` for a control character, or returns `ODD` if ``odd``."""
    if "%" not in text and "+" not in text:
        return text
    try:
        plain = unquote(text.replace("+", " "), errors="strict")
    except UnicodeDecodeError:
        raise invalid("a percent escape is not UTF-8") from None
    if _CONTROL.search(plain):
        if odd:
            return ODD
        raise invalid("a percent escape stands for a control character")
    return plain


def _parse_json(body: bytes, needed: Collection[str] | None) -> dict[str, Json]:
    # Bounded before it is parsed, because the parser recurses; strings may hold brackets too ("close[price]").
    if body.count(b"{") + body.count(b"[") > MAX_FIELDS:
        raise invalid("the JSON body nests too much")
    try:
        read = json.loads(
            body.decode(),
            parse_int=str,
            parse_float=_decimal_text,
            parse_constant=_no_constant,
            object_pairs_hook=_object,
        )
    except (UnicodeDecodeError, ValueError):
        raise invalid("the body is not JSON in UTF-8") from None
    assert isinstance(read, dict)  # noqa: S101 - it began with a brace
    if needed is not None:
        read |= {name: ODD for name, value in read.items() if name not in needed and _is_odd(value)}
    _check_tree(read, 0, [0])
    return read


def _decimal_text(text: str) -> str:
    """Return the number's own digits: a float would lose some of them."""
    if "e" in text or "E" in text:
        raise invalid(f"the number {quoted(text)} has an exponent; write it out, or as a string")
    return text


def _no_constant(text: str) -> NoReturn:
    raise invalid(f"{quoted(text)} is not a number")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    read = dict(pairs)
    if len(read) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid(f"the parameter {quoted(twice)} is given twice")
    return _nested(read) if any("[" in name for name in read) else read


def _check_tree(value: Json, depth: int, count: list[int]) -> None:
    """Refuse what is too deep or too much, and text that cannot be sent on; ``count`` runs through the tree."""
    if depth > MAX_DEPTH:
        raise invalid(f"the JSON body is nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            _check_tree(child, depth + 1, count)
        for name in value if isinstance(value, dict) else ():
            _check_text(name)
        return
    count[0] += 1
    if count[0] > MAX_FIELDS:
        raise invalid(f"the body has more than {MAX_FIELDS} fields")
    if isinstance(value, str):
        _check_text(value)


def _check_text(text: str) -> None:
    if _bad_text(text):
        raise invalid("the body has a control character or half a letter")


def _is_odd(value: Json) -> bool:
    """Return whether a value is nested, or text that cannot be sent on."""
    return isinstance(value, dict | list) or (isinstance(value, str) and _bad_text(value))


def _bad_text(text: str) -> bool:
    """Return whether a text has a control character or half a letter."""
    if _CONTROL.search(text):
        return True
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


def _nested(flat: Mapping[str, Json]) -> dict[str, Json]:
    """Turn ``close[price]`` and ``orders[0][volume]`` into the objects and lists that they spell.

    Raises `NotUnderstood` if a name is spelled in two ways, so that one of them could hide the other.
    """
    tree = _Branch()
    for name, value in flat.items():
        *path, last = _path(name)
        branch = tree
        for step in path:
            child = branch.setdefault(step, _Branch())
            if not isinstance(child, _Branch):
                raise invalid(f"the parameter {quoted(name)} is spelled in two ways")
            branch = child
        if last in branch:
            raise invalid(f"the parameter {quoted(name)} is spelled in two ways")
        branch[last] = value
    return {name: _settled(value) for name, value in tree.items()}


@lru_cache(maxsize=256)
def _path(name: str) -> tuple[str, ...]:
    """Return the steps of a name in brackets. A name with other brackets is one step: no model has it."""
    found = _NESTED.fullmatch(name)
    if found is None:
        return (name,)
    steps = (found[1], *found[2][1:-1].split("]["))
    if len(steps) > MAX_DEPTH:
        raise invalid(f"the parameter {quoted(name)} is nested more than {MAX_DEPTH} deep")
    return steps


def _settled(value: Json) -> Json:
    """Return a branch as an object, or as a list if its names count 0, 1, 2 …"""
    if not isinstance(value, _Branch):
        return value
    settled = {name: _settled(child) for name, child in value.items()}
    if not any(_INDEX.fullmatch(name) for name in settled):
        return settled
    if set(settled) != {str(index) for index in range(len(settled))}:
        raise invalid("the indices of a list do not count 0, 1, 2 without a gap")
    return [settled[str(index)] for index in range(len(settled))]
