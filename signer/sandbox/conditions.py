"""The conditions under which the exchange executes one call: lists and cancels that lag, orders that fill around it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from signer.sandbox.engine_faults import (
    EngineFault,
    Filled,
    LateCancel,
    LateRows,
    LateTrades,
    MovedRows,
    ShuffledRows,
    StaleRows,
)

Row = TypeVar("Row")


@dataclass(slots=True)
class Conditions:
    """What one call meets. The defaults are an exchange without faults."""

    rows_late_s: float = 0.0
    """The age in seconds from which a row is listed."""
    trades_late_s: float = 0.0
    """The age in seconds from which an order's row lists a fill."""
    stale_s: float = 0.0
    """How long ago orders were as they are listed."""
    moved: int = 0
    """The number of rows by which the list grew since the page before."""
    seed: int | None = None
    """Decides the order of a page's rows; None leaves them newest first."""
    filled_before: Decimal | None = None
    """The share of the orders concerned that fills before the exchange acts."""
    filled_after: Decimal | None = None
    """The share that fills after it acted."""
    cancel_late_s: float = 0.0
    """How long a cancelled order can still trade."""

    def listed(self, rows: Iterable[Row], at: Callable[[Row], float], now: float) -> list[Row]:
        """Answer the rows that are listed already; ``at`` answers a row's time."""
        return _older(rows, at, now, self.rows_late_s)

    def listed_fills(self, fills: Iterable[Row], at: Callable[[Row], float], now: float) -> list[Row]:
        """Answer the fills of an order that its row lists already."""
        return _older(fills, at, now, self.trades_late_s)

    def arranged(self, rows: list[Row]) -> list[Row]:
        """Answer a page's rows in the order in which the call gets them."""
        if self.seed is not None:
            random.Random(self.seed).shuffle(rows)  # noqa: S311 - repeatable
        return rows


def _older(rows: Iterable[Row], at: Callable[[Row], float], now: float, seconds: float) -> list[Row]:
    return [row for row in rows if not seconds or at(row) <= now - seconds]


def conditions(faults: Iterable[EngineFault]) -> Conditions:
    """Answer what a call meets that meets these faults. Of two of a kind, the later one counts."""
    met = Conditions()
    for fault in faults:
        match fault:
            case LateRows():
                met.rows_late_s = fault.seconds
            case LateTrades():
                met.trades_late_s = fault.seconds
            case StaleRows():
                met.stale_s = fault.seconds
            case ShuffledRows():
                met.seed = fault.seed
            case MovedRows():
                met.moved = fault.rows
            case Filled(moment="before"):
                met.filled_before = fault.share
            case Filled():
                met.filled_after = fault.share
            case LateCancel():
                met.cancel_late_s = fault.seconds
    return met
