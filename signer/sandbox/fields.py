"""Reads the parameters of a call by name and type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from signer.sandbox.rejected import invalid

_AMOUNT = re.compile(r"\d{1,9}(\.\d{1,20})?", re.ASCII)
"""Amounts have at most nine digits: with prices of eight, all sums are exact in Decimal's 28 digits."""
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_TIME = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)
_TRUE = frozenset({"true", "1"})
_FALSE = frozenset({"false", "0", ""})


class Fields:
    """The parameters of one call: scalars are text or booleans, lists are lists, nested fields are mappings.

    An empty text counts as absent, because clients send ``oflags=``. A value that cannot be read raises `Rejected` with
    ``EGeneral:Invalid arguments:<field>``.
    """

    def __init__(self, params: Mapping[str, object]) -> None:
        self._params = params

    def has(self, name: str) -> bool:
        """Answer whether the field was sent with a value."""
        return self._params.get(name) not in (None, "", [], {})

    def text(self, name: str, default: str = "") -> str:
        """Answer a scalar as its text."""
        if not self.has(name):
            return default
        value = self._params[name]
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, str):
            raise invalid(name)
        return value

    def required(self, name: str) -> str:
        """Return a field's single value. Raises if the call does not give it."""
        if not self.has(name):
            raise invalid(name)
        return self.text(name)

    def one_of(self, name: str, allowed: tuple[str, ...], default: str = "") -> str:
        """Answer one of the allowed words. Without a default it must be there."""
        value = self.text(name, default)
        if value not in allowed:
            raise invalid(name)
        return value

    def flag(self, name: str) -> bool:
        """Answer a boolean. Client libraries write True, true or 1 (docs/kraken.md §2c)."""
        value = self.text(name).lower()
        if value not in _TRUE | _FALSE:
            raise invalid(name)
        return value in _TRUE

    def amount(self, name: str) -> Decimal | None:
        """Answer a fixed-point number without sign or exponent, None if absent."""
        if not self.has(name):
            return None
        value = self.text(name)
        if not _AMOUNT.fullmatch(value):
            raise invalid(name)
        return Decimal(value)

    def required_amount(self, name: str) -> Decimal:
        """Answer a fixed-point number that must be there."""
        value = self.amount(name)
        if value is None:
            raise invalid(name)
        return value

    def integer(self, name: str) -> int | None:
        """Answer a whole number, None if absent."""
        if not self.has(name):
            return None
        value = self.text(name)
        if not _INTEGER.fullmatch(value):
            raise invalid(name)
        return int(value)

    def time(self, name: str, now: float) -> float:
        """Answer a time in Unix seconds, written so or as ``+n`` seconds from now; 0.0 if absent."""
        value = self.text(name, "0")
        if not _TIME.fullmatch(value.removeprefix("+")):
            raise invalid(name)
        moment = float(value.removeprefix("+"))
        return now + moment if value.startswith("+") else moment

    def words(self, name: str) -> list[str]:
        """Answer a list of texts, sent as a list or separated by commas."""
        value = self._params.get(name)
        if isinstance(value, list):
            if not all(isinstance(word, str) for word in value):
                raise invalid(name)
            return list(value)
        return [word.strip() for word in self.text(name).split(",") if word.strip()]

    def nested(self, name: str) -> Fields | None:
        """Answer the nested fields of a name, None if absent. XChange writes an empty object as text."""
        if not self.has(name) or self._params[name] == "{}":
            return None
        value = self._params[name]
        if not isinstance(value, dict):
            raise invalid(name)
        return Fields(value)

    def rows(self, name: str) -> list[Fields]:
        """Answer a list of nested fields."""
        value = self._params.get(name)
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise invalid(name)
        return [Fields(row) for row in value]
