"""Public calls: passed through by allowlist, bounded in rate for each source address. No secret is near them."""

from __future__ import annotations

from collections import OrderedDict

from signer.contracts import Clock, Upstream, Venue
from signer.errors import Refused, VenueError
from signer.model import Request, Response

BURST_S = 10
SOURCES = 4096
ANSWER_S = 10.0
JSON = "application/json"


class SourceRate:
    """A token bucket for each source address; bounded memory, the address longest unseen is forgotten first."""

    def __init__(self, per_second: int, clock: Clock) -> None:
        self._rate = per_second
        self._most = per_second * BURST_S
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, source: str) -> bool:
        """Whether one more call of ``source`` is within its rate."""
        now = self._clock.monotonic()
        tokens, since = self._buckets.pop(source, (float(self._most), now))
        tokens = min(self._most, tokens + (now - since) * self._rate)
        allowed = tokens >= 1
        self._buckets[source] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > SOURCES:
            self._buckets.popitem(last=False)
        return allowed


class PublicCalls:
    """Answers public calls from the venue, in requests that we build ourselves."""

    def __init__(self, venue: Venue, upstream: Upstream, rate: SourceRate, clock: Clock) -> None:
        self.venue = venue
        self.upstream = upstream
        self._rate = rate
        self._clock = clock

    async def answer(self, request: Request) -> Response:
        """One public call."""
        try:
            return await self._relay(request)
        except Refused as refused:
            return Response(200, JSON, self.venue.refusal(refused), ours=True)

    async def _relay(self, request: Request) -> Response:
        if not self._rate.take(request.source):
            raise Refused("EAPI:Rate limit exceeded", "EGeneral:Policy public calls from this address come too fast")
        wire = self.venue.public_request(request)
        try:
            answer = await self.upstream.send(wire, self._clock.monotonic() + ANSWER_S)
        except VenueError as error:
            raise self.venue.not_served("the exchange cannot be reached") from error
        if answer.status != 200:
            raise self.venue.not_served(f"the exchange answered HTTP {answer.status}")
        return Response(200, answer.content_type, answer.body, ours=False)
