"""Opens the venue for commands on policies: with the home's list of pairs, or with the built-in one."""

from __future__ import annotations

from signer.contracts import Pairs, Venue
from signer.home.layout import Home
from signer.home.settings import DEFAULT_VENUE
from signer.venues import open_venue


def known_venue(home: Home) -> Venue:
    """Open the venue as the gateway of this home knows it. Without a home, open the default venue."""
    if not home.pairs.exists() and not home.config.exists():
        return open_venue(DEFAULT_VENUE)
    from signer.serving.loaded import venue_of  # noqa: PLC0415 - a pipeline checks policies without a home

    return venue_of(home)


def names_of(pairs: Pairs) -> list[str]:
    """List the names of the pairs as the venue writes them."""
    return [pair.wsname for pair in pairs.by_id.values()]
