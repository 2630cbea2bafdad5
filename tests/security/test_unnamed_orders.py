"""Threat: a brake says that all is closed while an order may be open that nobody has named.

*Must hold* 11: a brake says truthfully what it could not do.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from signer.gateway.outcomes import Pending
from signer.gateway.snapshot import Snapshot
from signer.model import OpenIntent, PlacedOrder
from signer.serving.admin import Operator
from signer.serving.clearing import Clearing
from signer.serving.clock import SystemClock
from signer.venues import open_venue
from tests.unit.ledger.calls import intent, order


class _NothingOpen:
    """Finds no order that has an id."""

    async def settle_all(self, *_: object) -> None:
        """Settle nothing."""

    async def open_orders(self, *_: object) -> Sequence[PlacedOrder]:
        """Return none."""
        return ()


async def test_an_order_without_a_name_is_told_as_unsettled() -> None:
    """A brake tells of each order without an id, also of one that bears no name."""
    orders = (order(), order(client_tag="7"), order(client_id="mine"))
    pending = Pending([OpenIntent(1, intent(orders=orders), unknown=True)])
    account = cast(Any, SimpleNamespace(name="main", venue=open_venue("kraken")))
    nothing: Any = _NothingOpen()
    snapshot = Snapshot({}, {}, {"main": account})
    clearing = Clearing(lambda: snapshot, nothing, pending, nothing, clock=SystemClock(), watch=nothing)
    told = await clearing.verbs()["cancel_orders"](Operator(0, "root"), {"client": "bot", "account": ""})
    assert told == {"count": 0, "left": {}, "unsettled": ["no name", "userref 7", "mine"]}
