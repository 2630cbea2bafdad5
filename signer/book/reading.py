"""Reads what the book needs from the fields of a record.

Every function raises `ValueError`, or what Python raises for a missing or wrong field, if the record does not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, TypeAlias

from signer.errors import LedgerError
from signer.model import Charge, Json

Record: TypeAlias = Mapping[str, Json]
Document: TypeAlias = Mapping[str, Json]
"""An order as JSON (`signer.model.wire.as_json`)."""

UNREADABLE: Final = (KeyError, TypeError, ValueError, ArithmeticError, LedgerError)
"""What reading a damaged record raises."""


@dataclass(frozen=True, slots=True)
class BookCall:
    """A call whose charges are held and whose end is not known."""

    id: str
    reservation: int
    client: str
    account: str
    held_us: int
    """The moment by which its charges are dated."""
    orders: Sequence[Document]
    charges: Sequence[Charge]
    changes: bool = False
    """Whether it changes an order, so that another may have placed the one that it names."""
    unknown: bool = False
    """Whether its answer is lost; otherwise it is under way."""

    def without(self, legs: frozenset[int]) -> BookCall:
        """Return the call without these of its orders, by their places, and without their charges."""
        left = [leg for leg in range(len(self.orders)) if leg not in legs]
        charges = [replace(charge, leg=left.index(charge.leg)) for charge in self.charges if charge.leg in left]
        return replace(self, orders=[self.orders[leg] for leg in left], charges=charges)


@dataclass(frozen=True, slots=True)
class BookOrder:
    """An order that may be open at the venue."""

    client: str
    placed_us: int
    order: Document


def call_of(record: Record) -> BookCall:
    """Read the call that an intent's record begins."""
    return BookCall(
        id=text_of(record["id"]),
        reservation=number_of(record["reservation"]),
        client=text_of(record["client"]),
        account=text_of(record["account"]),
        held_us=number_of(record["at"]),
        orders=[document_of(order) for order in list_of(record["orders"])],
        charges=[charge_of(charge) for charge in list_of(record["charges"])],
        changes=bool(list_of(record["targets"])),
        unknown=record.get("unknown") is True,
    )


def charge_of(value: Json) -> Charge:
    """Read a charge."""
    fields = document_of(value)
    return Charge(
        cap=text_of(fields["cap"]),
        scope=text_of(fields["scope"]),
        unit=text_of(fields["unit"]),
        window_s=number_of(fields["window_s"]),
        limit=Decimal(text_of(fields["limit"])),
        amount=Decimal(text_of(fields["amount"])),
        leg=number_of(fields["leg"]),
    )


def order_of(value: Json) -> tuple[str, BookOrder]:
    """Read an order that may be open, with its venue id."""
    fields = document_of(value)
    placed = BookOrder(text_of(fields["client"]), number_of(fields["placed"]), document_of(fields["order"]))
    return text_of(fields["venue_id"]), placed


def ids_of(record: Record) -> Sequence[str | None]:
    """Read the venue ids, None for an order without one."""
    return [None if one is None else text_of(one) for one in list_of(record["venue_ids"])]


def text_of(value: Json) -> str:
    """Return a text."""
    if type(value) is not str:
        raise ValueError("a field is no text")
    return value


def number_of(value: Json) -> int:
    """Return a number that is not negative."""
    if type(value) is not int or value < 0:
        raise ValueError("a field is no number")
    return value


def list_of(value: Json) -> list[Json]:
    """Return a list."""
    if type(value) is not list:
        raise ValueError("a field is no list")
    return value


def document_of(value: Json) -> dict[str, Json]:
    """Return an object."""
    if type(value) is not dict:
        raise ValueError("a field is no object")
    return value
