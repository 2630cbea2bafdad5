"""Public calls: passed through by allowlist, bounded in rate for each source address. No secret is near them."""

from __future__ import annotations

from signer.contracts import Clock, Upstream, Venue
from signer.errors import Refused, VenueError
from signer.model import Request, Response
from signer.source_rate import SourceRate

BURST_S = 10
ANSWER_S = 10.0
JSON = "application/json"


class PublicCalls:
    """Answers public calls from the venue, in requests that we build ourselves."""

    def __init__(self, venue: Venue, upstream: Upstream, rate: SourceRate[str], clock: Clock) -> None:
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
