"""Cancels, one request after the other, until every order that was named is accounted for.

A venue may take several orders at once and tell how many it cancelled, but not which (docs/kraken.md §1c). So whenever
fewer were cancelled than named, each is asked again alone: one that is closed answers that it is unknown, which fails
no other. An order is cancelled once however often that is asked for, so what the venue refuses for its rate alone is
repeated until the time for the call is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from signer.contracts import Clock, Venue
from signer.errors import Refused, Unanswered
from signer.gateway.forward import Journey
from signer.model import Call, OrderRef, Outcome, VenueResult, WireAnswer
from signer.model.ended import CancelAnswer, Ended

AGAIN_S = 1.0
"""Between two tries of what was refused for its rate: each second the venue forgives one point at least
(docs/kraken.md §4)."""
NO_ANSWER = "no answer came back"
NOT_NAMED = "the exchange cancelled fewer than it was asked to"
TOO_LATE = "the time for the call was over"

Send: TypeAlias = Callable[[Call, Journey], Awaitable[tuple[WireAnswer, VenueResult]]]
"""Sends one request and reads its answer. Raises `Unanswered`, or `Refused` if it was not sent."""


@dataclass(slots=True)
class Cancelling:
    """The requests of one cancel, and what they have come to."""

    venue: Venue
    send: Send
    clock: Clock
    deadline: float
    """The monotonic time in seconds after which no request is begun."""
    end: float
    """The monotonic time in seconds after which no answer is waited for."""
    ended: Ended = field(default_factory=Ended)
    journey: Journey = field(default_factory=Journey)
    """The result of the last request that was sent."""
    answers: list[tuple[WireAnswer, VenueResult]] = field(default_factory=list)

    async def run(self, refs: Sequence[OrderRef]) -> Ended:
        """Cancel ``refs``, each of which names an order. Raises `Refused` if nothing could be sent."""
        venue_ids = [ref for ref in refs if ref.kind == "venue-id"]
        alone = [ref for ref in refs if ref.kind != "venue-id"]  # a tag may be several orders, so no count would tell
        limit = self.venue.cancels_at_once
        for part in (venue_ids[start : start + limit] for start in range(0, len(venue_ids), limit)):
            alone += part if len(part) == 1 else await self._together(part)
        while alone:
            alone = [ref for ref in alone if await self._alone(ref)]
            if alone and not await self._waited():
                break
        return self.ended

    async def _together(self, refs: Sequence[OrderRef]) -> Sequence[OrderRef]:
        """Ask for several at once; those that must be asked for alone."""
        answer = await self._ask(refs)
        while answer.too_fast and await self._waited():
            answer = await self._ask(refs)
        if answer.count >= len(refs):
            self.ended.end(refs)
            return ()
        return () if answer.final else refs

    async def _alone(self, ref: OrderRef) -> bool:
        """Ask for one; whether it must be asked for again."""
        answer = await self._ask([ref])
        if answer.gone or not answer.error:
            self.ended.end([ref])
        return answer.too_fast

    async def _ask(self, refs: Sequence[OrderRef]) -> CancelAnswer:
        """One request. What it does not end is noted as left."""
        answer = await self._answer(refs)
        self.ended.count += answer.count
        self.ended.pending |= answer.pending
        late = answer.error == TOO_LATE  # which says less than what was heard before
        self.ended.leave([ref for ref in refs if not (late and ref in self.ended.left)], answer.error or NOT_NAMED)
        return answer

    async def _answer(self, refs: Sequence[OrderRef]) -> CancelAnswer:
        if self.journey.sent and self.clock.monotonic() >= self.deadline:
            return CancelAnswer(error=TOO_LATE, final=True)
        journey, call = Journey(), self.venue.cancel(refs)
        try:
            async with asyncio.timeout(max(0.0, self.end - self.clock.monotonic())):
                self.answers.append(await self.send(call, journey))
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
        return self.venue.read_cancel(*self.answers[-1])

    async def _waited(self) -> bool:
        """Wait until it makes sense to ask again; False if there is no time for that."""
        if self.clock.monotonic() + AGAIN_S >= self.deadline:
            return False
        await asyncio.sleep(AGAIN_S)
        return True

    @property
    def result(self) -> VenueResult | None:
        """What all answers together mean: one that is not clear leaves it unknown. None if nothing was sent."""
        if not self.journey.sent:
            return None
        ended = self.ended
        unclear = NO_ANSWER in ended.left.values() or any(one.outcome is Outcome.UNKNOWN for _, one in self.answers)
        outcome = Outcome.ACCEPTED if ended.count else Outcome.REJECTED
        errors = tuple(dict.fromkeys(ended.left.values()))
        return VenueResult(
            Outcome.UNKNOWN if ended.left and unclear else outcome, errors, tuple(o.value for o in ended.done)
        )
