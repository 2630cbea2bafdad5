"""Public calls: passed through by allowlist, bounded for each source and in all. No secret is near them."""

from __future__ import annotations

from dataclasses import dataclass

from signer.contracts import Clock, Upstream, Venue
from signer.errors import NotServed, RefusalKind, Refused, TooLarge, VenueError
from signer.gateway.forward import relayed
from signer.gateway.public_places import Places
from signer.gateway.source_rate import SourceRate
from signer.gateway.trace import Watch
from signer.model import Request, Response
from signer.model.one_source import one_source

BURST_S = 10
"""Seconds' worth of calls that may come at once."""
ANSWER_S = 10.0
ALL = "all"


@dataclass(frozen=True, slots=True)
class PublicBounds:
    """How often public calls may come, and how many may be under way."""

    of_source: SourceRate[str]
    total: SourceRate[str]
    places: Places

    @classmethod
    def of(cls, per_second: int, total_per_second: int, at_once: int, clock: Clock) -> PublicBounds:
        """``per_second`` for each source, ``total_per_second`` for all together."""
        of_source = SourceRate[str](per_second, per_second * BURST_S, clock)
        total = SourceRate[str](total_per_second, total_per_second * BURST_S, clock)
        return cls(of_source, total, Places("public calls", at_once))


class PublicCalls:
    """Answers public calls from the venue, in requests that we build ourselves."""

    def __init__(self, venue: Venue, upstream: Upstream, bounds: PublicBounds, clock: Clock, watch: Watch) -> None:
        self.venue = venue
        self.upstream = upstream
        self._bounds = bounds
        self._clock = clock
        self._watch = watch

    async def answer(self, request: Request) -> Response:
        """One public call."""
        try:
            return await self._relay(request)
        except Refused as refused:
            return self.venue.refusal(refused)

    async def _relay(self, request: Request) -> Response:
        source = one_source(request.source)
        if not self._bounds.of_source.take(source):
            raise Refused(RefusalKind.RATE_LIMITED, "public calls from this address come too fast")
        wire, dropped = self.venue.public_request(request)
        if dropped:
            self._watch.dropped("", request.path.rpartition("/")[2], len(dropped))
        if not self._bounds.total.take(ALL):
            raise Refused(RefusalKind.RATE_LIMITED, "public calls of all callers together come too fast")
        deadline = self._clock.monotonic() + ANSWER_S
        try:
            async with self._bounds.places.place(source, deadline):
                answer = await self.upstream.send(wire, deadline)
        except TooLarge as error:
            raise NotServed.unavailable(f"{error.what}; {error.hint}") from error
        except VenueError as error:
            raise NotServed.unavailable("the exchange cannot be reached") from error
        if not self.venue.is_public_answer(answer):
            raise NotServed.unavailable(f"the exchange answered HTTP {answer.status}")
        return relayed(self.venue, answer)
