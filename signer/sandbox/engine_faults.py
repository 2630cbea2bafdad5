"""Faults inside the exchange: lists that lag behind, and orders that change around a call.

The answer that the caller gets is a proper one. One request can meet several of these, and one of the wire's besides.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, field_validator

from signer.sandbox.fault_settings import EVERY, FaultSettings

_ORDER_LISTS = frozenset({"OpenOrders", "ClosedOrders", "QueryOrders"})
_CHANGES = frozenset(
    {"AddOrder", "AddOrderBatch", "AmendOrder", "EditOrder", "CancelOrder", "CancelOrderBatch", "CancelAll"}
)
_PAGED = frozenset({"ClosedOrders", "TradesHistory", "Ledgers"})


class _EngineFault(FaultSettings):
    acts: Literal[True] = True
    meets_only: ClassVar[frozenset[str]]
    """The endpoints on which it has an effect."""

    def meets(self, endpoint: str) -> bool:
        """Answer whether a request to this endpoint can meet it."""
        return super().meets(endpoint) and endpoint in self.meets_only

    @field_validator("endpoint")
    @classmethod
    def _has_an_effect(cls, endpoint: str) -> str:
        if endpoint != EVERY and endpoint not in cls.meets_only:
            raise ValueError(f"no effect on {endpoint!r}; choose {EVERY} or one of {', '.join(sorted(cls.meets_only))}")
        return endpoint


class LateRows(_EngineFault):
    """Rows of the last ``seconds`` are not listed yet: orders by their opening, or in ClosedOrders by their end."""

    kind: Literal["late-rows"] = "late-rows"
    meets_only = _ORDER_LISTS | _PAGED | {"QueryTrades", "QueryLedgers"}
    seconds: Annotated[float, Field(gt=0)]


class LateTrades(_EngineFault):
    """The ``trades`` of an order lack the fills of the last ``seconds``, although its ``vol_exec`` has them."""

    kind: Literal["late-trades"] = "late-trades"
    meets_only = _ORDER_LISTS
    seconds: Annotated[float, Field(gt=0)]


class StaleRows(_EngineFault):
    """Orders are listed as they were ``seconds`` ago, as by a copy of the books that lags behind.

    An order that has ended since is still open, what filled since is not in its ``vol_exec``, and an amend is not seen.
    """

    kind: Literal["stale-rows"] = "stale-rows"
    meets_only = _ORDER_LISTS
    seconds: Annotated[float, Field(gt=0)]


class ShuffledRows(_EngineFault):
    """The rows of a page come in an order that the ``seed`` decides, instead of newest first."""

    kind: Literal["shuffled-rows"] = "shuffled-rows"
    meets_only = _PAGED | {"OpenOrders"}


class MovedRows(_EngineFault):
    """A page with an ``ofs`` is that of a list which has grown by so many ``rows`` meanwhile, or shrunk if negative.

    So the end of the page before is listed again, or rows are on neither page.
    """

    kind: Literal["moved-rows"] = "moved-rows"
    meets_only = _PAGED
    rows: int = 1

    @field_validator("rows")
    @classmethod
    def _moved(cls, rows: int) -> int:
        if not rows:
            raise ValueError("0 moves nothing; choose another number")
        return rows


class Filled(_EngineFault):
    """Resting orders fill at their limits, each by a ``share`` of what is left of it.

    Right before the exchange acts on a call, those orders fill that it names; right after, before its answer leaves,
    those that it placed, or else named. A call that names and places none concerns all open orders.
    """

    kind: Literal["filled"] = "filled"
    meets_only = _CHANGES | _ORDER_LISTS | {"TradesHistory"}
    moment: Literal["before", "after"]
    share: Annotated[Decimal, Field(gt=0, le=1)] = Decimal(1)


class LateCancel(_EngineFault):
    """A cancel is answered at once, with ``pending``, and its orders can trade for ``seconds`` more."""

    kind: Literal["late-cancel"] = "late-cancel"
    meets_only = frozenset({"CancelOrder", "CancelOrderBatch", "CancelAll"})
    seconds: Annotated[float, Field(gt=0)]


EngineFault: TypeAlias = LateRows | LateTrades | StaleRows | ShuffledRows | MovedRows | Filled | LateCancel
