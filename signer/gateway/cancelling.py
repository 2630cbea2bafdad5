"""Cancels orders: asks the venue until each order of a cancel is accounted for.

The venue cancels one order or several in one request. It may tell how many it cancelled and not which. So if it
cancelled fewer than we named, we ask for each again alone. It then answers a closed order as unknown, and the other
orders are cancelled all the same. A repeated cancel of one order does no harm. So we repeat a request that was refused
only for its rate, until the time for the call is over.

A request may act although its answer is lost. So its orders are read afterwards, to tell the bot and the log which were
cancelled and which had been closed before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from signer.contracts import Clock, Venue
from signer.errors import Refused, Unanswered
from signer.gateway.forward import Journey
from signer.model import Call, OrderRef, Outcome, VenueResult, WireAnswer
from signer.model.ended import CancelAnswer, Ended
from signer.model.sightings import Sighting

AGAIN_S = 1.0
"""The wait before a repeat of what was refused for its rate: the venue frees at least one point each second
(docs/kraken.md §4)."""
NO_ANSWER = "no answer came back"
NOT_NAMED = "the exchange cancelled fewer than it was asked to"
TOO_LATE = "the time for the call was over"

Send: TypeAlias = Callable[[Call, Journey], Awaitable[tuple[WireAnswer, VenueResult]]]
"""Sends one request and reads its answer. Raises `Unanswered`, or `Refused` if it was not sent."""


@dataclass(slots=True)
class Cancelling:
    """Sends the requests of one cancel, and collects their results."""

    venue: Venue
    send: Send
    clock: Clock
    deadline: float
    """The monotonic time in seconds after which no request is begun."""
    end: float
    """The monotonic time in seconds after which no answer is waited for."""
    since_us: int = 0
    """The earliest time that the venue's clock can have shown when this cancel began, in microseconds; 0 if unknown."""
    ended: Ended = field(default_factory=Ended)
    journey: Journey = field(default_factory=Journey)
    """The journey of the last request that was sent."""
    answers: list[tuple[WireAnswer, VenueResult]] = field(default_factory=list)
    doubted: set[OrderRef] = field(default_factory=set)
    """The orders of requests that the venue may have carried out although its answer does not say so."""

    async def run(self, refs: Sequence[OrderRef]) -> Ended:
        """Cancel the orders that ``refs`` name. Raises `Refused` if nothing could be sent."""
        venue_ids = [ref for ref in refs if ref.kind == "venue-id"]
        alone = [ref for ref in refs if ref.kind != "venue-id"]  # a count tells nothing if a tag names several orders
        limit = self.venue.cancels_at_once
        for part in (venue_ids[start : start + limit] for start in range(0, len(venue_ids), limit)):
            alone += part if len(part) == 1 else await self._together(part)
        while alone:
            alone = [ref for ref in alone if await self._alone(ref)]
            if alone and not await self._waited():
                break
        lost = [ref for ref in self.ended.left if ref in self.doubted and ref.kind == "venue-id"]
        if self.ended.untold or (lost and self.clock.monotonic() < self.deadline):
            await self._read_states(lost)
        return self.ended

    async def _together(self, refs: Sequence[OrderRef]) -> Sequence[OrderRef]:
        """Cancel several orders in one request. Return those that must be asked for alone."""
        answer = await self._ask(refs)
        while answer.too_fast and await self._waited():
            answer = await self._ask(refs)
        if answer.count >= len(refs):
            self.ended.end(refs)
            return ()
        return () if answer.final else refs

    async def _alone(self, ref: OrderRef) -> bool:
        """Cancel one order. Return whether it must be asked for again."""
        answer = await self._ask([ref])
        if answer.gone or not answer.error:
            self.ended.end([ref])
        if answer.gone and ref in self.doubted:
            self.ended.untold.append(ref)
        return answer.too_fast

    async def _read_states(self, lost: Sequence[OrderRef]) -> None:
        """Read the ``lost`` orders, whose last answer was unclear, and those that are gone after an unclear answer.

        Counts those that were cancelled since we began. A name other than a venue id may be that of several orders, so
        no reading tells what became of them. While the venue's clock is not known, nobody can tell whether an order was
        cancelled before we began.
        """
        doubtful, limit = (
            [ref for ref in (*self.ended.untold, *lost) if ref.kind == "venue-id"],
            self.venue.reads_at_once,
        )
        shown: dict[str, Sighting] = {}
        for start in range(0, len(doubtful), limit):
            shown |= await self._shown(doubtful[start : start + limit])
        closed = {ref: shown[ref.value] for ref in doubtful if ref.value in shown and shown[ref.value].closed_us}
        told = {ref: one for ref, one in closed.items() if self.since_us or not one.cancelled}
        self.ended.count += sum(one.cancelled and (one.closed_us or 0) >= self.since_us for one in told.values())
        self.ended.end(ref for ref in lost if ref in closed)
        untold = [*self.ended.untold, *(ref for ref in lost if ref in closed)]
        self.ended.untold = [ref for ref in untold if ref not in told]

    async def _shown(self, refs: Sequence[OrderRef]) -> Mapping[str, Sighting]:
        """Return what the venue shows of these orders, by venue id; nothing if it does not answer in time."""
        call = self.venue.orders_by_id([ref.value for ref in refs])
        try:
            async with asyncio.timeout(max(0.0, self.end - self.clock.monotonic())):
                answer, _ = await self.send(call, Journey())
        except (Refused, Unanswered, TimeoutError):
            return {}
        listing = self.venue.read_orders(answer)
        return {} if listing is None else listing.sightings

    async def _ask(self, refs: Sequence[OrderRef]) -> CancelAnswer:
        """Send one request, and note each order as left that it does not end."""
        answer = await self._answer(refs)
        self.ended.count += answer.count
        self.ended.pending |= answer.pending
        late = answer.error == TOO_LATE  # an earlier error says more than this one
        self.ended.leave([ref for ref in refs if not (late and ref in self.ended.left)], answer.error or NOT_NAMED)
        return answer

    async def _answer(self, refs: Sequence[OrderRef]) -> CancelAnswer:
        if self.journey.sent and self.clock.monotonic() >= self.deadline:
            return CancelAnswer(error=TOO_LATE, final=True)
        journey, call, clear = Journey(), self.venue.cancel(refs), False
        try:
            async with asyncio.timeout(max(0.0, self.end - self.clock.monotonic())):
                self.answers.append(await self.send(call, journey))
            clear = self.answers[-1][1].outcome is not Outcome.UNKNOWN
        except TimeoutError:
            return CancelAnswer(error=NO_ANSWER if journey.sent else TOO_LATE, final=True)
        except Unanswered:
            return CancelAnswer(error=NO_ANSWER)
        except Refused as refused:
            if not (self.journey.sent or journey.sent):
                raise
            return CancelAnswer(error=self.venue.words(refused, call)[0], final=True)
        finally:
            if journey.sent:
                self.journey = journey
                self.doubted.update(() if clear else refs)
        return self.venue.read_cancel(*self.answers[-1])

    async def _waited(self) -> bool:
        """Wait before the next try. Return False if no time is left for it."""
        if self.clock.monotonic() + AGAIN_S >= self.deadline:
            return False
        await asyncio.sleep(AGAIN_S)
        return True

    @property
    def result(self) -> VenueResult | None:
        """What all answers together mean; None if nothing was sent.

        The outcome is unknown if we cannot tell of one order whether we cancelled it.
        """
        if not self.journey.sent:
            return None
        ended = self.ended
        outcome = Outcome.ACCEPTED if ended.count else Outcome.REJECTED
        if ended.untold or not self.doubted.isdisjoint(ended.left):
            outcome = Outcome.UNKNOWN
        errors = tuple(dict.fromkeys(ended.left.values()))
        return VenueResult(outcome, errors, tuple(ref.value for ref in ended.done))
