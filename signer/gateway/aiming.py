"""Finds which orders a cancel or a change means.

A cancel reaches only the client's own orders of the given names, each by its venue id. An order that is still on its
way has no id yet, so the cancel waits for it. An order whose answer was lost is looked up at the venue. Neither is
cancelled by its name alone, because the cancel would reach every order that bears the name.

We remember the orders that the venue has called closed, and answer another cancel of them ourselves. A bot that cancels
a closed order again and again would use up turns and points that other bots need.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, final

from signer.contracts import Clock, Journal, LookUps, Venue
from signer.errors import Refused, Unanswered
from signer.gateway.credential import OURS
from signer.gateway.forward import Account, Journey
from signer.model import Call, OrderRef, PlacedOrder, VenueResult, WireAnswer

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
        """Remember that the venue has ``cancelled`` these orders, or else knows no such open orders.

        ``now_us`` is of the journal's clock, as the moments are by which orders were placed.
        """
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


Meant: TypeAlias = Callable[[PlacedOrder], bool]
"""Tells whether an order is one that a person means."""


def every(_: PlacedOrder) -> bool:
    """Mean every order."""
    return True


READ_S = 3.0
"""How long the venue may take to list open orders. Without the list we cancel every order of the name."""


@dataclass(frozen=True, slots=True)
class Aim:
    """The orders that a cancel means."""

    refs: tuple[OrderRef, ...]
    """Each order once, by its venue id. Under an account-wide policy also names that the book does not know."""
    unsettled: tuple[OrderRef, ...]
    """The names that an order without a venue id may bear."""


@final
class Aiming:
    """Finds the orders that bear given names. An ``owner`` is a client's name, or empty for every client.

    Every method may raise `LedgerError` if closed orders cannot be read.
    """

    def __init__(self, journal: Journal, look_ups: LookUps, clock: Clock) -> None:
        self._journal = journal
        self._look_ups = look_ups
        self._clock = clock
        self.closed = KnownClosed()
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._reading: set[asyncio.Task[tuple[WireAnswer, VenueResult]]] = set()
        """The lists of open orders that are being read, though nobody may wait for them any more."""

    def named(
        self, account: str, refs: Sequence[OrderRef], targets: Sequence[OrderRef]
    ) -> dict[OrderRef, tuple[PlacedOrder, ...]]:
        """Return the orders of any client that each name means, newest first.

        Those without a venue id come first. Closed orders come only for ``targets``: a new order may take their names.
        """
        on_the_way = self.without_id(account)[::-1]
        placed = {
            ref: self._journal.find_orders(account, ref) if ref in targets else self._journal.open_named(account, ref)
            for ref in refs
        }
        return {
            ref: (*(one for one in on_the_way if one.order.bears(ref)), *self.closed.marked(found))
            for ref, found in placed.items()
        }

    def without_id(self, account: str, owner: str = "", *, lost: bool | None = None) -> Sequence[PlacedOrder]:
        """Return the orders of ``owner`` that have no venue id yet, oldest first.

        If ``lost``, these are the orders whose answer was lost; if False, those still on their way; if None, both.
        """
        intents = (
            one.intent
            for one in self._journal.open_intents()
            if one.intent.account == account
            and owner in {"", one.intent.client}
            and lost in {None, one.unknown}
            and (one.intent.replaces or not one.intent.targets)
        )
        return [
            PlacedOrder(account, intent.client, "", order, intent.at_us)
            for intent in intents
            for order in intent.orders
        ]

    def unsettled(self, account: str, owner: str, meant: Meant) -> Sequence[OrderRef | None]:
        """Return a name of each order that is ``meant`` and has no venue id yet; None for an order without a name."""
        return [next(iter(one.order.names), None) for one in self.without_id(account, owner) if meant(one)]

    async def aim(self, account: Account, venue: Venue, names: Sequence[OrderRef], owner: str, until: float) -> Aim:
        """Return the orders of ``owner`` with these names.

        May wait for orders that are on their way until ``until``, the event loop's time.
        """
        await self._settle(account.name, names, owner, until)
        bearers = {name: self._bearers(account, name, owner) for name in names}
        placed = await self._open_ones(account, venue, bearers, owner)
        refs: dict[OrderRef, None] = {}  # a dict keeps the sequence and holds each once
        for name, found in bearers.items():
            refs |= dict.fromkeys(OrderRef("venue-id", one.venue_id) for one in placed[name])
            if not placed[name] and not owner and not (found and name.kind == "venue-id"):
                refs[name] = None
        return Aim(tuple(refs), tuple(name for name in bearers if self._has(account.name, [name], owner)))

    async def open_orders(self, account: Account, venue: Venue, owner: str, meant: Meant) -> Sequence[PlacedOrder]:
        """Return the orders of ``owner`` that are ``meant``, may be open and have a venue id."""
        placed = self._journal.open_orders(account.name, owner)
        known = [one for one in placed if meant(one) and not self.closed.has(one)]
        return await self._still_open(account, venue, owner, known) if known else ()

    async def settle_all(self, account: Account, owner: str, until: float, meant: Meant) -> None:
        """Wait for orders that are ``meant`` and on their way, and look up lost ones, until ``until``."""
        await self._settle(account.name, [None], owner, until, meant)

    async def look_up(self, account: str, until: float) -> None:
        """Wait for a look-up of the account until ``until``. All who ask meanwhile share it.

        It goes on when the wait ends.
        """
        task = self._looking.get(account)
        if task is None or task.done():
            task = asyncio.get_running_loop().create_task(self._look_ups.look_up(account))
            self._looking[account] = task
        await asyncio.wait({task}, timeout=max(0.0, until - self._clock.monotonic()))

    async def _settle(
        self, account: str, names: Sequence[OrderRef | None], owner: str, until: float, meant: Meant = every
    ) -> None:
        """Wait for the orders that are on their way, then look up the lost ones."""
        if self._has(account, names, owner, meant, lost=False):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    while self._has(account, names, owner, meant, lost=False):
                        await self._journal.moved()
        if self._has(account, names, owner, meant, lost=True):
            await self.look_up(account, until)

    def _has(
        self,
        account: str,
        names: Sequence[OrderRef | None],
        owner: str,
        meant: Meant = every,
        *,
        lost: bool | None = None,
    ) -> bool:
        """Return whether an order of one of these names (of any, if None) has no venue id yet."""
        waiting = [one for one in self.without_id(account, owner, lost=lost) if meant(one)]
        return any(name is None or one.order.bears(name) for one in waiting for name in names)

    def _bearers(self, account: Account, name: OrderRef, owner: str) -> Sequence[PlacedOrder]:
        """Return the orders of a name that have a venue id, newest first."""
        return [one for one in self._journal.find_orders(account.name, name) if owner in {"", one.client}]

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
        doubtful = [one for ones in several.values() for one in ones]
        still = {one.venue_id for one in await self._still_open(account, venue, owner, doubtful)}
        return placed | {name: [one for one in ones if one.venue_id in still] for name, ones in several.items()}

    def _let_go(self, reading: asyncio.Task[tuple[WireAnswer, VenueResult]]) -> None:
        self._reading.discard(reading)
        if not reading.cancelled():
            reading.exception()  # nobody asks for it

    async def has_freed(
        self, account: Account, call: Call, client: str, placed: Mapping[OrderRef, Sequence[PlacedOrder]]
    ) -> bool:
        """Return whether the venue has closed an order of ``client`` that has a client's id of an order of ``call``.

        The book may not know yet that such an order was filled, and its id is free then. Asks the venue only if there
        is such an order.
        """
        ids = (OrderRef("client-id", order.client_id) for order in call.orders if order.client_id)
        bearers = (one for ref in ids for one in placed[ref] if one.client == client and one.venue_id)
        doubtful = [one.venue_id for one in bearers if not one.closed]
        if not doubtful:
            return False
        venue = account.venue
        answer = await self._asked(account, venue, venue.orders_by_id(doubtful[: venue.reads_at_once]), client)
        listing = None if answer is None else venue.read_orders(answer)
        shown = {} if listing is None else listing.sightings
        closed = [venue_id for venue_id, seen in shown.items() if seen.closed_us]
        refs = [OrderRef("venue-id", venue_id) for venue_id in closed]
        self.closed.note(account.name, refs, cancelled=True, now_us=self._journal.now_us())
        return bool(closed)

    async def _still_open(
        self, account: Account, venue: Venue, owner: str, placed: Sequence[PlacedOrder]
    ) -> Sequence[PlacedOrder]:
        """Return the orders of ``placed`` that the venue lists as open or that are too young to be listed.

        Returns all of them if the venue does not answer. A bot may give all its orders one tag. Most of those are
        closed, and a cancel of each would cost a request.
        """
        answer = await self._asked(account, venue, venue.open_orders(), owner or OURS)
        listed = None if answer is None else venue.read_open(answer)
        young_us = self._journal.now_us() - YOUNG_US
        return (
            placed if listed is None else [one for one in placed if one.venue_id in listed or one.placed_us > young_us]
        )

    async def _asked(self, account: Account, venue: Venue, call: Call, client: str) -> WireAnswer | None:
        """Return the answer to a read, by this client's share; None if it does not come in time."""
        journey = Journey()
        forwarded = account.forward(venue, call, client, journey, lambda: None)
        reading = asyncio.get_running_loop().create_task(forwarded)
        self._reading.add(reading)
        reading.add_done_callback(self._let_go)
        await asyncio.wait({reading}, timeout=READ_S)
        if not reading.done():
            if not journey.sent:  # else its turn must last until its answer, or a later nonce could overtake it
                reading.cancel()
            return None
        try:
            return reading.result()[0]
        except (Refused, Unanswered):
            return None
