"""Hints for values of a settings file that do not fit: pydantic's errors in words that a person can act on."""

from __future__ import annotations

from collections.abc import Mapping

_HINTS = {
    "tuple_type": 'write a list, as ["…", "…"]',
    "list_type": 'write a list, as ["…", "…"]',
    "string_type": 'write text in quotes, as "…"',
    "bool_type": "write true or false, without quotes",
    "int_type": "write a whole number, without quotes",
    "int_from_float": "write a whole number",
    "float_type": "write a number, without quotes",
    "dict_type": "write a table, as [name] and its keys below",
    "model_type": "write a table, as [name] and its keys below",
    "model_attributes_type": "write a table, as [name] and its keys below",
    "greater_than_equal": "write {ge} or more",
    "greater_than": "write more than {gt}",
    "less_than_equal": "write {le} or less",
    "less_than": "write less than {lt}",
    "string_too_short": "write at least {min_length} characters",
    "string_too_long": "write at most {max_length} characters",
    "too_short": "write at least {min_length} of them",
    "too_long": "write at most {max_length} of them",
    "literal_error": "write {expected}",
    "union_tag_invalid": "write {expected_tags}",
    "union_tag_not_found": "add {discriminator}, which says of what kind it is",
    "missing": "add it",
    "extra_forbidden": "take it away, or see the docs for how it is spelt",
}
"""The hint by the type of pydantic's error (docs.pydantic.dev, *Validation Errors*). Its context fills the braces."""

OF_SHAPE = frozenset({"tuple_type", "list_type", "dict_type", "model_type", "model_attributes_type"})
"""Errors in the type of a value. An example of an element would not help with them."""


def hint(kind: str, message: str, context: Mapping[str, object]) -> str:
    """Return what to write instead. ``message`` is pydantic's own text, used for a kind without a hint here."""
    words = _HINTS.get(kind)
    if words is None:
        return message.removeprefix("Value error, ").replace("Input should be", "write")
    return words.format(**context)
