"""One record: its bytes, its digest, and what may be in it."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from signer.audit.chain import MOST_DEPTH, START, fit, link, unlink
from signer.errors import AuditError


def test_a_record_is_the_bytes_that_the_documentation_gives() -> None:
    """The very bytes of a line and its digest are fixed: logs are read by other programs, years later."""
    line, head = link(START, {"kind": "start", "time": 1, "text": "é\n"})
    body = b'{"kind":"start","prev":"' + b"0" * 64 + b'","seq":1,"text":"\\u00e9\\n","time":1,"v":1}'
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
    [1.5, float("nan"), Decimal("1.5"), b"bytes", {1, 2}, {"deep": {3: "number as name"}}, [object]],
    ids=repr,
)
def test_what_is_not_exact_json_is_refused(bad: Any) -> None:
    """No float, bytes, or other object gets into a record, at any depth."""
    with pytest.raises(AuditError):
        fit({"kind": "read", "fields": {"nested": [bad]}})


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


@pytest.mark.parametrize("body", [b"[1]", b'{"seq":true,"prev":""}', b'{"seq":1}', b"[" * 9999 + b"}", b"{nonsense}"])
def test_a_right_digest_over_something_else_is_no_record(body: bytes) -> None:
    """A line that hashes well but is no object with seq and prev is no record, and no exception."""
    digest = hashlib.sha256(body[:-1] + b"}").hexdigest().encode()
    assert unlink(body[:-1] + b',"digest":"' + digest + b'"}\n') is None
