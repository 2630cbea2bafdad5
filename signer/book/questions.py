"""Answers what the book knows: from memory, and closed orders from where they are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol, TypeAlias

from signer.book.book import Book
from signer.book.orders import OrderKey
from signer.book.reading import BookCall, BookOrder, Document
from signer.model import ClientNames, Gap, Halt, OpenIntent, OrderRef, PlacedOrder, Usage

CLOSED_AT_ONCE: Final = 1_000
"""How many orders one record closes at most."""

NEWEST_CLOSED: Final = 16
"""How many closed orders of each client one name answers at most: a grid bot gives all its orders the same tag, and a
closed order can be neither changed nor cancelled."""

MOST_OPEN: Final = 5_000
"""How many open orders of each client one name answers at most. A venue allows some hundred for each pair."""

_Kept: TypeAlias = tuple[OrderKey, BookOrder]


class ClosedOrders(Protocol):
    """Finds orders that are known to be closed and are no longer in memory. Raises `LedgerError`."""

    def closed(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """Return closed orders that a name means, newest first and not all of them."""

    def closed_among(self, account: str, venue_ids: Sequence[str]) -> Sequence[PlacedOrder]:
        """Return those of these orders that are closed."""


class BookQuestions:
    """Answers questions to a book, as `signer.contracts.Known` states them."""

    def __init__(self, book: Book, closed: ClosedOrders | None, now_us: Callable[[], int]) -> None:
        """``closed``: None if all that is known is in memory; ``now_us``: the wall clock."""
        self._book = book
        self._closed = closed
        self._clock_us = now_us
        self._read: dict[str, tuple[BookCall, OpenIntent]] = {}

    def now_us(self) -> int:
        """Return the moment by which charges are dated now: the clock's, or the book's if that is later."""
        return max(self._book.now_us, self._clock_us())

    def open_intents(self) -> Sequence[OpenIntent]:
        """Return the calls without a known end, oldest first. Raises `LedgerError` if an order does not read."""
        calls = sorted(self._book.calls.values(), key=lambda call: call.reservation)
        self._read = {call.id: self._read_once(call) for call in calls}
        return [intent for _, intent in self._read.values()]

    def _read_once(self, call: BookCall) -> tuple[BookCall, OpenIntent]:
        """Return a call with its intent. It is read anew only if a record has changed the call."""
        known = self._read.get(call.id)
        if known is not None and known[0] is call:
            return known
        return call, OpenIntent(call.reservation, call.intent(), call.unknown)

    def find_orders(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """Return the open orders that ``ref`` names, newest first; if there are none, the newest closed ones."""
        in_memory = self._book.placed.bearing(account, ref)
        if in_memory and not in_memory[0][1].closed:
            return _placed(_newest(in_memory, MOST_OPEN))
        closed = sorted(in_memory, key=lambda one: one[1].placed_us, reverse=True)
        return self._with_stored(account, ref, _placed(_newest(closed, NEWEST_CLOSED)))

    def open_named(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """Return the open orders that ``ref`` names, newest first."""
        found = [one for one in self._book.placed.bearing(account, ref) if not one[1].closed]
        return _placed(_newest(found, MOST_OPEN))

    def client_names(self, account: str, own: str, venue_id: str) -> tuple[str, ClientNames] | None:
        """Return whose the order with this name of ours is, and what its client calls it; None if none has the name."""
        refs = OrderRef("venue-id", venue_id), OrderRef("own", own)
        for ref in refs if venue_id else refs[1:]:
            for _, order in self._book.placed.bearing(account, ref):
                if order.order.get("own") == own:
                    return order.client, _given(order.order)
        for call in self._book.calls.values():
            for document in call.orders if call.account == account else ():
                if document.get("own") == own:
                    return call.client, _given(document)
        return self._stored_names(account, own)

    def _stored_names(self, account: str, own: str) -> tuple[str, ClientNames] | None:
        stored = self._closed.closed(account, OrderRef("own", own)) if self._closed is not None else ()
        return next(((one.client, ClientNames(one.order.client_tag, one.order.client_id)) for one in stored), None)

    def _with_stored(self, account: str, ref: OrderRef, found: Sequence[PlacedOrder]) -> Sequence[PlacedOrder]:
        """Return ``found`` and the closed orders that are not in memory, newest first."""
        if self._closed is None or (found and ref.kind == "venue-id"):
            return found
        stored = self._closed.closed(account, ref)
        others = [one for one in stored if self._book.placed.get((account, one.venue_id)) is None]
        return sorted([*found, *others], key=lambda one: one.placed_us, reverse=True)

    def absent(self, account: str, listed: Sequence[str], placed_before_us: int) -> Sequence[str]:
        """Return orders that may be open, were placed before then and are not listed: at most 1,000, oldest first."""
        seen = frozenset(listed)
        gone = (
            venue_id
            for (where, venue_id), order in self._book.orders.items()
            if where == account and order.placed_us < placed_before_us and venue_id not in seen
        )
        return list(islice(gone, CLOSED_AT_ONCE))

    def reappeared(self, account: str, listed: Sequence[str]) -> Sequence[PlacedOrder]:
        """Return the listed orders that are known to be closed."""
        known = [((account, name), self._book.placed.get((account, name))) for name in listed]
        in_memory = [(key, order) for key, order in known if order is not None and order.closed]
        others = [name for (_, name), order in known if order is None]
        stored = self._closed.closed_among(account, others) if self._closed is not None and others else ()
        return [*_placed(in_memory), *stored]

    def may_be_open(self, account: str) -> int:
        """Return how many orders the account has that are not known to be closed."""
        return sum(where == account for where, _ in self._book.orders)

    def open_orders(self, account: str, client: str) -> Sequence[PlacedOrder]:
        """Return all orders that may be open, newest first; of any account or client where empty."""
        return _placed(self._book.placed.of(account, client))

    def usage(self, scope: str) -> Sequence[Usage]:
        """Return what is used now of each cap that the scope was charged for."""
        return self._book.usage(scope, self.now_us())

    def scopes(self) -> Sequence[str]:
        """Return every scope that was charged."""
        return self._book.scopes()

    def halts(self) -> Sequence[Halt]:
        """Return all halts on record, oldest first."""
        return sorted(self._book.halts.values(), key=lambda halt: (halt.at_us, halt.scope))

    def revoked(self) -> Mapping[str, int]:
        """Return when each revoked client was revoked."""
        return dict(self._book.revoked)

    def gaps(self) -> Sequence[Gap]:
        """Return the records that the book lacks, in their order, until a person accepts that."""
        return [Gap(first, last) for first, last in sorted(self._book.gaps)]


def _given(document: Document) -> ClientNames:
    tag, name = document.get("client_tag"), document.get("client_id")
    return ClientNames(tag if isinstance(tag, str) else None, name if isinstance(name, str) else None)


def _placed(orders: Iterable[_Kept]) -> Sequence[PlacedOrder]:
    return [order.placed(*key) for key, order in orders]


def _newest(orders: Iterable[_Kept], limit: int) -> Iterator[_Kept]:
    """Yield the first ``limit`` orders of each client."""
    counts: Counter[str] = Counter()
    for key, order in orders:
        counts[order.client] += 1
        if counts[order.client] <= limit:
            yield key, order
