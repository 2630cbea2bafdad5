"""A key store's file, changed in any way, does not open; or it opens to what it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.errors import KeyStoreError
from signer.keys.envelope import parse
from tests.harness.stores import filled_store, open_store
from tests.unit.keys.test_envelope import rewritten


@pytest.fixture(scope="module", name="untouched")
def _untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "keys.json"
    filled_store(path)
    return path


def _leaves(part: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    members: Any = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    nested = [leaf for key, value in members for leaf in _leaves(value, (*at, key))]
    return nested or [at]


def _other(value: Any, data: st.DataObject) -> Any:
    """A value of the same kind that differs: a digit, a letter, a number or a truth."""
    if isinstance(value, bool) or value is None:
        return 1 if value is None else not value
    if isinstance(value, int):
        return data.draw(st.integers(0, 2**40).filter(lambda other: other != value))
    if isinstance(value, list):
        return ["10.0.0.0/8"]
    index = data.draw(st.integers(0, len(value) - 1))
    letter = data.draw(st.sampled_from("0123456789abcdef").filter(lambda other: other != value[index]))
    return value[:index] + letter + value[index + 1 :]


@given(offset=st.integers(0), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unnoticed(untouched: Path, tmp_path: Path, offset: int, bit: int) -> None:
    """A file with one flipped bit is refused, unless the bit was white space and the meaning is the same."""
    raw = bytearray(untouched.read_bytes())
    raw[offset % len(raw)] ^= 1 << bit
    path = tmp_path / "keys.json"
    path.write_bytes(raw)
    path.chmod(0o600)
    try:
        open_store(path)
    except KeyStoreError:
        return
    assert parse(bytes(raw), where="") == parse(untouched.read_bytes(), where="")


def test_no_byte_is_left_out(untouched: Path) -> None:
    """A file with one bit flipped in any byte is refused by the reader alone, unless the byte is white space."""
    raw, meant = untouched.read_bytes(), parse(untouched.read_bytes(), where="")
    for offset in range(0, len(raw), 3):
        changed = raw[:offset] + bytes([raw[offset] ^ 1]) + raw[offset + 1 :]
        try:
            read = parse(changed, where="")
        except KeyStoreError:
            continue
        assert read == meant


@given(data=st.data())
def test_no_changed_value_opens_even_with_its_digest_fixed(
    untouched: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """An attacker who can compute the plain digest still cannot change any value of the file."""
    path = tmp_path / "keys.json"
    path.write_bytes(untouched.read_bytes())
    path.chmod(0o600)
    leaf = data.draw(st.sampled_from([leaf for leaf in _leaves(json.loads(path.read_text())) if leaf != ("digest",)]))

    def edit(file: Any) -> None:
        for key in leaf[:-1]:
            file = file[key]
        file[leaf[-1]] = _other(file[leaf[-1]], data)

    rewritten(path, edit, redigest=True)
    with pytest.raises(KeyStoreError):
        open_store(path)


@given(length=st.integers(0))
def test_no_cut_file_opens(untouched: Path, length: int) -> None:
    """A file that ends early is refused, but for the newline at its end."""
    raw = untouched.read_bytes()
    with pytest.raises(KeyStoreError):
        parse(raw[: length % (len(raw) - 1)], where="")


@given(raw=st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
    lambda value: json.dumps(value).encode()
))  # fmt: skip
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    """Whatever the bytes, the reader's answer is an error of ours."""
    with pytest.raises(KeyStoreError):
        parse(raw, where="")
