"""Bounds the connections in all and by source, and keeps some for each listener."""

from __future__ import annotations

from collections import Counter
from typing import final


@final
class ConnectionShares:
    """Counts connections from their acceptance, before any handshake, until they have ended.

    Half of ``limit`` is kept for the listeners, in equal parts. No other listener can use a listener's part, so a flood
    at one leaves the others their connections. A source has at most ``of_source``.
    """

    def __init__(self, limit: int, of_source: int, listeners: int) -> None:
        self._limit = limit
        self._of_source = of_source
        self._kept = limit // 2 // listeners if listeners > 1 else 0
        self._at = [0] * listeners
        self._sources: Counter[str] = Counter()

    def refusal(self, listener: int, source: str | None) -> str:
        """Return the bound that one more connection would pass, as signer.toml names it; empty if none."""
        if source is not None and self._sources[source] >= self._of_source:
            return "connections_per_source"
        kept = sum(max(0, self._kept - used) for number, used in enumerate(self._at) if number != listener)
        return "max_connections" if sum(self._at) + kept >= self._limit else ""

    def enter(self, listener: int, source: str | None) -> ConnectionPlace:
        """Count a connection; ``source`` is None for a reverse proxy, whose connections are of many callers."""
        self._at[listener] += 1
        if source is not None:
            self._sources[source] += 1
        return ConnectionPlace(self, listener, source)

    def _leave(self, listener: int, source: str | None) -> None:
        self._at[listener] -= 1
        if source is not None:
            self._sources[source] -= 1
            if not self._sources[source]:
                del self._sources[source]

    @property
    def total(self) -> int:
        """Return how many connections there are."""
        return sum(self._at)


@final
class ConnectionPlace:
    """One connection's place. It is given back once, even if it is left twice."""

    __slots__ = ("_left", "_listener", "_shares", "_source")

    def __init__(self, shares: ConnectionShares, listener: int, source: str | None) -> None:
        self._shares = shares
        self._listener = listener
        self._source = source
        self._left = False

    def leave(self) -> None:
        """Give the place back, because the connection has ended."""
        if not self._left:
            self._left = True
            self._shares._leave(self._listener, self._source)
