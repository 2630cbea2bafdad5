"""Reads bodies as leniently as Kraken does, in all spellings that clients use.

Clients write the same nested fields in four shapes (docs/kraken.md §8.3, §8.5, §8.9): flat form fields, bracket
keys such as ``close[price]`` or ``orders[0][volume]`` in forms and in JSON, nested JSON, and lists. All become one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TypeAlias
from urllib.parse import unquote_plus

Value: TypeAlias = "str | bool | list[Value] | dict[str, Value]"
Params: TypeAlias = dict[str, Value]
"""A value. Scalars are text as written, or a JSON true or false; amounts are never floats."""

MOST_BRACKETS = 4
"""Most levels of brackets: ``orders[0][close][price]`` has three, and Kraken knows no deeper one."""

_BRACKET_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])+)", re.DOTALL)
_INDEX = re.compile(r"[0-9]{1,4}")


class Malformed(Exception):
    """The body is neither a form nor a JSON object."""


def decode(body: bytes, content_type: str) -> Params:
    """Read the parameters in ``body``. Raises `Malformed`."""
    if is_json(body, content_type):
        return _from_json(body)
    return nested(form_pairs(body.decode("utf-8", errors="replace")))


def is_json(body: bytes, content_type: str) -> bool:
    """Answer whether a body is JSON, by its content type or its first character, since some clients send no type."""
    return "json" in content_type.lower() or body.lstrip()[:1] == b"{"


def form_pairs(text: str) -> Iterable[tuple[str, str]]:
    """Yield the fields of a form or query string, with blank values but without empty segments."""
    for segment in text.split("&"):
        if segment:
            name, _, value = segment.partition("=")
            yield unquote_plus(name), unquote_plus(value)


def nested(pairs: Iterable[tuple[str, Value]]) -> Params:
    """Nest fields by their bracket keys. The last of two equal keys counts. Raises `Malformed`."""
    root: dict[str, Value] = {}
    for key, value in pairs:
        _put(root, _path(key), value)
    return {name: _with_lists(value) for name, value in root.items()}


def _path(key: str) -> list[str]:
    found = _BRACKET_KEY.fullmatch(key)
    if found is None:
        return [key]
    brackets = found[2][1:-1].split("][")
    if len(brackets) > MOST_BRACKETS:
        raise Malformed("the brackets nest too deep")
    return [found[1], *brackets]


def _put(node: dict[str, Value], path: list[str], value: Value) -> None:
    *outer, last = path
    for bracket in outer:
        name = bracket or str(len(node))  # txid[]=A appends
        inner = node.get(name)
        if not isinstance(inner, dict):  # close=x&close[price]=1: the later spelling counts
            inner = node[name] = {}
        node = inner
    node[last or str(len(node))] = value


def _with_lists(value: Value) -> Value:
    if isinstance(value, list):
        return [_with_lists(item) for item in value]
    if not isinstance(value, dict):
        return value
    inner = {name: _with_lists(item) for name, item in value.items()}
    if inner and all(_INDEX.fullmatch(name) for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


def _from_json(body: bytes) -> Params:
    try:
        # Numbers stay text as the client wrote them: the nonce is signed as written, and amounts must stay exact.
        value = json.loads(body, parse_int=str, parse_float=str)
        if not isinstance(value, dict):
            raise Malformed("the JSON body is not an object")
        return _shaped(value)
    except (ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None


def _shaped(value: dict[str, object]) -> Params:
    return nested((name, _plain(item)) for name, item in value.items() if item is not None)


def _plain(item: object) -> Value:
    if isinstance(item, dict):
        return dict(_shaped(item))
    if isinstance(item, list):
        return [_plain(each) for each in item if each is not None]
    return item if isinstance(item, bool) else str(item)
