"""Orders on their way: reserved, perhaps sent, not yet settled in the ledger.

A bot that has just heard its order's id may cancel it before the ledger's next commit, and may cancel by its own
reference an order whose answer was lost. Both find it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from signer.model import Intent, OpenIntent, OrderRef, PlacedOrder


class Pending:
    """The orders of all reservations without a settled outcome."""

    def __init__(self, left_open: Iterable[OpenIntent] = ()) -> None:
        self._orders: dict[int, tuple[PlacedOrder, ...]] = {}
        self._changing: set[tuple[str, OrderRef]] = set()
        for open_intent in left_open:
            self.add(open_intent.reservation, open_intent.intent)
            self.begin_change(open_intent.intent)

    def __len__(self) -> int:
        """How many are not settled: new orders, and changes of orders."""
        return len(self._orders) + len(self._changing)

    def begin_change(self, intent: Intent) -> bool:
        """An edit or amend is about to be reserved; False if another of the same order is not settled yet.

        What a change may add is reckoned from what the order is. Two at once would both be reckoned from the same
        order and add up to more than was charged; so they go one after the other.
        """
        changed = {(intent.account, target) for target in intent.targets}
        if not self._changing.isdisjoint(changed):
            return False
        self._changing |= changed
        return True

    def end_change(self, intent: Intent) -> None:
        """The change is settled, or was not made; of a new order's intent nothing is to be ended."""
        self._changing -= {(intent.account, target) for target in intent.targets}

    def add(self, reservation: int, intent: Intent) -> None:
        """A reservation is made. What an edit or amend would change is not yet changed, so only new orders count."""
        if not intent.targets:
            self._orders[reservation] = tuple(
                PlacedOrder(intent.account, intent.client, "", order, intent.at_us) for order in intent.orders
            )

    def accepted(self, reservation: int, intent: Intent, txids: Sequence[str | None]) -> None:
        """The venue accepted: these are the orders now, by their ids."""
        self._orders[reservation] = tuple(
            PlacedOrder(intent.account, intent.client, txid, order, intent.at_us)
            for order, txid in zip(intent.orders, txids, strict=True)
            if txid is not None
        )

    def narrow(self, reservation: int, left: Intent) -> None:
        """Some orders of the reservation have reached the ledger; these are left."""
        if reservation in self._orders:
            self.add(reservation, left)

    def forget(self, reservation: int) -> None:
        """The ledger has it now, or it never came to be."""
        self._orders.pop(reservation, None)

    def names(self, account: str, ref: OrderRef) -> bool:
        """Whether ``ref`` names an order that the ledger does not know yet."""
        return bool(self.merged(account, ref, ()))

    def merged(self, account: str, ref: OrderRef, known: Sequence[PlacedOrder]) -> tuple[PlacedOrder, ...]:
        """Pending orders that ``ref`` names, newest first, then those ``known`` to the ledger and not among them."""
        pending = [
            placed
            for orders in reversed(self._orders.values())
            for placed in orders
            if placed.account == account and _names(ref, placed)
        ]
        txids = {placed.txid for placed in pending}
        return (*pending, *(placed for placed in known if placed.txid not in txids))


def _names(ref: OrderRef, placed: PlacedOrder) -> bool:
    order = placed.order
    value = {"txid": placed.txid, "userref": str(order.userref), "cl_ord_id": order.cl_ord_id}[ref.kind]
    return value == ref.value
