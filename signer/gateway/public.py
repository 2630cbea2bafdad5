"""Passes on public calls of an allowlist, with bounds for each source and for all together. It holds no secret."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import final

from signer.contracts import Clock, Upstream, Venue
from signer.errors import NotServed, RefusalKind, Refused, TooLarge, VenueError
from signer.gateway.forward import relayed
from signer.gateway.source_rate import SourceRate
from signer.gateway.trace import Watch
from signer.model import Request, Response
from signer.model.one_source import one_source

_Waiter = asyncio.Future[None]


@final
class Places:
    """Lets ``count`` calls run at once. At most ``waiting`` more wait, and at most a quarter of these for one source.

    ``what`` names the calls in the plural, for the text of a refusal.
    """

    def __init__(self, what: str, count: int, waiting: int = 256) -> None:
        self._what = what
        self._free = count
        self._room = waiting
        self._share = max(1, waiting // 4)
        self._waiting = 0
        self._queues: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    @asynccontextmanager
    async def place(self, source: str, deadline: float) -> AsyncIterator[None]:
        """Hold a place while the block runs. Sources that wait get places in turns.

        Raises `NotServed` at once if too many wait, or when ``deadline`` (the event loop's time) has passed.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(source, deadline)
        try:
            yield
        finally:
            self._leave()

    async def _wait(self, source: str, deadline: float) -> None:
        queue = self._queues.get(source, ())
        if self._waiting >= self._room or len(queue) >= self._share:
            raise self._refusal()
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        self._queues.setdefault(source, deque()).append(waiter)
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                await waiter
        except BaseException as error:
            self._give_up(source, waiter)
            if isinstance(error, TimeoutError):
                raise self._refusal() from None
            raise

    def _refusal(self) -> NotServed:
        return NotServed.unavailable(f"too many {self._what} are under way, try again later; nothing was sent")

    def _give_up(self, source: str, waiter: _Waiter) -> None:
        """Leave the queue. Hand on the place if it was given at the same moment."""
        if waiter.done() and not waiter.cancelled():
            self._leave()
            return
        queue = self._queues.get(source, deque())
        if waiter not in queue:  # `_leave` has taken it out at the same moment
            return
        queue.remove(waiter)
        self._waiting -= 1
        if not queue:
            del self._queues[source]

    def _leave(self) -> None:
        while self._queues:
            source, queue = self._queues.popitem(last=False)
            waiter = queue.popleft()
            self._waiting -= 1
            if queue:
                self._queues[source] = queue
            if not waiter.done():  # else its caller has just given up
                waiter.set_result(None)
                return
        self._free += 1


BURST_S = 10
"""How many seconds' worth of calls may come at once."""
ANSWER_S = 10.0
ALL = "all"


@dataclass(frozen=True, slots=True)
class PublicBounds:
    """The bounds of public calls: how often they may come, and how many may be under way."""

    of_source: SourceRate[str]
    total: SourceRate[str]
    places: Places

    @classmethod
    def of(cls, per_second: int, total_per_second: int, at_once: int, clock: Clock) -> PublicBounds:
        """Return bounds of ``per_second`` for each source and ``total_per_second`` for all together."""
        of_source = SourceRate[str](per_second, per_second * BURST_S, clock)
        total = SourceRate[str](total_per_second, total_per_second * BURST_S, clock)
        return cls(of_source, total, Places("public calls", at_once))


class PublicCalls:
    """Answers public calls by asking the venue, with requests that we build ourselves."""

    def __init__(self, venue: Venue, upstream: Upstream, bounds: PublicBounds, clock: Clock, watch: Watch) -> None:
        self.venue = venue
        self.upstream = upstream
        self._bounds = bounds
        self._clock = clock
        self._watch = watch

    async def answer(self, request: Request) -> Response:
        """Answer one public call."""
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
