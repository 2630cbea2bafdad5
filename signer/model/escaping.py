"""Text of strangers, made safe to show: it moves no cursor, ends no line, hides nothing that stands beside it."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return ``text`` with unprintable characters written as Python writes them: ``\x1b``, ``\u202e``."""
    return "".join(each if each.isprintable() else _written(each) for each in text)


def printable_ascii(text: str) -> str:
    r"""Return ``text`` in printable ASCII alone, for the exchange's error arrays: an umlaut is ``\xfc``."""
    return "".join(each if each.isascii() and each.isprintable() else _written(each) for each in text)


def _written(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
