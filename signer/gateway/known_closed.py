"""Orders that the venue has said are closed, so that another cancel of one need not be sent.

A bot that cancels a dead order again and again would use up turns and points that others need. In memory; what the
ledger has marked as closed is known besides (`signer.model.PlacedOrder.closed`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import final

from signer.model import OrderRef, PlacedOrder

MOST = 20_000
"""Orders that are kept in mind; the oldest are forgotten first, and their cancels are sent again."""
YOUNG_US = 120_000_000
"""The venue may not know or list an order that is younger than this, though it is open."""


@final
class KnownClosed:
    """What the venue's answers to cancels have told."""

    def __init__(self) -> None:
        self._heard_us: OrderedDict[tuple[str, str], int | None] = OrderedDict()
        """When the venue did not know the order; None if it said that it cancelled it."""

    def note(self, account: str, orders: Iterable[OrderRef], *, cancelled: bool, now_us: int) -> None:
        """The venue has ``cancelled`` these, or knows no open order of their names."""
        for order in orders:
            if order.kind == "venue-id":
                self._heard_us[account, order.value] = None if cancelled else now_us
        while len(self._heard_us) > MOST:
            self._heard_us.popitem(last=False)

    def has(self, placed: PlacedOrder) -> bool:
        """Whether the order is known to be closed."""
        heard_us = self._heard_us.get((placed.account, placed.venue_id), 0)
        return placed.closed or heard_us is None or heard_us - placed.placed_us >= YOUNG_US
