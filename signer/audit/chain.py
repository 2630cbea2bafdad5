"""The chain of records: what may be recorded, and how a record is linked to the one before it.

A record is one line: a JSON object in the canonical form of RFC 8785, to which ``digest`` is added at the end, outside
the sorting. The digest is the SHA-256 of the canonical form. So it can be checked over the bytes of the file, or over
the record as any program read it, and no two spellings of one record are both right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Final

import orjson

from signer.audit.reading import CANONICAL, VERSION
from signer.errors import AuditError
from signer.model import ChainHead, Json

START: Final = ChainHead(0, "0" * 64)
"""What the first record is linked to."""

MOST_DEPTH: Final = 16
"""How deep an entry may be nested; a batch with conditional closes needs four."""

REDACTED: Final = "(redacted)"

KINDS: Final = (
    *("intent", "outcome", "read", "denied", "login-failed", "reconciled", "closed", "start", "reload", "stop"),
    *("throttled", "operator", "credential", "lane", "opened", "segment", "recovered", "dropped"),
)
"""What a record can be of (docs/audit-record.schema.json)."""

_LINKS = frozenset({"v", "seq", "prev", "digest"})
_SECRET = frozenset(
    {"api_sign", "api_secret", "api_key", "secret", "token", "otp", "passphrase", "password", "API-Sign", "API-Key"}
)
_LONGEST_KEY_NAME = 40
"""``key`` names a withdrawal address in calls, and those names are short; API keys have 56 characters."""

_WATCHED = _SECRET | {"key"}
_PLAIN = frozenset({str, int, bool, type(None)})
_LARGEST_INTEGER = (1 << 53) - 1
"""Integers up to this are the same number to every JSON program (RFC 8785 §3.1)."""


def fit(entry: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return ``entry`` as it may be recorded: exact JSON that has a canonical form, and nothing under a secret's name.

    The gateway gives no secrets; this is the second lock on the same door. Half a surrogate pair, which UTF-8 cannot
    write, is recorded as its escape. Raises `AuditError` for a float, for an integer of 2^53 or above, for a name
    beyond ASCII, for anything else that is not exact JSON, and for the names that the log itself sets.
    """
    if not _LINKS.isdisjoint(entry):
        raise AuditError("an audit entry sets v, seq, prev or digest, which only the log may set")
    return entry if _is_fit(entry) else _fit_object(entry, 0)


def _is_fit(entry: Mapping[str, Json]) -> bool:
    """Tell quickly whether ``entry`` is fit as it is. One with text beyond ASCII is left to `_fit_object`."""
    try:
        return _is_plain((entry,), 0) and orjson.dumps(entry, option=orjson.OPT_STRICT_INTEGER).isascii()
    except orjson.JSONEncodeError:
        return False


def _is_plain(values: Collection[object], depth: int) -> bool:
    """Tell whether ``values`` hold exact JSON, whatever the names are, and nothing under a secret's name."""
    if _PLAIN.issuperset(map(type, values)):
        return True
    for value in values:
        if type(value) in _PLAIN:
            continue
        if type(value) is dict:
            if not _WATCHED.isdisjoint(value) or not _is_plain(value.values(), depth + 1):
                return False
        elif type(value) is not list or not _is_plain(value, depth + 1):
            return False
    return depth <= MOST_DEPTH


def _fit_object(value: Mapping[str, Json], depth: int) -> dict[str, Json]:
    if not all(type(name) is str and name.isascii() for name in value):
        raise AuditError("an audit entry has a name that is no ASCII text")
    return {name: _fit_value(name, item, depth) for name, item in value.items()}


def _fit_value(name: str, value: Json, depth: int) -> Json:
    if depth > MOST_DEPTH:
        raise AuditError("an audit entry is nested too deeply", where=name[:64])
    if name in _SECRET or (name == "key" and len(str(value)) >= _LONGEST_KEY_NAME):
        return REDACTED
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if value is None or (isinstance(value, int) and abs(value) <= _LARGEST_INTEGER):
        return value
    if isinstance(value, Mapping):
        return _fit_object(value, depth + 1)
    if isinstance(value, list | tuple):
        return [_fit_value("", item, depth + 1) for item in value]
    raise AuditError(f"an audit entry holds {_named(value)}, which is not exact JSON", where=name[:64])


def _named(value: object) -> str:
    return "an integer of 2^53 or above" if isinstance(value, int) else f"a {type(value).__name__}"


def link(head: ChainHead, entry: Mapping[str, Json]) -> tuple[bytes, ChainHead]:
    """Return the line for a fit ``entry`` that follows ``head``, and the head it makes."""
    seq = head.seq + 1
    body = orjson.dumps({**entry, "v": VERSION, "seq": seq, "prev": head.digest}, option=CANONICAL)
    digest = hashlib.sha256(body).hexdigest()
    return b'%b,"digest":"%b"}\n' % (body[:-1], digest.encode("ascii")), ChainHead(seq, digest)
