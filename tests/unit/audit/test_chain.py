"""One record: its bytes, its digest, and what may be in it."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from signer.audit.chain import MOST_DEPTH, START, fit, link
from signer.audit.reading import VERSION, unlink
from signer.errors import AuditError
from signer.model import Outcome, Priority


def test_a_record_is_the_bytes_that_the_documentation_gives() -> None:
    """The bytes of a line and its digest are fixed: logs are read by other programs, years later."""
    line, head = link(START, {"kind": "start", "time": 1, "text": "é\n"})
    body = b'{"kind":"start","prev":"' + b"0" * 64 + b'","seq":1,"text":"\xc3\xa9\\n","time":1,"v":2}'
    digest = hashlib.sha256(body).hexdigest()
    assert line == body[:-1] + b',"digest":"' + digest.encode() + b'"}\n'
    assert (head.seq, head.digest) == (1, digest)


def test_each_record_carries_the_digest_of_the_one_before() -> None:
    """A record's prev is the digest of its predecessor, and its number one more."""
    _, first = link(START, {"kind": "start"})
    line, second = link(first, {"kind": "stop"})
    record = json.loads(line)
    assert (record["seq"], record["prev"], record["digest"]) == (2, first.digest, second.digest)


@pytest.mark.parametrize(
    "bad",
    [
        *(1.5, float("nan"), Decimal("1.5"), b"bytes", {1, 2}, {"deep": {3: "number as name"}}, [object]),
        *(2**53, -(2**53), 2**64, date(2026, 11, 27), uuid.UUID(int=1), {"ключ": "name beyond ASCII"}),
    ],
    ids=repr,
)
def test_what_is_not_exact_json_is_refused(bad: Any) -> None:
    """No float, bytes, large integer or other object gets into a record, at any depth."""
    with pytest.raises(AuditError):
        fit({"kind": "read", "fields": {"nested": [bad]}})
    with pytest.raises(AuditError):
        fit({"kind": "read", "text": "é", "fields": {"nested": [bad]}})


@pytest.mark.parametrize("number", [2**53 - 1, -(2**53) + 1, 0])
def test_the_largest_integers_are_taken(number: int) -> None:
    """Integers below 2^53 are recorded as they are."""
    assert fit({"kind": "read", "count": number}) == {"kind": "read", "count": number}


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udc00\ud800"])
def test_half_a_surrogate_pair_is_recorded_as_its_escape(text: str) -> None:
    """Text that UTF-8 cannot write loses no record: the half letters stand there as their escapes."""
    written = fit({"kind": "read", "errors": [text], "fields": {"a": text}})
    escaped = text.replace("\ud800", "\\ud800").replace("\udfff", "\\udfff").replace("\udc00", "\\udc00")
    assert written == {"kind": "read", "errors": [escaped], "fields": {"a": escaped}}


@pytest.mark.parametrize("text", ["plain", "é"])
def test_members_of_enums_are_recorded_as_their_values(text: str) -> None:
    """A text or number of a subclass, which code may well pass, is recorded as a plain one."""
    line, _ = link(START, fit({"kind": Outcome.NOT_SENT, "count": Priority.READ, "text": text}))
    assert json.loads(line) | {"kind": "not-sent", "count": 3, "text": text} == json.loads(line)


def test_nesting_is_bounded() -> None:
    """An entry that is nested beyond the bound is refused rather than exhausting the stack."""
    deep: Any = "end"
    for _ in range(MOST_DEPTH + 2):
        deep = [deep]
    with pytest.raises(AuditError, match="nested"):
        fit({"kind": "read", "fields": deep})


@pytest.mark.parametrize("name", ["v", "seq", "prev", "digest"])
def test_an_entry_cannot_pose_as_the_log(name: str) -> None:
    """The chain's own members cannot be given from outside."""
    with pytest.raises(AuditError, match="only the log"):
        fit({"kind": "read", name: "x"})


def test_mappings_and_tuples_become_json() -> None:
    """A read-only mapping and a tuple, which calls hold, are recorded as object and array."""
    given: Any = {"kind": "read", "fields": MappingProxyType({"pair": ("a", "b")})}
    assert fit(given) == {"kind": "read", "fields": {"pair": ["a", "b"]}}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}\n",
        b"\x00" * 200,
        b'{"digest":"' + b"0" * 64 + b'"}\n',
        link(START, {"kind": "start"})[0].replace(b"start", b"stop "),
        link(START, {"kind": "start"})[0].replace(b":", b": ", 1),
        link(START, {"kind": "start"})[0] + b"\n",
        b" " + link(START, {"kind": "start"})[0],
    ],
)
def test_anything_else_is_no_record(line: bytes) -> None:
    """A line with another byte anywhere, even a space that JSON allows, is no record."""
    assert unlink(line) is None


@pytest.mark.parametrize(
    "changed",
    [
        (b'"kind":"start"', b'"kind":"stop","kind":"start"'),
        (b'"kind":"start"', b'"kind":"start","a":1'),
        (b'"kind":"start"', b'"kind": "start"'),
        (b'"kind":"start"', b'"kind":"\\u0073tart"'),
        (b'"kind":"start"', b'"a":1.5,"kind":"start"'),
        (b'"kind":"start"', b'"a":{"b":[1.0]},"kind":"start"'),
        (b'"kind":"start"', b'"a":1e2,"kind":"start"'),
        (b'"kind":"start"', b'"a":-0,"kind":"start"'),
        (b'"kind":"start"', b'"a":9007199254740992,"kind":"start"'),
        (b'"kind":"start"', b'"a":36893488147419103232,"kind":"start"'),
        (b'"kind":"start"', b'"kind":"start","\xc3\xa9":1'),
        (b'"kind":"start"', b'"kind":"start\xff"'),
        (b'"kind":"start"', b'"kind":"start\x7f\x01"'),
        (b'"kind":"start"', b'"kind":"\\u0001\\ud800"'),
    ],
    ids=lambda pair: repr(pair[1]),
)
def test_another_spelling_is_no_record(changed: tuple[bytes, bytes]) -> None:
    """A line with the right digest, but not in canonical form, is no record: parsers could read it differently."""
    body = link(START, {"kind": "start"})[0][:-78] + b"}"
    assert unlink(_digested(body)) is not None
    assert unlink(_digested(body.replace(*changed))) is None


@pytest.mark.parametrize("version", [1, 3])
def test_a_record_of_another_format_is_named(version: int) -> None:
    """A record of an older or newer format is refused with its number, its format and the hint."""
    body = link(START, {"kind": "start"})[0][:-78] + b"}"
    with pytest.raises(AuditError, match=f"format {version}, and this program reads format {VERSION}") as caught:
        unlink(_digested(body.replace(b'"v":2', b'"v":%d' % version)))
    assert "record 1" in str(caught.value)
    assert "move the folder away" in caught.value.hint


def _digested(body: bytes) -> bytes:
    """A line for the body, with the digest of its bytes."""
    return body[:-1] + b',"digest":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


@pytest.mark.parametrize(
    "body",
    [
        b"[1]",
        b'{"seq":true,"prev":"","v":2}',
        b'{"seq":1,"v":2}',
        b'{"prev":"","seq":1}',
        b"[" * 9999 + b"}",
        b"{nonsense}",
    ],
)
def test_a_right_digest_over_something_else_is_no_record(body: bytes) -> None:
    """A line that hashes well but is no object with seq and prev is no record, and no exception."""
    assert unlink(_digested(body[:-1] + b"}")) is None
