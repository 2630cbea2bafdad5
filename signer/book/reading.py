"""Reads what the book needs from the fields of a record.

Every function raises `ValueError`, or what Python raises for a missing or wrong field, if the record does not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias, get_args

from pydantic import TypeAdapter, ValidationError

from signer.errors import LedgerError
from signer.model import Charge, Gap, Intent, Json, Order, OrderRef, PlacedOrder, RefKind, one_name

Record: TypeAlias = Mapping[str, Json]
Document: TypeAlias = Mapping[str, Json]
"""An order as JSON (`signer.model.wire.as_json`)."""

UNREADABLE: Final = (KeyError, TypeError, ValueError, ArithmeticError, LedgerError)
"""The errors that reading a damaged record raises."""

_ORDER: Final = TypeAdapter(Order)
_CHARGE: Final = itemgetter(*Charge._fields)
_REQUIRED: Final = itemgetter("id", "client", "account", "reservation", "at", "orders", "charges", "targets")
_KINDS: Final[Mapping[str, RefKind]] = {kind: kind for kind in get_args(RefKind)}


class BookCall(NamedTuple):
    """A call whose charges are held and whose end is not known."""

    id: str
    reservation: int
    client: str
    account: str
    held_us: int
    """The moment by which its charges are dated."""
    orders: Sequence[Document]
    charges: Sequence[Charge]
    targets: Sequence[OrderRef] = ()
    """The orders that it changes, which another client may have placed."""
    replaces: bool = False
    endpoint: str = ""
    at_us: int = 0
    """When the call came, by our clock."""
    venue_us: int = 0
    """The earliest that the venue's clock can have shown then; 0 if it was not known."""
    unknown: bool = False
    """Whether its answer is lost; otherwise it is under way."""

    def without(self, legs: frozenset[int]) -> BookCall:
        """Return the call without these of its orders, by their places, and without their charges."""
        left = [leg for leg in range(len(self.orders)) if leg not in legs]
        charges = [charge._replace(leg=left.index(charge.leg)) for charge in self.charges if charge.leg in left]
        return self._replace(orders=[self.orders[leg] for leg in left], charges=charges)

    def is_in_the_way_of(self, intent: Intent) -> bool:
        """Return whether this call, which is open, keeps ``intent`` from beginning.

        The charge of a change is calculated from the order as it is now. Two changes at once could together add more
        than was charged, so they go one after the other. A client may not give two orders the same client's id at the
        same time either.
        """
        if self.account != intent.account:
            return False
        if self.targets:
            return any(target in self.targets for target in intent.targets)
        if self.client != intent.client or intent.targets:
            return False
        names = {one_name(order.client_id) for order in intent.orders if order.client_id}
        return bool(names) and any(one_name(str(order.get("client_id", ""))) in names for order in self.orders)

    def intent(self) -> Intent:
        """Return the intent that the call began with. Raises `LedgerError` if an order of it does not read."""
        return Intent(
            client=self.client,
            account=self.account,
            endpoint=self.endpoint,
            orders=tuple(order_from(order) for order in self.orders),
            targets=tuple(self.targets),
            charges=tuple(self.charges),
            record=self.id,
            at_us=self.at_us,
            replaces=self.replaces,
            venue_us=self.venue_us,
            held_us=self.held_us,
        )


class BookOrder(NamedTuple):
    """An order that was placed at the venue."""

    client: str
    placed_us: int
    order: Document
    closed: bool = False
    """Whether it is known to be closed; if not, it may be open."""

    def placed(self, account: str, venue_id: str) -> PlacedOrder:
        """Return the order with its names. Raises `LedgerError` if it does not read."""
        order = order_from(self.order)
        return PlacedOrder(account, self.client, venue_id, order, self.placed_us, closed=self.closed)


def call_of(record: Record) -> BookCall:
    """Read the call that an intent's record begins."""
    name, client, account, reservation, held_us, orders, charges, targets = _REQUIRED(record)
    endpoint, at_us, venue_us = record.get("endpoint", ""), record.get("time", 0), record.get("venue_time", 0)
    if not type(name) is type(client) is type(account) is type(endpoint) is str:
        raise ValueError("a field is no text")
    return BookCall(
        id=name,
        reservation=number_of(reservation),
        client=client,
        account=account,
        held_us=number_of(held_us),
        orders=[document_of(order) for order in list_of(orders)],
        charges=[charge_of(charge) for charge in list_of(charges)],
        targets=[_ref_of(target) for target in list_of(targets)],
        replaces=record.get("replaces") is True,
        endpoint=endpoint,
        at_us=number_of(at_us),
        venue_us=number_of(venue_us),
        unknown=record.get("unknown") is True,
    )


def _ref_of(value: Json) -> OrderRef:
    fields = document_of(value)
    return OrderRef(_KINDS[text_of(fields["kind"])], text_of(fields["value"]))


def order_from(document: Document) -> Order:
    """Return the order that a document describes. Raises `LedgerError` if it does not read."""
    try:
        return _ORDER.validate_python(document)
    except ValidationError:
        raise LedgerError("an order in the book does not read", hint="run `signer audit verify --book`") from None


def charge_of(value: Json) -> Charge:
    """Read a charge."""
    cap, scope, unit, window_s, limit, amount, leg = _CHARGE(document_of(value))
    if not type(cap) is type(scope) is type(unit) is type(limit) is type(amount) is str:
        raise ValueError("a field is no text")
    return Charge(cap, scope, unit, number_of(window_s), Decimal(limit), Decimal(amount), number_of(leg))


def order_of(value: Json) -> tuple[str, BookOrder]:
    """Read an order that may be open, with its venue id."""
    fields = document_of(value)
    placed = BookOrder(text_of(fields["client"]), number_of(fields["placed"]), document_of(fields["order"]))
    return text_of(fields["venue_id"]), placed


def gap_of(record: Record) -> Gap:
    """Read which records are missing, as a record says."""
    first, last = list_of(record["missing"])
    return Gap(number_of(first), number_of(last))


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
