"""Cancels orders: finds which orders a cancel means, and asks the venue until each is accounted for.

A cancel reaches only the client's own orders of the given names, each by its venue id. An order that is still on its
way has no id yet, so the cancel waits for it. An order whose answer was lost is looked up at the venue. Neither is
cancelled by its name alone, because the cancel would reach every order that bears the name.

The venue cancels one order or several in one request. It may tell how many it cancelled and not which. So if it
cancelled fewer than we named, we ask for each again alone. It then answers a closed order as unknown, and the other
orders are cancelled all the same. A repeated cancel of one order does no harm. So we repeat a request that was refused
only for its rate, until the time for the call is over.

A request may act although its answer is lost. So its orders are read afterwards, to tell the bot and the log which were
cancelled and which had been closed before.

We remember the orders that the venue has called closed, and answer another cancel of them ourselves. A bot that cancels
a closed order again and again would use up turns and points that other bots need.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, final

from signer.contracts import Clock, Ledger, LookUps, Venue
from signer.errors import Refused, Unanswered
from signer.gateway.credential import OURS
from signer.gateway.forward import Account, Journey
from signer.gateway.outcomes import Outcomes, Pending
from signer.model import Call, OrderRef, Outcome, PlacedOrder, VenueResult, WireAnswer
from signer.model.ended import CancelAnswer, Ended
from signer.model.sightings import Sighting

MOST_KEPT = 20_000
"""How many closed orders are remembered. The oldest are forgotten first, and their cancels are sent again."""
YOUNG_US = 120_000_000
"""The venue may not know or list an open order that is younger than this, in microseconds."""


@final
class KnownClosed:
    """Remembers the orders that the venue's answers to cancels have shown to be closed."""

    def __init__(self) -> None:
        self._heard_us: OrderedDict[tuple[str, str], int | None] = OrderedDict()
        """When the venue did not know the order, in microseconds; None if it cancelled the order."""

    def note(self, account: str, orders: Iterable[OrderRef], *, cancelled: bool, now_us: int) -> None:
        """Remember that the venue has ``cancelled`` these orders, or else knows no such open orders."""
        for order in orders:
            if order.kind == "venue-id":
                self._heard_us[account, order.value] = None if cancelled else now_us
        while len(self._heard_us) > MOST_KEPT:
            self._heard_us.popitem(last=False)

    def has(self, placed: PlacedOrder) -> bool:
        """Return whether the order is known to be closed."""
        heard_us = self._heard_us.get((placed.account, placed.venue_id), 0)
        return placed.closed or heard_us is None or heard_us - placed.placed_us >= YOUNG_US

    def marked(self, placed: Iterable[PlacedOrder]) -> tuple[PlacedOrder, ...]:
        """Return the orders, with those marked as closed that are known to be."""
        return tuple(replace(one, closed=True) if not one.closed and self.has(one) else one for one in placed)


READ_S = 3.0
"""How long the venue may take to list open orders. Without the list we cancel every order of the name."""


@dataclass(frozen=True, slots=True)
class Aim:
    """The orders that a cancel means."""

    refs: tuple[OrderRef, ...]
    """Each order once, by its venue id. Under an account-wide policy also names that the ledger does not know."""
    unsettled: tuple[OrderRef, ...]
    """The names that an order without a venue id may bear."""


