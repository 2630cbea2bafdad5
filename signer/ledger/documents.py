"""Intents and orders as JSON text: whole, exact, without what is at its default."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from signer.errors import LedgerError
from signer.model import Intent, Order

_INTENT = TypeAdapter(Intent)
_ORDER = TypeAdapter(Order)


def from_intent(intent: Intent) -> str:
    """The text of an intent; amounts travel as their own text."""
    return _INTENT.dump_json(intent, exclude_defaults=True).decode()


def to_intent(text: str) -> Intent:
    """The intent again. Raises `LedgerError` if the text is damaged."""
    try:
        return _INTENT.validate_json(text)
    except ValidationError:
        raise _damaged("an intent") from None


def from_order(order: Order) -> str:
    """The text of an order."""
    return _ORDER.dump_json(order, exclude_defaults=True).decode()


def to_order(text: str) -> Order:
    """The order again. Raises `LedgerError` if the text is damaged."""
    try:
        return _ORDER.validate_json(text)
    except ValidationError:
        raise _damaged("an order") from None


def _damaged(what: str) -> LedgerError:
    return LedgerError(f"{what} in the ledger does not read", hint="restore ledger.db from a backup")
