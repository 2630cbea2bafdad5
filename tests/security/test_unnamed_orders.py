"""Threat: a brake says that all is closed while an order may be open that nobody has named.

*Must hold* 11: a brake says truthfully what it could not do.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from signer.book.book import Book
from signer.book.questions import BookQuestions
from signer.gateway.aiming import Aiming
from signer.gateway.snapshot import Snapshot
from signer.model.wire import as_json
from signer.serving.admin import Operator
from signer.serving.clearing import Clearing
from signer.serving.clock import SystemClock
from signer.venues import open_venue
from tests.unit.ledger.calls import order


class _NothingFound:
    """Look-ups that find nothing out."""

    async def look_up(self, account: str) -> None:
        """Find nothing."""


async def test_an_order_without_a_name_is_told_as_unsettled() -> None:
    """A brake tells of each order without an id, also of one that bears no name."""
    book, nothing = Book(), cast(Any, None)
    orders = [as_json(one) for one in (order(), order(client_tag="7"), order(client_id="mine"))]
    held: dict[str, Any] = {"reservation": 1, "at": 1, "orders": orders, "charges": [], "targets": []}
    book.apply({"kind": "intent", "id": "r1", "client": "bot", "account": "main", **held})
    book.apply({"kind": "opened", "at": 2})
    journal = cast(Any, BookQuestions(book, None, lambda: 5))
    aiming = Aiming(journal, _NothingFound(), SystemClock())
    account = cast(Any, SimpleNamespace(name="main", venue=open_venue("kraken")))
    snapshot = Snapshot({}, {}, {"main": account})
    clearing = Clearing(lambda: snapshot, aiming, journal, clock=SystemClock(), watch=nothing)
    told = await clearing.verbs()["cancel_orders"](Operator(0, "root"), {"scope": ["bot", "", "", ""]})
    assert told == {"count": 0, "left": {}, "unsettled": ["no name", "userref 7", "mine"]}
