"""A record that the log has taken and not yet made durable, and the caller who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from signer.errors import AuditError
from signer.model import Json

Kind: TypeAlias = Literal["begin", "fact", "note"]
Record: TypeAlias = Mapping[str, Json]

LATE_S: Final = 5.0
"""A begin that is not durable within this is given up, and its call is not sent. Nobody waits longer for a fact."""

URGENT_S: Final = 1.0
"""Nobody waits longer for an urgent fact: a cancel goes out without it."""


@dataclass(slots=True, eq=False)
class Taken:
    """A record that was taken, until it is durable."""

    record: Record
    kind: Kind
    at: float
    """The monotonic time in seconds."""
    done: asyncio.Future[None] | None = None
    """Tells the caller who waits, if one does."""
    urgent: bool = False
    number: int = 0
    """The place among all that were taken, counted from 1."""

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for it."""
        return self.done is not None and not self.done.done()

    @property
    def holds_nothing(self) -> bool:
        """Whether it is of a call that holds nothing, as a cancel: the book is the same without it."""
        kind, record = self.record.get("kind"), self.record
        return (kind == "intent" and "reservation" not in record) or (kind == "outcome" and "at" not in record)

    @property
    def patience_s(self) -> float:
        """How long its caller waits, in seconds."""
        return URGENT_S if self.urgent else LATE_S

    def is_late(self, now: float) -> bool:
        """Return whether its caller has waited for too long at that monotonic time."""
        return now - self.at >= self.patience_s

    async def wait(self) -> None:
        """Wait until it is durable. Raises `AuditError` if it is not."""
        assert self.done is not None  # noqa: S101 - made for a caller who waits
        await self.done

    def tell(self, error: AuditError | None = None) -> None:
        """Tell the caller that it is durable, or why not."""
        if self.done is None or self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
