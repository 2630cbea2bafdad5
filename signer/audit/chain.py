"""How one record is linked to the one before it: the canonical bytes, the digest, and the way back.

A record is one line: a JSON object with sorted keys, no spaces, no floats and only ASCII, in which ``digest`` stands
last, outside the sorting. The digest is the SHA-256 of the same line without it. So it can be checked over the very
bytes of the file, and no two spellings of one record are both right.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from signer.errors import AuditError
from signer.model import ChainHead, Json

VERSION: Final = 1
"""Of the record's form; stands in each record as ``v``."""

START: Final = ChainHead(0, "0" * 64)
"""What the first record is linked to."""

MOST_DEPTH: Final = 16
"""How deep an entry may be nested; a batch with conditional closes needs four."""

REDACTED: Final = "(redacted)"

KINDS: Final = (
    *("intent", "outcome", "read", "denied", "login-failed", "reconciled", "start", "reload", "stop"),
    *("throttled", "operator", "credential", "lane", "segment", "recovered", "dropped"),
)
"""What a record can be of (docs/audit-record.schema.json)."""

_LINKS = frozenset({"v", "seq", "prev", "digest"})
_SECRET = frozenset(
    {"api_sign", "api_secret", "api_key", "secret", "token", "otp", "passphrase", "password", "API-Sign", "API-Key"}
)
_LONGEST_KEY_NAME = 40
"""``key`` names a withdrawal address in Kraken's calls, and those names are short; API keys have 56 characters."""

_WATCHED = _SECRET | {"key"}
_PLAIN = frozenset({str, int, bool, type(None)})
_TEXT = frozenset({str})
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode
_DIGEST_AT = len(b',"digest":"') + 64 + len(b'"}')


@dataclass(frozen=True, slots=True)
class Link:
    """One record as read back: its place in the chain, and all its fields but the digest."""

    seq: int
    prev: str
    digest: str
    fields: Mapping[str, Json]


def fit(entry: Mapping[str, Json]) -> dict[str, Json]:
    """``entry`` as it may be recorded: plain values only, and nothing under a secret's name.

    The gateway gives no secrets; this is the second lock on the same door. Raises `AuditError` for a float, for
    anything else that is not exact JSON, and for the names that the log itself sets.
    """
    if not _LINKS.isdisjoint(entry):
        raise AuditError("an audit entry sets v, seq, prev or digest, which only the log may set")
    return _fit_object(entry, 0)


def _fit_object(value: Mapping[str, Json], depth: int) -> dict[str, Json]:
    if not _TEXT.issuperset(map(type, value)):
        raise AuditError("an audit entry has a name that is no text")
    return {
        name: item if type(item) in _PLAIN and name not in _WATCHED else _fit_value(name, item, depth)
        for name, item in value.items()
    }


def _fit_value(name: str, value: Json, depth: int) -> Json:
    if depth > MOST_DEPTH:
        raise AuditError("an audit entry is nested too deeply", where=name[:64])
    if name in _SECRET or (name == "key" and len(str(value)) >= _LONGEST_KEY_NAME):
        return REDACTED
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return _fit_object(value, depth + 1)
    if isinstance(value, list | tuple):
        return [item if type(item) in _PLAIN else _fit_value("", item, depth + 1) for item in value]
    raise AuditError(f"an audit entry holds a {type(value).__name__}, which is not exact JSON", where=name[:64])


def link(head: ChainHead, entry: Mapping[str, Json]) -> tuple[bytes, ChainHead]:
    """The line for a fit ``entry`` that follows ``head``, and the head it makes."""
    seq = head.seq + 1
    body = _encode({**entry, "v": VERSION, "seq": seq, "prev": head.digest}).encode("ascii")
    digest = hashlib.sha256(body).hexdigest()
    return b'%b,"digest":"%b"}\n' % (body[:-1], digest.encode("ascii")), ChainHead(seq, digest)


def unlink(line: bytes) -> Link | None:
    """The record in a line (with or without its newline), or None if its digest is not that of its bytes."""
    line = line.removesuffix(b"\n")
    body = line[:-_DIGEST_AT] + b"}"
    digest = hashlib.sha256(body).hexdigest()
    if line != b'%b,"digest":"%b"}' % (body[:-1], digest.encode("ascii")):
        return None
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    seq, prev = fields.get("seq"), fields.get("prev")
    return Link(seq, prev, digest, fields) if type(seq) is int and isinstance(prev, str) else None
