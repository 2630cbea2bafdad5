"""Fetches the exchange's list of pairs, by which policies are judged, and keeps it in the home."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from signer.contracts import Pairs, Venue
from signer.errors import SignerError
from signer.home.layout import Home
from signer.home.settings import Config
from signer.market.pairs import fetch_pairs, load_pairs, save_pairs
from signer.model import Json
from signer.operator.person import Person
from signer.policy.policy import Policy
from signer.serving.loaded import policies_of, venue_of
from signer.serving.pairs_listing import FETCH_S, unlisted
from signer.upstream import UpstreamPool
from signer.venues import open_venue

FRESH_S = 60.0
"""A list younger than this is not fetched anew."""


def current_pairs(home: Home, config: Config, person: Person) -> Pairs:
    """Fetch the exchange's list. If that takes over `FETCH_S` or fails, warn and return the last known list."""
    venue = venue_of(home, config)
    if not _is_fresh(home):
        try:
            fetched = asyncio.run(_fetched(venue, config, load_pairs(home.pairs)))
            listed = open_venue(venue.name, fetched).pairs
            if _fits(home, listed):
                save_pairs(home.pairs, fetched)
            return listed
        except SignerError as error:
            known = venue.pairs
            then = "the last one is used" if known.complete else "names that signer does not know are not checked"
            person.warn(f"the exchange's list of pairs cannot be had, {then}: {error}")
            return known
    return venue.pairs


def warn_of_unlisted(home: Home, person: Person) -> None:
    """Warn of each pair that a policy of the home names and the exchange does not list."""
    pairs = venue_of(home).pairs
    for finding in unlisted(_loadable(home, pairs), complete=pairs.complete):
        person.warn(str(finding))


def _is_fresh(home: Home) -> bool:
    try:
        return 0 <= time.time() - home.pairs.stat().st_mtime < FRESH_S
    except OSError:
        return False


async def _fetched(venue: Venue, config: Config, before: Mapping[str, Json] | None) -> Mapping[str, Json]:
    upstream = UpstreamPool.open(config.public_origin, addresses=config.public_resolve)
    try:
        return await fetch_pairs(venue, upstream, asyncio.get_running_loop().time() + FETCH_S, before)
    finally:
        upstream.close()


def _fits(home: Home, listed: Pairs) -> bool:
    """Tell whether as many policies load with ``listed`` as with the known list."""
    before = venue_of(home).pairs
    return len(_loadable(home, listed)) >= len(_loadable(home, before))


def _loadable(home: Home, pairs: Pairs) -> list[Policy]:
    return list(policies_of(home, venue_of(home).vocabulary, pairs).policies.values())
