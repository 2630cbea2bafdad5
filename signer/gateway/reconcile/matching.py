"""Which listed order is which of our intents? Settled is only what can be nothing else. Pure.

An intent's order is a listed one only if exactly one is a candidate: alike, not known to the ledger as another order,
not seen before the intent was there, and opened at or after the moment at which the intent was sent. A twin that the
owner's hand or another bot placed must never become the client's: whoever owns an order may change and cancel it.
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
"""The kind of a name that a client gives, and its value."""
_NONE: Reference = ("", "")

OLDER_OR_UNLISTED = "an order at the exchange is like it, but was opened before it was sent, or its pair is not listed"


@dataclass(frozen=True, slots=True)
class LookupResult:
    """What the lists tell of one intent."""

    venue_ids: tuple[str | None, ...]
    """One for each of its orders; None where none was found."""
    doubt: str = ""
    """Why one that was not found may be there all the same; empty if it is certainly not on the lists."""
    unread: bool = False
    """Whether the doubt is only that the lists could not be read."""


def bearing_names_of(intents: Iterable[OpenIntent], listed: Iterable[Sighting]) -> list[Sighting]:
    """The listed orders that bear a reference of an order of these intents."""
    wanted = {reference_of(order) for one in intents for order in one.intent.orders}
    return [seen for seen in listed if not wanted.isdisjoint(_references(seen))]


@final
class Matching:
    """Compares all open intents of an account with what is listed."""

    def __init__(
        self,
        intents: Sequence[OpenIntent],
        listed: Iterable[Sighting],
        *,
        since_us: Mapping[int, int],
        taken: Collection[str],
        first_seen: Mapping[str, Collection[int]],
        alike: Alike,
    ) -> None:
        """``intents``: every open one, those still under way too, since they may claim an order.

        ``since_us``: by reservation, the venue's time before which the intent had not been sent. ``taken``: ids
        that are known to be other orders. ``first_seen``: by id, the reservations that were open when it was first
        listed; no later one can have placed it.
        """
        self._since_us = since_us
        self._first_seen = first_seen
        self._alike = alike
        self._by_reference: dict[Reference, list[Sighting]] = {}
        for seen in sorted(listed, key=lambda one: one.opened_us):
            for reference in _references(seen) if seen.venue_id not in taken else ():
                self._by_reference.setdefault(reference, []).append(seen)
        self._claims = Counter(
            seen.venue_id for one in intents for order in _distinct(one) for seen in self._candidates(one, order)[0]
        )

    def told(self, one: OpenIntent) -> LookupResult:
        """What became of an intent that placed orders."""
        found: dict[Order, list[str]] = {}
        doubts = []
        for order, number in _distinct(one).items():
            found[order], doubt = self._settled(one, order, number)
            doubts += [doubt] if doubt and len(found[order]) < number else []
        venue_ids = tuple(found[order].pop(0) if found[order] else None for order in one.intent.orders)
        return LookupResult(venue_ids, "; ".join(dict.fromkeys(doubts)))

    def _settled(self, one: OpenIntent, order: Order, number: int) -> tuple[list[str], str]:
        """The ids of the ``number`` like orders of an intent as far as they are certain, and why not further."""
        if reference_of(order) is None:
            return [], "it bears no reference by which it could be recognised"
        candidates, doubtful = self._candidates(one, order)
        if len(candidates) > number:
            return [], f"{len(candidates)} orders at the exchange are like it"
        if any(self._claims[seen.venue_id] > 1 for seen in candidates):
            return [], "the order at the exchange that is like it may be that of another call"
        return [seen.venue_id for seen in candidates], OLDER_OR_UNLISTED if doubtful else ""

    def _candidates(self, one: OpenIntent, order: Order) -> tuple[list[Sighting], list[Sighting]]:
        """The listed orders that may be its own, the oldest first; and those that are like it as far as can be told."""
        candidates: list[Sighting] = []
        doubtful: list[Sighting] = []
        for seen in self._by_reference.get(reference_of(order) or _NONE, ()):
            alike = self._alike(one.intent, order, seen)
            if alike is False or one.reservation not in self._first_seen.get(seen.venue_id, (one.reservation,)):
                continue
            certain = alike and seen.opened_us >= self._since_us.get(one.reservation, 0)
            (candidates if certain else doubtful).append(seen)
        return candidates, doubtful


def reference_of(order: Order) -> Reference | None:
    """The reference by which an order can be recognised at the venue; None if it bears none."""
    if order.client_tag is not None:
        return "client-tag", order.client_tag
    return ("client-id", order.client_id) if order.client_id else None


def _references(seen: Sighting) -> list[Reference]:
    return [
        *([("client-tag", seen.client_tag)] if seen.client_tag else []),
        *([("client-id", seen.client_id)] if seen.client_id else []),
    ]


def _distinct(one: OpenIntent) -> Mapping[Order, int]:
    """The orders of an intent, and how many are the same: a batch may hold twins, which are interchangeable."""
    return Counter(one.intent.orders)
