"""Faults that a test orders by endpoint and count: the ways in which a real exchange lets its callers down."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, final

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter

EVERY = "*"
"""Stands for every endpoint, public ones too."""


class _Fault(BaseModel):
    """What all faults have: ``count`` requests to ``endpoint`` meet it, after ``skip`` that do not.

    ``acts`` says whether the exchange carries the request out although the caller gets no proper answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    endpoint: str = EVERY
    count: PositiveInt = 1
    skip: Annotated[int, Field(ge=0)] = 0


class Latency(_Fault):
    """The request arrives ``seconds`` late, and is then carried out and answered, even if the caller has gone."""

    kind: Literal["latency"] = "latency"
    acts: Literal[True] = True
    seconds: Annotated[float, Field(gt=0, le=3600)]


class Hang(_Fault):
    """No answer, and the connection stays open until the faults are cleared."""

    kind: Literal["hang"] = "hang"
    acts: bool = False


class CloseBeforeReading(_Fault):
    """The connection is closed before the body is read."""

    kind: Literal["close-before-reading"] = "close-before-reading"
    acts: Literal[False] = False


class CloseAfterActing(_Fault):
    """The order is accepted, then the connection is closed with no answer."""

    kind: Literal["close-after-acting"] = "close-after-acting"
    acts: Literal[True] = True


class CloseMidAnswer(_Fault):
    """The connection is closed in the middle of the answer's body."""

    kind: Literal["close-mid-answer"] = "close-mid-answer"
    acts: bool = True


class Truncated(_Fault):
    """A whole HTTP answer whose JSON breaks off in the middle."""

    kind: Literal["truncated"] = "truncated"
    acts: bool = True


class Oversized(_Fault):
    """A valid JSON answer of ``size`` bytes, without a Content-Length."""

    kind: Literal["oversized"] = "oversized"
    acts: bool = True
    size: Annotated[int, Field(ge=1, le=2**31)] = 64 * 2**20


class NotJson(_Fault):
    """An HTML page with status 200, as a challenge of the edge network would be."""

    kind: Literal["not-json"] = "not-json"
    acts: bool = False


class Status(_Fault):
    """An HTTP error page, as the edge network sends while the exchange may or may not have acted."""

    kind: Literal["status"] = "status"
    acts: bool = False
    status: Literal[403, 429, 500, 502, 503, 504, 520]


class Redirect(_Fault):
    """A redirect elsewhere, which a signed request must never follow."""

    kind: Literal["redirect"] = "redirect"
    acts: bool = False
    status: Literal[301, 302, 307, 308] = 307
    location: str = "/redirected"


class Errors(_Fault):
    """An ``error`` array of Kraken's with HTTP 200 instead of the proper answer."""

    kind: Literal["errors"] = "errors"
    acts: bool = False
    errors: Annotated[tuple[str, ...], Field(min_length=1)]


Fault: TypeAlias = (
    Latency
    | Hang
    | CloseBeforeReading
    | CloseAfterActing
    | CloseMidAnswer
    | Truncated
    | Oversized
    | NotJson
    | Status
    | Redirect
    | Errors
)

FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="kind")])
"""Reads a fault from JSON; refuses unknown kinds and fields by name."""


@dataclass
class _Ordered:
    number: int
    fault: Fault
    seen: int = 0
    met: int = 0

    def matches(self, endpoint: str) -> bool:
        return self.fault.endpoint in {EVERY, endpoint}

    @property
    def due(self) -> bool:
        return self.seen > self.fault.skip and self.met < self.fault.count


@final
@dataclass(frozen=True, slots=True)
class Met:
    """A fault as one request meets it."""

    fault: Fault
    _cleared: threading.Event

    def wait(self, seconds: float | None) -> None:
        """Sit out a latency, or (None) a hang; clearing the faults since ends both."""
        self._cleared.wait(seconds)


@final
class Faults:
    """The faults in force. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ordered: list[_Ordered] = []
        self._numbers = 0
        self._cleared = threading.Event()

    def add(self, fault: Fault) -> int:
        """Put a fault in force; its number."""
        with self._lock:
            self._numbers += 1
            self._ordered.append(_Ordered(self._numbers, fault))
            return self._numbers

    def take(self, endpoint: str) -> Met | None:
        """What a request to ``endpoint`` meets: of the faults that are due, the one ordered first."""
        with self._lock:
            matching = [ordered for ordered in self._ordered if ordered.matches(endpoint)]
            for ordered in matching:
                ordered.seen += 1
            due = next((ordered for ordered in matching if ordered.due), None)
            if due is None:
                return None
            due.met += 1
            return Met(due.fault, self._cleared)

    def clear(self) -> None:
        """Forget all faults and let go of every request that one holds."""
        with self._lock:
            self._ordered = []
            self._cleared.set()
            self._cleared = threading.Event()

    def listed(self) -> list[dict[str, object]]:
        """The faults in the order they were given, with how many requests have met each."""
        with self._lock:
            return [
                {"number": ordered.number, "met": ordered.met, **ordered.fault.model_dump(mode="json")}
                for ordered in self._ordered
            ]
