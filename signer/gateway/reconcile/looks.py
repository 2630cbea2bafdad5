"""Compares the orders that the venue lists for an account with the account's open intents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import final

from signer.contracts import Clock, Journal, Venue
from signer.gateway.forward import Account, VenueTime
from signer.gateway.reconcile.listings import Listings
from signer.gateway.reconcile.matching import LookupResult, Matching, Window, bearing_names_of
from signer.gateway.trace import closed_record
from signer.model import Intent, OpenIntent, OrderRef

YOUNGEST_US = 120_000_000
"""An order that is younger than this may not be listed yet, so it does not count as closed."""


@final
class Looks:
    """Looks at one account. It remembers which intents were open when each order was first listed."""

    def __init__(self, journal: Journal, venue_time: VenueTime, clock: Clock) -> None:
        self._journal = journal
        self._venue_time = venue_time
        self._clock = clock
        self._first_seen: Mapping[str, Collection[int]] = {}

    async def look(
        self, account: Account, venue: Venue, wanted: Sequence[OpenIntent], refined: Callable[[], Awaitable[bool]]
    ) -> Mapping[int, LookupResult]:
        """Return what became of each intent of ``wanted``, by reservation, and mark orders that are not open as closed.

        ``refined`` waits until the venue's clock is known better, and returns False if that will not be soon. Raises
        `SignerError` if the open orders cannot be listed. A later failure leaves a doubt in the results that depend on
        it.
        """
        asked_us, lists = self._journal.now_us(), Listings(account, venue, self._clock)
        opened = await lists.read_open()
        close_absent(self._journal, account.name, tuple(opened), asked_us - YOUNGEST_US)
        # Each moment is taken once: read again, the two clocks give another, and the lists would seem too short.
        listed = self._windows(venue, wanted)
        if listed:
            await lists.read_closed(min(since_us for since_us, _ in listed.values()))
        await lists.read_missing([venue_id for one in wanted if (venue_id := venue.amended_id(one.intent))])
        # Read the intents after the lists: each listed order of ours is then of an open intent or in the book.
        now_open = [one for one in self._journal.open_intents() if one.intent.account == account.name]
        intents = {one.reservation: one for one in (*now_open, *wanted)}.values()
        windows = self._windows(venue, intents) | listed
        while True:
            matching = self._matching(account.name, venue, lists, now_open, windows)
            told = {one.reservation: self._told(one, venue, lists, matching, listed) for one in wanted}
            if not any(one.rough for one in told.values()) or not await refined():
                return told
            windows = {number: _narrowed(windows[number], new) for number, new in self._windows(venue, intents).items()}

    def _windows(self, venue: Venue, intents: Iterable[OpenIntent]) -> dict[int, Window]:
        """Return when each intent that places orders was sent by the venue's clock, by reservation.

        Raises `VenueError` if that clock was never heard.
        """
        return {one.reservation: self._window(one.intent) for one in intents if venue.amended_id(one.intent) is None}

    def _window(self, intent: Intent) -> Window:
        if intent.venue_us:
            return intent.venue_us, intent.venue_us
        return self._venue_time.shown_at(intent.account, intent.at_us)

    def _matching(
        self,
        account: str,
        venue: Venue,
        lists: Listings,
        now_open: Sequence[OpenIntent],
        windows: Mapping[int, Window],
    ) -> Matching:
        placing = [one for one in now_open if one.reservation in windows]
        reservations = frozenset(one.reservation for one in now_open)
        self._first_seen = {venue_id: self._first_seen.get(venue_id, reservations) for venue_id in lists.sightings}
        return Matching(
            placing,
            lists.sightings.values(),
            windows=windows,
            taken=self._known(account, (seen.venue_id for seen in bearing_names_of(placing, lists.sightings.values()))),
            first_seen=self._first_seen,
            alike=venue.is_alike,
        )

    def _known(self, account: str, venue_ids: Iterable[str]) -> set[str]:
        """Return those of ``venue_ids`` that are known as orders of any client."""
        return {one for one in venue_ids if self._journal.find_orders(account, OrderRef("venue-id", one))}

    @staticmethod
    def _told(
        one: OpenIntent, venue: Venue, lists: Listings, matching: Matching, listed: Mapping[int, Window]
    ) -> LookupResult:
        """Return what became of an intent. Its lists must go back to its window in ``listed``."""
        nothing = (None,) * len(one.intent.orders)
        venue_id = venue.amended_id(one.intent)
        if venue_id is None:
            if lists.whole_since_us is None or lists.whole_since_us > listed[one.reservation][0]:
                return LookupResult.of_unread(one, lists.trouble)
            return matching.told(one)
        seen = lists.sightings.get(venue_id)
        if seen is None:
            doubt = lists.trouble or "the exchange does not show the order that was to be amended"
            return LookupResult(nothing, doubt, unread=bool(lists.trouble))
        return LookupResult((venue_id,)) if venue.is_amended(one.intent.orders[0], seen) else LookupResult(nothing)


def _narrowed(known: Window, new: Window) -> Window:
    """Return what two windows of one moment have in common. The lists go back to ``known`` and no further."""
    least = max(known[0], new[0])
    return least, max(least, min(known[1], new[1]))


def close_absent(journal: Journal, account: str, listed: Sequence[str], placed_before_us: int) -> None:
    """Record the orders as closed that were placed before then and are not listed, and those as open that are.

    Raises `LedgerError`.
    """
    again = journal.reappeared(account, listed)
    while True:
        gone = journal.absent(account, listed, placed_before_us)
        if not gone and not again:
            return
        journal.conclude(closed_record(account, gone, again, journal.now_us()))
        again = ()
