"""Fetches the exchanges' lists of pairs, by which policies are judged, and keeps them in the home."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from signer.contracts import Venue
from signer.errors import SignerError
from signer.home.layout import Home
from signer.home.settings import Config
from signer.market.pairs import fetch_pairs, load_pairs, save_pairs
from signer.model import Json
from signer.operator.person import Person
from signer.policy.policy import Policy
from signer.serving.loaded import policies_of, venues_of
from signer.serving.pairs_listing import FETCH_S, unlisted
from signer.upstream import UpstreamPool
from signer.venues import open_venue

FRESH_S = 60.0
"""A list younger than this is not fetched anew."""


def current_venues(home: Home, config: Config, person: Person) -> Mapping[str, Venue]:
    """Return the home's venues by name, each with its list of pairs fetched now.

    If that takes over `FETCH_S` or fails, warn and take the last list known. Raises `ConfigError` for an unknown venue.
    """
    venues = dict(venues_of(home, config))
    for name, venue in list(venues.items()):
        if _is_fresh(home.pairs(name)):
            continue
        try:
            fetched = asyncio.run(_fetched(venue, config, load_pairs(home.pairs(name))))
            before, venues[name] = len(_loadable(home, venues)), open_venue(name, fetched)
            if len(_loadable(home, venues)) >= before:
                save_pairs(home.pairs(name), fetched)
        except SignerError as error:
            complete = venue.pairs.complete
            then = "the last one is used" if complete else "names that signer does not know are not checked"
            person.warn(f"the exchange's list of pairs cannot be had, {then}: {error}")
    return venues


def warn_of_unlisted(home: Home, person: Person) -> None:
    """Warn of each pair that a policy of the home names and the exchange does not list."""
    venues = venues_of(home)
    for policy in _loadable(home, venues):
        for finding in unlisted([policy], complete=venues[policy.words.venue].pairs.complete):
            person.warn(str(finding))


def _is_fresh(path: Path) -> bool:
    try:
        return 0 <= time.time() - path.stat().st_mtime < FRESH_S
    except OSError:
        return False


async def _fetched(venue: Venue, config: Config, before: Mapping[str, Json] | None) -> Mapping[str, Json]:
    origin, addresses = config.public(venue.name)
    upstream = UpstreamPool.open(origin, addresses=addresses)
    try:
        return await fetch_pairs(venue, upstream, asyncio.get_running_loop().time() + FETCH_S, before)
    finally:
        upstream.close()


def _loadable(home: Home, venues: Mapping[str, Venue]) -> list[Policy]:
    return list(policies_of(home, venues).policies.values())
