"""The orders that the book knows, and which of them a name means."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, final

from signer.book.reading import BookOrder
from signer.model import OrderRef, RefKind, one_name

OrderKey: TypeAlias = tuple[str, str]
"""Account and venue id."""

_Name: TypeAlias = tuple[str, str, str, bool]
"""Account, kind of name, name, and whether the orders are closed."""

_FIELDS: Final = (("client-tag", "client_tag"), ("client-id", "client_id"), ("own", "own"))


@final
class BookOrders:
    """The orders that may be open, and those closed ones that are kept nowhere else yet."""

    def __init__(self) -> None:
        self.open: dict[OrderKey, BookOrder] = {}
        """The orders that are not known to be closed, oldest first."""
        self.closed: dict[OrderKey, BookOrder] = {}
        """The orders that closed since the last checkpoint."""
        self._named: dict[_Name, dict[str, None]] = {}
        """The venue ids of the orders that bear each name, oldest first."""

    def get(self, key: OrderKey) -> BookOrder | None:
        """Return an order, open or closed; None if it is not in memory."""
        return self.open.get(key) or self.closed.get(key)

    def put(self, key: OrderKey, order: BookOrder) -> None:
        """Keep an order as it is now."""
        if self.get(key) is not None:
            self._forget_names(key)
            (self.open if order.closed else self.closed).pop(key, None)
        (self.closed if order.closed else self.open)[key] = order
        for name in _names(key[0], order):
            self._named.setdefault(name, {})[key[1]] = None

    def close(self, key: OrderKey) -> bool:
        """Count an order as closed. Return whether it was open."""
        order = self.open.get(key)
        if order is not None:
            self.put(key, order._replace(closed=True))
        return order is not None

    def let_go(self, keys: Collection[OrderKey]) -> None:
        """Forget the closed ones of these orders, because a checkpoint has them."""
        for key in keys:
            if key in self.closed:
                self._forget_names(key)
                del self.closed[key]

    def bearing(self, account: str, ref: OrderRef) -> Sequence[tuple[OrderKey, BookOrder]]:
        """Return the open orders that a name means, newest first; if there are none, the closed ones in memory."""
        if ref.kind == "venue-id":
            found = self.get((account, ref.value))
            return [] if found is None else [((account, ref.value), found)]
        for closed, orders in ((False, self.open), (True, self.closed)):
            venue_ids = self._named.get((account, ref.kind, one_name(ref.value), closed))
            if venue_ids:
                bearers = [((account, venue_id), orders[account, venue_id]) for venue_id in reversed(venue_ids)]
                # One that was amended, or is listed again, was put last and is no newer for that.
                return sorted(bearers, key=lambda one: one[1].placed_us, reverse=True)
        return []

    def is_named(self, account: str, kind: RefKind, name: str) -> bool:
        """Return whether an open order has this name."""
        return (account, kind, name, False) in self._named

    def of(self, account: str, client: str = "") -> Iterator[tuple[OrderKey, BookOrder]]:
        """Yield the open orders of a client on an account (of any, where empty), newest first."""
        for key, one in reversed(self.open.items()):
            if account in {"", key[0]} and client in {"", one.client}:
                yield key, one

    def _forget_names(self, key: OrderKey) -> None:
        known = self.get(key)
        for name in _names(key[0], known) if known is not None else ():
            bearers = self._named.get(name, {})
            bearers.pop(key[1], None)
            if not bearers:
                self._named.pop(name, None)


def _names(account: str, order: BookOrder) -> Iterator[_Name]:
    """Yield the names that an order bears."""
    document: Mapping[str, object] = order.order
    for kind, field in _FIELDS:
        value = document.get(field)
        if isinstance(value, str):
            yield account, kind, one_name(value) if kind == "client-id" else value, order.closed
