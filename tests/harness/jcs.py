"""RFC 8785 (JCS) by its own rules and without a JSON library, to compare the encoder of the log with.

Numbers are integers below 2^53 only: the form of all others (RFC 8785 §3.2.2.3) is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def canonical(value: object) -> bytes:
    """The canonical form of a value. Raises ValueError for one that has none."""
    return _written(value).encode("utf-8")


def _written(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) < 2**53:
        return str(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_string(name)}:{_written(value[name])}" for name in sorted(value, key=_units)) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(_written, value)) + "]"
    raise ValueError(f"{value!r} has no canonical form here")


def _string(text: str) -> str:
    """A string as RFC 8785 §3.2.2.2 says: controls by their short or four-digit escapes, all else as it is."""
    text.encode("utf-8")  # a lone surrogate must end it, as an error: UnicodeEncodeError is a ValueError
    letters = (_SHORT.get(letter) or (f"\\u{ord(letter):04x}" if letter < " " else letter) for letter in text)
    return '"' + "".join(letters) + '"'


def _units(name: str) -> list[int]:
    """The UTF-16 code units by which RFC 8785 §3.2.3 sorts names."""
    data = name.encode("utf-16-be")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
