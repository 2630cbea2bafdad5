"""Orders whose settlement is still on its way to the disk.

A settlement may ride along with a later commit, so a bot can cancel an order that the database does not know yet; it
must be known to be the bot's own all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from signer.ledger.orders import names
from signer.model import Intent, OrderRef, PlacedOrder


class Fresh:
    """Reservations made by this process that have no stored outcome yet, and the orders being settled."""

    def __init__(self) -> None:
        self._held: dict[int, Intent] = {}
        self._settling: dict[int, Sequence[PlacedOrder]] = {}

    def reserved(self, reservation: int, intent: Intent) -> None:
        """Remember what a reservation is about."""
        self._held[reservation] = intent

    def settling(self, reservation: int, txids: Sequence[str | None], now_us: int) -> None:
        """Its orders were accepted; the database will know soon."""
        if (intent := self._held.get(reservation)) is not None:
            self._settling[reservation] = placed_by(intent, txids, now_us)

    def stored(self, reservation: int) -> None:
        """The database knows: forget."""
        self._held.pop(reservation, None)
        self._settling.pop(reservation, None)

    def over(self, stored: Sequence[PlacedOrder], account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """``stored``, with the fresh orders that ``ref`` names in front, or in the place of the same order."""
        fresh = [
            placed
            for orders in reversed(self._settling.values())
            for placed in orders
            if placed.account == account and names(ref, placed.txid, placed.order)
        ]
        if not fresh:
            return stored
        known = {placed.txid: placed for placed in stored}
        merged = {new.txid: replace(known.get(new.txid, new), order=new.order) for new in reversed(fresh)}
        return [*reversed(merged.values()), *(old for old in stored if old.txid not in merged)]


def placed_by(intent: Intent, txids: Sequence[str | None], now_us: int) -> Sequence[PlacedOrder]:
    """The orders of ``intent`` that the venue accepted."""
    return [
        PlacedOrder(intent.account, intent.client, txid, order, now_us)
        for order, txid in zip(intent.orders, txids, strict=False)
        if txid is not None
    ]
