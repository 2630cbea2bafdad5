"""Matches listed orders with our intents. Only a match that excludes every other one counts. Pure.

A listed order is a candidate for an intent's order if four things hold. It is alike. The book does not know it as
another order. It was not seen before the intent was there. It was opened at or after the moment when the intent was
sent. While that moment is known only roughly, no order counts that was opened between the earliest and the latest
moment. A twin that the owner or another bot placed must never become the client's, because a client may change and
cancel its own orders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

from signer.model import Intent, OpenIntent, Order
from signer.model.sightings import Sighting

Alike: TypeAlias = Callable[[Intent, Order, Sighting], bool | None]
Reference: TypeAlias = "tuple[str, str]"
"""The kind of a name that the client or we gave, and its value."""
_NONE: Reference = ("", "")

Window: TypeAlias = "tuple[int, int]"
"""The earliest and the latest time that the venue's clock can have shown when an intent was sent."""

UNREAD = "the lists of the exchange do not go back far enough"
ROUGH = "the exchange's clock is not measured closely enough yet to tell whether the order that is like it is older"
OLDER_OR_UNLISTED = "an order at the exchange is like it, but was opened before it was sent, or its pair is not listed"


@dataclass(frozen=True, slots=True)
class LookupResult:
    """What the venue's lists say of one intent."""

    venue_ids: tuple[str | None, ...]
    """One id for each of its orders; None for an order that was not found."""
    doubt: str = ""
    """Why an order that was not found may still exist; empty if the lists certainly lack it."""
    unread: bool = False
    """Whether the only doubt is that the lists could not be read."""
    rough: bool = False
    """Whether a closer measurement of the venue's clock may end a doubt."""

    @classmethod
    def of_unread(cls, one: OpenIntent, why: str) -> LookupResult:
        """Return that nothing is known of the intent's orders. The doubt is never empty, whatever ``why`` is."""
        return cls((None,) * len(one.intent.orders), why or UNREAD, unread=True)


def bearing_names_of(intents: Iterable[OpenIntent], listed: Iterable[Sighting]) -> list[Sighting]:
    """Return the listed orders that bear a reference of an order of these intents."""
    wanted = {reference_of(order) for one in intents for order in one.intent.orders}
    return [seen for seen in listed if not wanted.isdisjoint(_references(seen))]


@final
class Matching:
    """Compares all open intents of an account with the listed orders."""

    def __init__(
        self,
        intents: Sequence[OpenIntent],
        listed: Iterable[Sighting],
        *,
        windows: Mapping[int, Window],
        taken: Collection[str],
        first_seen: Mapping[str, Collection[int]],
        alike: Alike,
    ) -> None:
        """``intents``: every open intent. Those under way count too, because they may claim an order.

        ``windows``: by reservation, when the intent was sent by the venue's clock. ``taken``: the venue ids of other
        known orders. ``first_seen``: by venue id, the reservations that were open when the order was first listed; no
        later one can have placed it.
        """
        self._windows = windows
        self._first_seen = first_seen
        self._alike = alike
        self._by_reference: dict[Reference, list[Sighting]] = {}
        for seen in sorted(listed, key=lambda one: one.opened_us):
            for reference in _references(seen) if seen.venue_id not in taken else ():
                self._by_reference.setdefault(reference, []).append(seen)
        self._claims = Counter(
            seen.venue_id for one in intents for order in _distinct(one) for seen in self._claimed(one, order)
        )

    def told(self, one: OpenIntent) -> LookupResult:
        """Return what became of an intent that places orders."""
        found: dict[Order, list[str]] = {}
        doubts = []
        for order, number in _distinct(one).items():
            found[order], doubt = self._settled(one, order, number)
            doubts += [doubt] if doubt and len(found[order]) < number else []
        venue_ids = tuple(found[order].pop(0) if found[order] else None for order in one.intent.orders)
        return LookupResult(venue_ids, "; ".join(dict.fromkeys(doubts)), rough=ROUGH in doubts)

    def _settled(self, one: OpenIntent, order: Order, number: int) -> tuple[list[str], str]:
        """Return the certain ids of the ``number`` equal orders of an intent, and why others are in doubt."""
        if reference_of(order) is None:
            return [], "it bears no reference by which it could be recognised"
        candidates, doubtful = self._candidates(one, order)
        if any(seen.opened_us < self._windows[one.reservation][1] for seen in candidates):
            return [], ROUGH
        if len(candidates) > number:
            return [], f"{len(candidates)} orders at the exchange are like it"
        if any(self._claims[seen.venue_id] > 1 for seen in candidates):
            return [], "the order at the exchange that is like it may be that of another call"
        return [seen.venue_id for seen in candidates], OLDER_OR_UNLISTED if doubtful else ""

    def _claimed(self, one: OpenIntent, order: Order) -> list[Sighting]:
        """Return the listed orders that may be this one, also those of which only the pair is doubtful."""
        candidates, doubtful = self._candidates(one, order)
        return [*candidates, *(seen for seen in doubtful if seen.opened_us >= self._windows[one.reservation][0])]

    def _candidates(self, one: OpenIntent, order: Order) -> tuple[list[Sighting], list[Sighting]]:
        """Return the listed orders that may be this one, oldest first, and those of which that is doubtful."""
        candidates: list[Sighting] = []
        doubtful: list[Sighting] = []
        for seen in self._by_reference.get(reference_of(order) or _NONE, ()):
            alike = self._alike(one.intent, order, seen)
            if alike is False or one.reservation not in self._first_seen.get(seen.venue_id, (one.reservation,)):
                continue
            certain = alike and seen.opened_us >= self._windows[one.reservation][0]
            (candidates if certain else doubtful).append(seen)
        return candidates, doubtful


def reference_of(order: Order) -> Reference | None:
    """Return the reference by which an order can be recognised at the venue; None if it bears none."""
    if order.own is not None:
        return "own", order.own
    if order.client_tag is not None:
        return "client-tag", order.client_tag
    return ("client-id", order.client_id) if order.client_id else None


def _references(seen: Sighting) -> list[Reference]:
    given = (("client-tag", seen.client_tag), ("client-id", seen.client_id))
    return [(kind, value) for name, value in given if value for kind in (name, "own")]


def _distinct(one: OpenIntent) -> Mapping[Order, int]:
    """Return each distinct order of an intent with its number. Equal orders of a batch are interchangeable."""
    return Counter(one.intent.orders)
