"""Limits how often each source may do something, by token buckets in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar, final

from signer.contracts import Clock

SOURCES = 4096
Source = TypeVar("Source", bound=Hashable)


@final
class SourceRate(Generic[Source]):
    """Allows each source ``burst`` at once, then ``per_second``. The source longest unseen is forgotten first."""

    def __init__(self, per_second: float, burst: int, clock: Clock) -> None:
        self._rate = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[Source, tuple[float, float]] = OrderedDict()

    def take(self, source: Source) -> bool:
        """Return whether one more of ``source`` is within its rate. A refused one costs no token."""
        tokens = self._tokens(source)
        allowed = tokens >= 1
        self._buckets[source] = (tokens - 1 if allowed else tokens, self._clock.monotonic())
        self._buckets.move_to_end(source)
        if len(self._buckets) > SOURCES:
            self._buckets.popitem(last=False)
        return allowed

    def spent(self, source: Source) -> bool:
        """Return whether `take` would refuse now. The question itself changes nothing."""
        return source in self._buckets and self._tokens(source) < 1

    def _tokens(self, source: Source) -> float:
        now = self._clock.monotonic()
        tokens, since = self._buckets.get(source, (float(self._burst), now))
        return min(self._burst, tokens + (now - since) * self._rate)
