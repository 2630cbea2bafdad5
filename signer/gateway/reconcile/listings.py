"""Reads the orders that the venue lists for an account: first the open ones, then the closed ones, page by page.

An order that closes between the two reads is then in the second. Each read waits until it fits into the share of the
key's read counter that our own questions may take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import final

from signer.contracts import Clock, Venue
from signer.errors import SignerError, VenueError
from signer.gateway.credential import OURS
from signer.gateway.forward import Account, Journey
from signer.model import Call
from signer.model.sightings import Listing, Sighting

LOOK_S = 60.0
"""How long one look may take, with the wait for the key's read counter."""
MOST_PAGES = 40
LEAST_WAIT_S = 0.05


@final
class Listings:
    """Reads the lists, and keeps the orders and how far back they are complete."""

    def __init__(self, account: Account, venue: Venue, clock: Clock) -> None:
        self.sightings: dict[str, Sighting] = {}
        self.whole_since_us: int | None = None
        """The sightings hold every order that was opened at or after this moment; None if that is not known."""
        self.trouble = ""
        """Why the list goes back no further; empty if nothing failed."""
        self._account = account
        self._venue = venue
        self._clock = clock
        self._until = clock.monotonic() + LOOK_S

    async def read_open(self) -> Sequence[str]:
        """Read the open orders. Return their venue ids. Raises `SignerError` if the venue does not list them."""
        listing = await self._ask(self._venue.open_orders())
        self.sightings |= listing.sightings
        return list(listing.sightings)

    async def read_closed(self, since_us: int) -> None:
        """Read the closed orders that were opened since then, newest first. Pages read before a failure count."""
        skip = total = 0
        try:
            for _ in range(MOST_PAGES):
                page = await self._ask(self._venue.closed_orders(since_us, skip))
                if page.total is not None and page.total < total:
                    # An order of a later page has moved up to a page that was read already.
                    raise VenueError("the list of closed orders became shorter while it was read")
                skip, total = skip + len(page.sightings), page.total or 0
                self._take(page)
                if self._is_last(page, skip):
                    self.whole_since_us = since_us
                    return
            self.trouble = "the list of closed orders is longer than one look may read"
        except SignerError as error:
            self.trouble = str(error)

    async def read_missing(self, venue_ids: Sequence[str]) -> None:
        """Read the orders of these venue ids that are not among the sightings yet."""
        missing = [venue_id for venue_id in venue_ids if venue_id not in self.sightings]
        try:
            limit = self._venue.reads_at_once
            for first in range(0, len(missing), limit):
                chunk = missing[first : first + limit]
                self.sightings |= (await self._ask(self._venue.orders_by_id(chunk))).sightings
        except SignerError as error:
            self.trouble = str(error)

    def _take(self, page: Listing) -> None:
        """Take up one page, and note how far back the list is complete.

        The venue may sort by opening or by closing. In both cases the orders on later pages were opened before every
        order of this page was closed.
        """
        self.sightings = {**page.sightings, **self.sightings}
        closed = [seen.closed_us for seen in page.sightings.values()]
        if closed and None not in closed:
            self.whole_since_us = min(at_us for at_us in closed if at_us is not None) + 1

    @staticmethod
    def _is_last(page: Listing, skip: int) -> bool:
        """Return whether no page follows. Raises `VenueError` if the venue counts more orders than it lists."""
        if page.total is not None and skip >= page.total:
            return True
        if page.sightings:
            return False
        if page.total is None:
            return True
        raise VenueError(f"the exchange lists {skip} of {page.total} closed orders and no more")

    async def _ask(self, call: Call) -> Listing:
        while (wait_s := self._account.wait_for_own(self._venue, call)) > 0:
            if self._clock.monotonic() + wait_s > self._until:
                raise VenueError("the share of the key's counter for our own questions is used up for now")
            await asyncio.sleep(max(wait_s, LEAST_WAIT_S))
        answer, result = await self._account.forward(self._venue, call, f"{OURS}recovery", Journey(), lambda: None)
        listing = self._venue.read_orders(answer)
        if listing is None:
            said = ", ".join(result.errors) or f"HTTP {answer.status} and no list"
            raise VenueError(f"{call.endpoint} was answered with {said}")
        return listing
