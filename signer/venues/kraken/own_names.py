"""Puts the client's names back into Kraken's answers, in the place of our own names of orders.

Only the bytes of a name are replaced, so amounts and all else stay as Kraken wrote them. Kraken names an order in
``userref`` and ``cl_ord_id``, and in ``newuserref`` and ``olduserref`` of an edit. Of a read that the client wants
filtered by a name, only the rows of orders to which it gave that name stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

from signer.errors import VenueError
from signer.model import Call, Json, NamesOf, OrderRef, same_name
from signer.venues.kraken.encode import EXPORTS

_ROWS: Final = {"OpenOrders": "open", "ClosedOrders": "closed", "QueryOrders": "result"}
"""The reads that a client may filter by a name, and where each has its rows."""
_EDITED: Final = frozenset({"newuserref", "olduserref"})
_TAGS: Final = _EDITED | {"userref"}
_NAMES: Final = _TAGS | {"cl_ord_id"}
WORDS: Final = (b"userref", b"cl_ord_id", b'"E')
"""One of these is in every answer that may have a name of an order: a field for one, or an error that quotes one."""
_NAME = re.compile(rb'"(?<!\\")(userref|newuserref|olduserref|cl_ord_id)"\s*:\s*("(?:[^"\\]|\\.)*"|[^\s,}\]{\[]+)')
"""A name and its value. Inside a JSON text each quotation mark has a backslash before it, so no text matches. The look
behind stands after the mark, because a pattern that begins with a plain character is searched three times as fast."""
_ERRORS = re.compile(rb'(?<!\\)"error"\s*:\s*(\[(?:[^"\]]|"(?:[^"\\]|\\.)*")*\]|"(?:[^"\\]|\\.)*")')
_KEY = re.compile(r'\s*"([^"\\]*)"\s*:\s*')
_NEXT = re.compile(r"\s*([,}])")
_COUNT = re.compile(r'(?<!\\)"count"\s*:\s*([0-9]+)')
_decode = json.JSONDecoder().raw_decode


class _Seen(NamedTuple):
    """A name in an answer."""

    venue_id: str
    """The txid of the row that has it; empty if it is in no row."""
    field: str
    value: object


class _Row(NamedTuple):
    """An order in an answer, and where its bytes are."""

    venue_id: str
    shown: Mapping[str, object]
    start: int
    end: int


def sought_by(endpoint: str, fields: Mapping[str, Json]) -> tuple[OrderRef, ...]:
    """Return the names that a read wants its rows filtered by."""
    if endpoint not in _ROWS:
        return ()
    tag = (OrderRef("client-tag", str(fields["userref"])),) if "userref" in fields else ()
    return (*tag, OrderRef("client-id", str(fields["cl_ord_id"]))) if "cl_ord_id" in fields else tag


def restored(call: Call, body: bytes, names: NamesOf) -> bytes:
    """Return the answer to ``call`` with the client's names, and with only the rows that the call seeks.

    ``names`` tells what the client calls the order of a name of ours and a txid; None leaves the name as it is. Raises
    `VenueError` if the answer does not read.
    """
    if call.endpoint in EXPORTS:
        return body
    try:
        if call.sought:
            body = _filtered(call, body, names)
        if b"userref" in body or b"cl_ord_id" in body:
            body = _with_names(body, names)
        return _without_own(call, body)
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise VenueError(f"names of orders do not read in the answer to {call.endpoint}") from error


def _filtered(call: Call, body: bytes, names: NamesOf) -> bytes:
    """Return the answer with only the rows of orders that bear all names which ``call`` seeks.

    ``count`` becomes their number if the answer has every row that it counts.
    """
    text = body.decode()
    begin = re.search(rf'(?<!\\)"{_ROWS[call.endpoint]}"\s*:\s*\{{', text)
    if begin is None:
        return body  # an error, which has no rows
    rows, end = _rows(text, begin.end())
    kept = [row for row in rows if _is_sought(call, row, names)]

    def counted(found: re.Match[str]) -> str:
        return f'"count":{len(kept)}' if int(found[1]) == len(rows) else found[0]

    head, tail = _COUNT.sub(counted, text[: begin.end()]), _COUNT.sub(counted, text[end:])
    return (head + ",".join(text[row.start : row.end] for row in kept) + tail).encode()


def _rows(text: str, at: int) -> tuple[list[_Row], int]:
    """Return the rows of the object that begins before ``at``, and where its last row ends."""
    rows: list[_Row] = []
    if (empty := _NEXT.match(text, at)) and empty[1] == "}":
        return rows, at
    while True:
        key = _match(_KEY, text, at)
        shown, end = _decode(text, key.end())
        rows.append(_Row(key[1], dict(shown), key.start(), end))
        following = _match(_NEXT, text, end)
        if following[1] == "}":
            return rows, end
        at = following.end()


def _match(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    found = pattern.match(text, at)
    if found is None:
        raise ValueError("the rows do not read")
    return found


def _is_sought(call: Call, row: _Row, names: NamesOf) -> bool:
    own = row.shown.get("cl_ord_id") or row.shown.get("userref")
    given = names(str(own), row.venue_id) if own else None
    if given is None:
        return False
    found = {"client-tag": given.tag, "client-id": given.id}
    return all(same_name(ref.value, found.get(ref.kind)) for ref in call.sought)


def _with_names(body: bytes, names: NamesOf) -> bytes:
    seen, found = list[_Seen](), list(_NAME.finditer(body))
    _note_names(json.loads(body), "", seen)
    if [one.field.encode() for one in seen] != [one[1] for one in found]:
        raise ValueError("a name is where it is not looked for")
    parts, at = list[bytes](), 0
    for one, match in zip(seen, found, strict=True):
        value = _value(one, names)
        if value is not None:
            parts += [body[at : match.start(2)], value]
            at = match.end(2)
    return b"".join((*parts, body[at:]))


def _note_names(shown: object, venue_id: str, seen: list[_Seen]) -> None:
    """Add the names in an answer to ``seen``, in their order. The keys of rows are txids, and only these have a dash.

    Raises `ValueError` for a name that the venue does not write so, since it could be one of ours in another spelling.
    """
    if isinstance(shown, dict):
        for key, item in shown.items():
            if key in _NAMES:
                if isinstance(item, dict | list | float | bool) or (isinstance(item, int) and key not in _TAGS):
                    raise ValueError("a name is neither a whole number nor text")
                seen.append(_Seen(venue_id, key, item))
            elif isinstance(item, dict | list):
                _note_names(item, key if "-" in key else venue_id, seen)
    elif isinstance(shown, list):
        for item in shown:
            _note_names(item, venue_id, seen)


def _value(one: _Seen, names: NamesOf) -> bytes | None:
    """Return the client's name as Kraken would write it, null for none; None if the name stays."""
    given = names(str(one.value), one.venue_id) if one.value else None
    if given is None:
        return None
    name = given.tag if one.field in _TAGS else given.id
    if name is None:
        return b'""' if one.field in _EDITED else b"null"
    return name.encode() if isinstance(one.value, int) else json.dumps(name).encode()


def _without_own(call: Call, body: bytes) -> bytes:
    """Return the answer with no name of ours of this call's orders in its errors."""
    made = [(order.own, order.client_id or order.client_tag) for order in call.orders]
    if call.change is not None:
        made.append((call.change.own, call.change.client_tag))
    for own, given in made:
        if own is not None and own.encode() in body:
            body = _ERRORS.sub(partial(_renamed, own=own, name=given or "the order"), body)
    return body


def _renamed(errors: re.Match[bytes], own: str, name: str) -> bytes:
    whole_word = rb"(?<![0-9A-Za-z-])%b(?![0-9A-Za-z-])" % own.encode()
    return re.sub(whole_word, lambda _: json.dumps(name)[1:-1].encode(), errors[0])
