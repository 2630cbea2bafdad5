"""Orders as the venue lists them, whoever placed them: what a look-up compares our own intents with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from signer.model import Price


@dataclass(frozen=True, slots=True)
class Sighting:
    """One order in the venue's list."""

    venue_id: str
    pair: str
    """Canonical id; as the venue shows it if we do not know the pair."""
    side: str
    order_type: str
    volume: Decimal
    price: Price | None
    price2: Price | None
    client_tag: str
    """Empty if it has none; likewise ``client_id``."""
    client_id: str
    opened_us: int
    """The time by the venue's clock."""
    closed_us: int | None = None
    cancelled: bool = False
    """Whether somebody's cancel closed it, and not a fill or its end of time."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One answer of the venue: a list of orders, or a page of one."""

    sightings: Mapping[str, Sighting]
    """The orders, keyed by venue id."""
    total: int | None = None
    """How many there are on all pages together, if the venue says so."""
