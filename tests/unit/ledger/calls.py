"""Calls and a clock for the ledger's tests."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

from signer.contracts import Ledger
from signer.model import Charge, Intent, Order, Price

DAY_S = 86_400
START_US = 1_700_000_000_000_000


class SetClock:
    """A clock that stands where the test puts it."""

    def __init__(self) -> None:
        self.us = START_US

    def now_us(self) -> int:
        """Where it stands."""
        return self.us

    def monotonic(self) -> float:
        """The event loop's time."""
        return asyncio.get_running_loop().time()


def order(**fields: Any) -> Order:
    """A small limit order with ``fields`` set."""
    return replace(Order("XXBTZUSD", "buy", "limit", Decimal("0.01"), Price(Decimal("61000.1"))), **fields)


def charge(amount: str, *, cap: str = "notional", limit: str = "100", unit: str = "USD", leg: int = 0) -> Charge:
    """A charge of the client ``bot`` against a cap of a day."""
    return Charge(cap, "client/bot", unit, DAY_S, Decimal(limit), Decimal(amount), leg)


def intent(*charges: Charge, orders: tuple[Order, ...] = (), client: str = "bot", endpoint: str = "AddOrder") -> Intent:
    """A call on the account ``main`` with these charges."""
    return Intent(client, "main", "trading", endpoint, orders, (), charges, "r1", START_US)


async def used(ledger: Ledger, cap: str = "notional") -> Decimal:
    """What the ledger says is used of a cap of ``bot``."""
    return {usage.cap: usage.used for usage in await ledger.usage("client/bot")}.get(cap, Decimal(0))
