"""The canonical form: each record has one spelling, and every change of a byte shows."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.audit.chain import START, fit, link
from signer.audit.reading import VERSION, unlink
from signer.errors import AuditError
from signer.model import Json
from tests.harness.jcs import canonical

ANY_TEXT = st.text(st.characters(exclude_categories=()))
"""Text with lone surrogates too."""

ASCII = st.text(st.characters(max_codepoint=127))
NAMES = ASCII.filter(lambda name: name not in {"v", "seq", "prev", "digest"})


def values(text: st.SearchStrategy[str], integers: st.SearchStrategy[int]) -> st.SearchStrategy[Json]:
    """Nested values with such texts and integers."""
    return st.recursive(
        st.none() | st.booleans() | integers | text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ASCII, inner, max_size=3),
        max_leaves=8,
    )


EXACT = st.integers(-(2**53) + 1, 2**53 - 1)
ENTRIES = st.dictionaries(NAMES, values(st.text(), EXACT), max_size=6)
ODD_ENTRIES = st.dictionaries(NAMES | st.text(), values(ANY_TEXT, st.integers()), max_size=6)


@given(ENTRIES)
def test_a_record_reads_back_as_it_was(entry: dict[str, Json]) -> None:
    """An entry with any text is one line, without control characters, that reads back the same."""
    fitted = fit(entry)
    line, head = link(START, fitted)
    assert line.splitlines() == [line[:-1]]
    assert min(line[:-1]) >= 0x20
    record = unlink(line)
    assert record is not None
    assert (record.seq, record.prev, record.digest) == (head.seq, START.digest, head.digest)
    assert {name: record.fields[name] for name in fitted} == fitted


@given(ENTRIES)
def test_there_is_one_spelling(entry: dict[str, Json]) -> None:
    """The hashed part is the canonical form by an independent RFC 8785, and by the standard library."""
    line, _ = link(START, fit(entry))
    body = line[:-78] + b"}"
    again = json.loads(body)
    assert canonical(again) == body
    assert json.dumps(again, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == body


@given(ODD_ENTRIES)
def test_odd_values_are_refused_or_canonical(entry: dict[str, Json]) -> None:
    """An entry of any names, texts and integers is refused by `AuditError`, or its record is canonical."""
    try:
        fitted = fit(entry)
    except AuditError:
        with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
            refused(entry)
        return
    line, _ = link(START, fitted)
    assert canonical({**fitted, "v": VERSION, "seq": 1, "prev": START.digest}) == line[:-78] + b"}"
    assert unlink(line) is not None


def refused(value: Json) -> None:
    """Raise ValueError for a value that must not be recorded, whatever its texts are."""
    if isinstance(value, dict):
        "".join(value).encode("ascii")
        if not {"v", "seq", "prev", "digest"}.isdisjoint(value):
            raise ValueError("a name of the log's own")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        refused(inner)
    if isinstance(value, int):
        canonical(value)


@given(ENTRIES, st.data())
def test_any_changed_byte_is_seen(entry: dict[str, Json], data: st.DataObject) -> None:
    """No byte of a line can become another without the line ceasing to be a record."""
    line, _ = link(START, fit(entry))
    at = data.draw(st.integers(0, len(line) - 2))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[at]))
    assert unlink(line[:at] + bytes([other]) + line[at + 1 :]) is None
