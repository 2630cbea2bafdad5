"""Lists every request that arrived at the sandbox, in order, for tests to compare with what a gateway says."""

from __future__ import annotations

import base64
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any, final

MOST_KEPT = 100_000
"""Most arrivals that are kept. Numbers go on, so they show how many older ones were forgotten."""


@dataclass(slots=True)
class Arrival:
    """One request and its result."""

    seq: int
    time: float
    """The time in Unix seconds, by the sandbox's clock."""
    method: str
    path: str
    """The request target as in the request line, with its query."""
    endpoint: str
    """``AddOrder``, ``Earn/Allocate``, ``Time``; empty for any other path."""
    headers: list[tuple[str, str]]
    source: str
    body: bytes = b""
    key: str | None = None
    """The name of the key that signed it, if signature and nonce were good."""
    fault: str | None = None
    acted: bool = False
    """Whether the engine executed the call, including ``validate``, which changes nothing."""
    answered: bool = False
    """Whether the sandbox is done with it. Until then ``status``, ``errors`` and ``answer`` have no meaning."""
    status: int | None = None
    """The HTTP status, None if the connection was closed or held instead."""
    errors: list[str] = field(default_factory=list)
    answer: str = ""
    """The answer's body as text. If the connection was closed or held, the body that would have been sent."""

    def to_json(self) -> dict[str, Any]:
        """Write it as the control interface lists it, with the raw body in base64 and as text."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "body"}
        encoded = base64.b64encode(self.body).decode()
        return {**fields, "body_base64": encoded, "body_text": self.body.decode("utf-8", "replace")}

    @classmethod
    def from_json(cls, listed: dict[str, Any]) -> Arrival:
        """Read what `to_json` wrote."""
        fields = {name: listed[name] for name in cls.__slots__ if name != "body"}
        fields["headers"] = [(name, value) for name, value in fields["headers"]]
        return cls(**fields, body=base64.b64decode(listed["body_base64"]))


@final
class Arrivals:
    """The list of arrivals. Safe for threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._kept: deque[Arrival] = deque(maxlen=MOST_KEPT)
        self._last = 0

    def begin(
        self,
        *,
        time: float,
        method: str,
        path: str,
        endpoint: str,
        headers: list[tuple[str, str]],
        source: str,
        fault: str | None,
    ) -> Arrival:
        """Add a request when its head has been read."""
        with self._changed:
            self._last += 1
            arrival = Arrival(self._last, time, method, path, endpoint, headers, source, fault=fault)
            self._kept.append(arrival)
            self._changed.notify_all()
            return arrival

    def done(self, arrival: Arrival) -> None:
        """Mark an arrival as answered and wake those who wait for it."""
        with self._changed:
            arrival.answered = True
            self._changed.notify_all()

    def listed(self, *, after: int = 0, endpoint: str = "", answered: bool = False) -> list[Arrival]:
        """List the arrivals above number ``after``, of ``endpoint`` if stated; if ``answered``, finished ones only."""
        with self._changed:
            return self._matching(after, endpoint, answered)

    def wait_for(self, *, after: int, endpoint: str, answered: bool, seconds: float) -> list[Arrival]:
        """Wait until `listed` finds an arrival, and list it; empty if ``seconds`` pass first."""
        with self._changed:
            self._changed.wait_for(lambda: self._matching(after, endpoint, answered), seconds)
            return self._matching(after, endpoint, answered)

    def clear(self) -> None:
        """Forget all arrivals. Their numbers go on."""
        with self._changed:
            self._kept.clear()

    def _matching(self, after: int, endpoint: str, answered: bool) -> list[Arrival]:
        return [
            arrival
            for arrival in self._kept
            if arrival.seq > after and endpoint in {"", arrival.endpoint} and (arrival.answered or not answered)
        ]
