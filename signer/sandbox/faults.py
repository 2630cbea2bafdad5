"""Faults that a test sets by endpoint and count, as real exchanges show them; those of the wire are defined here."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias, final

from pydantic import Field, TypeAdapter

from signer.sandbox.engine_faults import EngineFault
from signer.sandbox.fault_settings import FaultSettings


class Latency(FaultSettings):
    """The request arrives ``seconds`` late and is then executed and answered, even if the caller has gone."""

    kind: Literal["latency"] = "latency"
    acts: Literal[True] = True
    seconds: Annotated[float, Field(gt=0, le=3600)]


class LateAnswer(FaultSettings):
    """The exchange acts at once, and its answer leaves ``seconds`` later."""

    kind: Literal["late-answer"] = "late-answer"
    acts: Literal[True] = True
    seconds: Annotated[float, Field(gt=0, le=3600)]


class Hang(FaultSettings):
    """No answer comes, and the connection stays open until the faults are cleared."""

    kind: Literal["hang"] = "hang"
    acts: bool = False


class CloseBeforeReading(FaultSettings):
    """The connection is closed before the body is read."""

    kind: Literal["close-before-reading"] = "close-before-reading"
    acts: Literal[False] = False


class CloseAfterActing(FaultSettings):
    """The order is accepted, then the connection is closed with no answer."""

    kind: Literal["close-after-acting"] = "close-after-acting"
    acts: Literal[True] = True


class CloseMidAnswer(FaultSettings):
    """The connection is closed in the middle of the answer's body."""

    kind: Literal["close-mid-answer"] = "close-mid-answer"
    acts: bool = True


class Truncated(FaultSettings):
    """The HTTP answer is complete, but its JSON ends in the middle."""

    kind: Literal["truncated"] = "truncated"
    acts: bool = True


class Oversized(FaultSettings):
    """The answer is valid JSON of ``size`` bytes, without a Content-Length."""

    kind: Literal["oversized"] = "oversized"
    acts: bool = True
    size: Annotated[int, Field(ge=1, le=2**31)] = 64 * 2**20


class NotJson(FaultSettings):
    """The answer is an HTML page with status 200, like a challenge of the edge network."""

    kind: Literal["not-json"] = "not-json"
    acts: bool = False


class Status(FaultSettings):
    """The answer is an HTTP error page, like the edge network's. The exchange may have acted or not."""

    kind: Literal["status"] = "status"
    acts: bool = False
    status: Literal[403, 429, 500, 502, 503, 504, 520]


class Redirect(FaultSettings):
    """The answer is a redirect to another place, which a signed request must never follow."""

    kind: Literal["redirect"] = "redirect"
    acts: bool = False
    status: Literal[301, 302, 307, 308] = 307
    location: str = "/redirected"


class Errors(FaultSettings):
    """The answer is Kraken's ``error`` array with HTTP 200 instead of the proper answer."""

    kind: Literal["errors"] = "errors"
    acts: bool = False
    errors: Annotated[tuple[str, ...], Field(min_length=1)]


WireFault: TypeAlias = (
    Latency
    | LateAnswer
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

Fault: TypeAlias = WireFault | EngineFault

FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="kind")])
"""Reads a fault from JSON. An error names an unknown kind or field."""


@dataclass
class _Ordered:
    number: int
    fault: Fault
    seen: int = 0
    met: int = 0
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.fault.seed)  # noqa: S311 - repeatable

    def is_due(self) -> bool:
        """Answer whether the request that was just counted can meet it."""
        if self.seen <= self.fault.skip or self.met >= self.fault.count:
            return False
        return self.fault.chance == 1.0 or self.random.random() < self.fault.chance


@final
@dataclass(frozen=True, slots=True)
class Met:
    """The faults that one request meets: at most one of the wire, and each of the exchange that is due."""

    fault: WireFault | None
    engine: tuple[EngineFault, ...]
    _cleared: threading.Event

    @property
    def kinds(self) -> str:
        """The kinds of the faults, as an arrival lists them."""
        return ", ".join(fault.kind for fault in (self.fault, *self.engine) if fault is not None)

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
        """Answer the faults that a request to ``endpoint`` meets. Of the wire's it meets the first one that is due."""
        with self._lock:
            matching = [ordered for ordered in self._ordered if ordered.fault.meets(endpoint)]
            for ordered in matching:
                ordered.seen += 1
            return self._met([ordered for ordered in matching if ordered.is_due()])

    def _met(self, due: list[_Ordered]) -> Met | None:
        wire: WireFault | None = None
        engine: list[EngineFault] = []
        for ordered in due:
            if isinstance(ordered.fault, EngineFault):
                engine.append(ordered.fault)
            elif wire is None:
                wire = ordered.fault
            else:
                continue
            ordered.met += 1
        return Met(wire, tuple(engine), self._cleared) if due else None

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
