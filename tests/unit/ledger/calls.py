"""Calls, a clock and a worker for tests of what is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

from signer.contracts import Known
from signer.model import Charge, Intent, Order, Price

T = TypeVar("T")

DAY_S = 86_400
START_US = 1_700_000_000_000_000


class StillClock:
    """A wall clock that stands where the test puts it, while the event loop's time goes on."""

    def __init__(self) -> None:
        self.us = START_US

    def now_us(self) -> int:
        """Return where the clock stands."""
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
    return Intent(client, "main", endpoint, orders, (), charges, "r1", START_US)


def used(known: Known, cap: str = "notional") -> Decimal:
    """What is used of a cap of ``bot``."""
    return {usage.cap: usage.used for usage in known.usage("client/bot")}.get(cap, Decimal(0))


class InlineWorker:
    """A worker that does each job at once, where it was asked for."""

    def run(self, job: Callable[[], T]) -> Awaitable[T]:
        """The job's result, ready."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            answer.set_result(job())
        except Exception as error:  # the caller's to see
            answer.set_exception(error)
        return answer
