"""Faults that a test sets by endpoint and count, as real exchanges show them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, final

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter

EVERY = "*"
"""Matches every endpoint, including public ones."""


class _Fault(BaseModel):
    """The settings of all faults: ``count`` requests to ``endpoint`` meet it, after ``skip`` requests that do not.

    ``acts`` says whether the exchange executes the request although the caller gets no proper answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    endpoint: str = EVERY
    count: PositiveInt = 1
    skip: Annotated[int, Field(ge=0)] = 0


class Latency(_Fault):
    """The request arrives ``seconds`` late and is then executed and answered, even if the caller has gone."""

    kind: Literal["latency"] = "latency"
    acts: Literal[True] = True
    seconds: Annotated[float, Field(gt=0, le=3600)]


class Hang(_Fault):
    """No answer comes, and the connection stays open until the faults are cleared."""

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
    """The HTTP answer is complete, but its JSON ends in the middle."""

    kind: Literal["truncated"] = "truncated"
    acts: bool = True


class Oversized(_Fault):
    """The answer is valid JSON of ``size`` bytes, without a Content-Length."""

    kind: Literal["oversized"] = "oversized"
    acts: bool = True
    size: Annotated[int, Field(ge=1, le=2**31)] = 64 * 2**20


class NotJson(_Fault):
    """The answer is an HTML page with status 200, like a challenge of the edge network."""

    kind: Literal["not-json"] = "not-json"
    acts: bool = False


class Status(_Fault):
    """The answer is an HTTP error page, like the edge network's. The exchange may have acted or not."""

    kind: Literal["status"] = "status"
    acts: bool = False
    status: Literal[403, 429, 500, 502, 503, 504, 520]


class Redirect(_Fault):
    """The answer is a redirect to another place, which a signed request must never follow."""

    kind: Literal["redirect"] = "redirect"
    acts: bool = False
    status: Literal[301, 302, 307, 308] = 307
    location: str = "/redirected"


class Errors(_Fault):
    """The answer is Kraken's ``error`` array with HTTP 200 instead of the proper answer."""

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
"""Reads a fault from JSON. An error names an unknown kind or field."""


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
    """A fault that one request meets."""

    fault: Fault
    _cleared: threading.Event

    def wait(self, seconds: float | None) -> None:
        """Wait for ``seconds``, or without end if None. Clearing the faults ends either."""
        self._cleared.wait(seconds)


@final
class Faults:
    """Holds the faults in force. It is safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ordered: list[_Ordered] = []
        self._numbers = 0
        self._cleared = threading.Event()

    def add(self, fault: Fault) -> int:
        """Set a fault and answer its number."""
        with self._lock:
            self._numbers += 1
            self._ordered.append(_Ordered(self._numbers, fault))
            return self._numbers

    def take(self, endpoint: str) -> Met | None:
        """Answer the fault that a request to ``endpoint`` meets: the first one set that is due."""
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
        """Remove all faults and release every request that one holds."""
        with self._lock:
            self._ordered = []
            self._cleared.set()
            self._cleared = threading.Event()

    def listed(self) -> list[dict[str, object]]:
        """List the faults in the order in which they were set, each with the number of requests that met it."""
        with self._lock:
            return [
                {"number": ordered.number, "met": ordered.met, **ordered.fault.model_dump(mode="json")}
                for ordered in self._ordered
            ]