@final
class Aiming:
    """Finds the orders that bear given names."""

    def __init__(self, ledger: Ledger, pending: Pending, outcomes: Outcomes, look_ups: LookUps, clock: Clock) -> None:
        self._ledger = ledger
        self._pending = pending
        self._outcomes = outcomes
        self._look_ups = look_ups
        self._clock = clock
        self.closed = KnownClosed()
        self._looking: dict[str, asyncio.Task[None]] = {}

    async def aim(self, account: Account, venue: Venue, names: Sequence[OrderRef], owner: str, until: float) -> Aim:
        """Return the orders of ``owner`` (of every client, if empty) with these names.

        May wait for orders that are on their way until ``until``, the event loop's time.
        """
        await self._settle(account.name, names, owner, until)
        bearers = {name: await self._bearers(account, name, owner) for name in names}
        placed = await self._open_ones(account, venue, bearers, owner)
        refs: dict[OrderRef, None] = {}  # a dict keeps the sequence and holds each once
        for name, found in bearers.items():
            refs |= dict.fromkeys(OrderRef("venue-id", one.venue_id) for one in placed[name])
            if not placed[name] and not owner and not (found and name.kind == "venue-id"):
                refs[name] = None
        return Aim(tuple(refs), tuple(name for name in bearers if self._is_unsettled(account.name, name, owner)))

    async def open_orders(self, account: Account, venue: Venue, owner: str) -> Sequence[PlacedOrder]:
        """Return the orders of ``owner`` (of every client, if empty) that may be open and have a venue id."""
        pending = self._pending.of(account.name, owner)
        venue_ids = {one.venue_id for one in pending}
        stored = [one for one in await self._ledger.open_orders(account.name, owner) if one.venue_id not in venue_ids]
        young, known = ([one for one in found if not self.closed.has(one)] for found in (pending, stored))
        return [*young, *await self._still_open(account, venue, None, owner, known)] if known else young

    async def settle_all(self, account: Account, owner: str, until: float) -> None:
        """Wait for ``owner``'s orders that are on their way, and look up lost ones, until ``until``."""
        await self._settle(account.name, [None], owner, until)

    def _is_unsettled(self, account: str, name: OrderRef, owner: str) -> bool:
        return any(self._pending.without_id(account, name, owner, lost=lost) for lost in (False, True))

    async def _settle(self, account: str, names: Sequence[OrderRef | None], owner: str, until: float) -> None:
        """Wait for the orders that are on their way, then look up the lost ones."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while any(self._pending.without_id(account, name, owner, lost=False) for name in names):
                    await self._pending.moved()
        if any(self._pending.without_id(account, name, owner, lost=True) for name in names):
            await self._outcomes.caught_up()  # a look-up sees only what the ledger holds as unknown
            await self._look_up(account, until)

    async def _look_up(self, account: str, until: float) -> None:
        """Wait for a look-up of the account until ``until``. All who ask meanwhile share it.

        It goes on when the wait ends.
        """
        task = self._looking.get(account)
        if task is None or task.done():
            task = asyncio.get_running_loop().create_task(self._look_ups.look_up(account))
            self._looking[account] = task
        await asyncio.wait({task}, timeout=max(0.0, until - self._clock.monotonic()))

    async def _bearers(self, account: Account, name: OrderRef, owner: str) -> Sequence[PlacedOrder]:
        """Return the orders of a name that have a venue id, newest first."""
        known = await self._ledger.find_orders(account.name, name)
        merged = self._pending.merged(account.name, name, known)
        return [one for one in merged if one.venue_id and owner in {"", one.client}]

    async def _open_ones(
        self, account: Account, venue: Venue, bearers: Mapping[OrderRef, Sequence[PlacedOrder]], owner: str
    ) -> Mapping[OrderRef, Sequence[PlacedOrder]]:
        """Return those of each name's ``bearers`` that may be open. Asks the venue once for all names together."""
        placed: dict[OrderRef, Sequence[PlacedOrder]] = {}
        for name, found in bearers.items():
            newest = found[:1] if name.kind == "client-id" else found  # a client's id is unique among open orders
            placed[name] = [one for one in newest if not self.closed.has(one)]
        several = {name: ones for name, ones in placed.items() if len(ones) > 1}
        if not several:
            return placed
        asked = next(iter(several)) if len(several) == 1 else None
        doubtful = [one for ones in several.values() for one in ones]
        still = {one.venue_id for one in await self._still_open(account, venue, asked, owner, doubtful)}
        return placed | {name: [one for one in ones if one.venue_id in still] for name, ones in several.items()}

    async def _still_open(
        self, account: Account, venue: Venue, name: OrderRef | None, owner: str, placed: Sequence[PlacedOrder]
    ) -> Sequence[PlacedOrder]:
        """Return the orders of ``placed`` that the venue lists as open or that are too young to be listed.

        Returns all of them if the venue does not answer. A bot may give all its orders one tag. Most of those are
        closed, and a cancel of each would cost a request.
        """
        try:
            async with asyncio.timeout(READ_S):
                read = venue.open_call(name)
                answer, _ = await account.forward(venue, read, owner or OURS, Journey(), lambda: None)
        except (Refused, Unanswered, TimeoutError):
            return placed
        listed = venue.read_open(answer)
        young_us = self._clock.now_us() - YOUNG_US
        return (
            placed if listed is None else [one for one in placed if one.venue_id in listed or one.placed_us > young_us]
        )


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
