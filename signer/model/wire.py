"""What travels over HTTP: requests and answers, of clients and of the venue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from signer.model.immutable import immutable

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"
"""A JSON value without floats: amounts travel as their text."""

_PLAIN = frozenset({str, int, bool, type(None)})
_FIELDS: dict[type, Sequence[tuple[str, object]]] = {}
"""The fields of each class of the model that was asked for, with their defaults."""


def as_json(value: object) -> Json:
    """Return a value of the model as JSON: amounts as decimal text, sets sorted, fields with their defaults left out.

    Raises `TypeError` for a value that is none of the model.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value  # type: ignore[return-value]
    if kind is Decimal:
        return f"{value:f}"
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(value)
    if kind not in _FIELDS:
        _FIELDS[kind] = [(one.name, one.default) for one in fields(value)]  # type: ignore[arg-type]
    return {name: as_json(item) for name, default in _FIELDS[kind] if (item := getattr(value, name)) != default}


Network: TypeAlias = IPv4Network | IPv6Network


RETRY_AFTER = "retry-after"
"""Seconds or a date, after which another try makes sense (RFC 9110 §10.2.3)."""


@immutable
class Request:
    """One HTTP request as it arrived, before anything in it is believed."""

    venue: str
    """The name of the venue that its listener serves."""
    method: str
    target: bytes
    """The target as it stood in the request line: the path, in ASCII, with any query."""
    headers: Mapping[str, str] = field(repr=False)
    """The headers that the venue asks for (`signer.contracts.Venue.headers`), by their names in lower case."""
    body: bytes = field(repr=False)
    source: str
    """The peer's address, without port."""
    certified: str | None = None
    """The name in the client certificate that the peer showed; None where none is asked for."""

    @property
    def path(self) -> str:
        """Return the target's path, nothing in it decoded, a letter for each byte."""
        return self.target.partition(b"?")[0].decode("latin-1")

    @property
    def query(self) -> bytes:
        """Return what follows the first question mark."""
        return self.target.partition(b"?")[2]


@immutable
class Response:
    """One HTTP answer to a client."""

    status: int
    content_type: str
    body: bytes
    ours: bool
    """Whether we answered ourselves, rather than relay the venue's bytes."""
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers, such as how often the client may still call."""


@immutable
class WireRequest:
    """Bytes that we built ourselves, ready to send to the venue's fixed origin."""

    method: str
    target: str
    """Path with any query, as it will stand in the request line."""
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes
    most_answer: int = 4 * 1024 * 1024
    """Most bytes that the answer's body may have."""
    answer_headers: frozenset[str] = frozenset({RETRY_AFTER})
    """Names, in small letters, of the answer's headers that are kept."""


@immutable
class WireAnswer:
    """A whole HTTP answer of the venue. Bodies are decoded from any content-encoding."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    """The headers that `WireRequest.answer_headers` asked for, their names in small letters, each once."""

    def header(self, name: str) -> str:
        """Return the value of a header; empty if the answer does not have it."""
        return dict(self.headers).get(name, "")
