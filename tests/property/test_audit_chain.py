"""The canonical form: one spelling for each record, and every change of a byte shows."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from signer.audit.chain import START, fit, link, unlink
from signer.model import Json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text().filter(lambda name: name not in {"v", "seq", "prev", "digest"})
ENTRIES = st.dictionaries(NAMES, VALUES, max_size=6)


@given(ENTRIES)
def test_a_record_reads_back_as_it_was(entry: dict[str, Json]) -> None:
    """Whatever text is in an entry, it is one line of ASCII that reads back the same."""
    fitted = fit(entry)
    line, head = link(START, fitted)
    assert line.isascii()
    assert line.splitlines() == [line[:-1]]
    assert min(line[:-1]) >= 0x20
    record = unlink(line)
    assert record is not None
    assert (record.seq, record.prev, record.digest) == (head.seq, START.digest, head.digest)
    assert {name: record.fields[name] for name in fitted} == fitted


@given(ENTRIES)
def test_there_is_one_spelling(entry: dict[str, Json]) -> None:
    """Read and written again by any JSON library with sorted keys, the hashed part is the same bytes."""
    line, _ = link(START, fit(entry))
    body = line[:-78] + b"}"
    again = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert again.encode("ascii") == body


@given(ENTRIES, st.data())
def test_any_changed_byte_is_seen(entry: dict[str, Json], data: st.DataObject) -> None:
    """No byte of a line can become another without the line ceasing to be a record."""
    line, _ = link(START, fit(entry))
    at = data.draw(st.integers(0, len(line) - 2))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[at]))
    assert unlink(line[:at] + bytes([other]) + line[at + 1 :]) is None
