"""The canonical form, by the vectors of RFC 8785 as far as records use it."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from signer.audit.reading import CANONICAL
from tests.harness.jcs import canonical

SAMPLE = r"""{"string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"""
"""The sample of RFC 8785 §3.2.2, without its member of floats."""

SAMPLE_BYTES = """
7b 22 6c 69 74 65 72 61 6c 73 22 3a 5b 6e 75 6c 6c 2c 74 72 75 65 2c 66 61 6c 73 65 5d 2c
22 73 74 72 69 6e 67 22 3a 22 e2 82 ac 24 5c 75 30 30 30 66 5c 6e 41 27 42 5c 22 5c 5c 5c 5c 5c 22 2f 22 7d
"""
"""Its canonical form by RFC 8785 §3.2.4."""

NAMES = {
    "\u20ac": "Euro Sign",
    "\r": "Carriage Return",
    "\ufb33": "Hebrew Letter Dalet With Dagesh",
    "1": "One",
    "\U0001f600": "Emoji: Grinning Face",
    "\u0080": "Control",
    "\u00f6": "Latin Small Letter O With Diaeresis",
}
"""The members of RFC 8785 §3.2.3."""

SORTED = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
"""Their names in the order that RFC 8785 §3.2.3 gives."""


def ours(value: Any) -> bytes:
    """The form in which the log writes a value."""
    return orjson.dumps(value, option=CANONICAL)


def test_the_sample_of_the_rfc() -> None:
    """Both forms give the bytes of the RFC for its sample."""
    expected = bytes.fromhex(SAMPLE_BYTES)
    assert canonical(json.loads(SAMPLE)) == expected
    assert ours(json.loads(SAMPLE)) == expected


def test_the_order_of_the_rfc() -> None:
    """The independent form sorts by UTF-16 units, as the RFC does. The log's form does so for ASCII names alone."""
    assert list(json.loads(canonical(NAMES))) == SORTED
    assert list(json.loads(ours(NAMES))) != SORTED
    ascii_names = {name: text for name, text in NAMES.items() if name.isascii()}
    assert ours(ascii_names) == canonical(ascii_names)


LETTERS = [*map(chr, range(0xA1)), "\u2028", "\u202e", "\ufeff", "\uffff", "\U0010ffff"]


@pytest.mark.parametrize("letter", LETTERS, ids=ascii)
def test_each_control_character_and_sign(letter: str) -> None:
    """Each letter is written alike: controls escaped, in small hexadecimal digits, all else as it is."""
    value = {letter if letter.isascii() else "": [letter]}
    assert ours(value) == canonical(value)


@pytest.mark.parametrize("bad", ["\ud800", "a\udfff", 2**53, -(2**53), 2**64], ids=ascii)
def test_values_without_a_canonical_form(bad: object) -> None:
    """Half a surrogate pair and a large integer are refused by both forms."""
    with pytest.raises(ValueError):  # noqa: PT011 - of two kinds
        canonical([bad])
    with pytest.raises(orjson.JSONEncodeError):
        ours([bad])
