"""The exchanges that signer speaks to, one folder each. A new venue is a new folder here and changes nothing else.

Each folder has a module ``venue`` with ``opened(listed)``, which builds its `signer.contracts.Venue`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from signer.contracts import Venue
from signer.errors import ConfigError
from signer.model import Json
from signer.policy.load import VenueTerms


def venue_names() -> tuple[str, ...]:
    """Return the names of all venues, sorted."""
    return tuple(sorted(module.name for module in iter_modules(__path__) if module.ispkg))


def open_venue(name: str, listed: Mapping[str, Json] | None = None) -> Venue:
    """Return the venue ``name`` with the pairs that it ``listed``; None stands for the pairs known to this version.

    Raises `ConfigError` for an unknown name, and `VenueError` for a list that has no readable pair.
    """
    known = venue_names()
    if name not in known:
        raise ConfigError(f'there is no venue "{name[:70]}"', hint=f"choose one of: {', '.join(known)}")
    venue: Venue = import_module(f"{__name__}.{name}.venue").opened(listed)
    return venue


def terms_of(venue: Venue) -> VenueTerms:
    """Return what policies for accounts of ``venue`` are read by."""
    return VenueTerms(venue.vocabulary, venue.pairs.find, [pair.wsname for pair in venue.pairs.by_id.values()])
