"""Opens the venues for commands on policies: with the home's lists of pairs, or with the built-in ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from signer.contracts import Venue
from signer.home.layout import Home
from signer.home.settings import DEFAULT_VENUE
from signer.policy import load_policy
from signer.policy.load import terms_for
from signer.policy.policy import Policy
from signer.venues import open_venue, terms_of

venue_option = click.option(
    "--venue", help=f"Whose words they use. Default: as the home says, {DEFAULT_VENUE} without."
)


def known_venues(home: Home, named: str | None) -> Mapping[str, Venue]:
    """Open the venue ``named`` on the command line, else those of the home's accounts, else the usual one.

    In a home they have the pairs that its gateway knows. Raises `ConfigError`.
    """
    if not is_home(home):
        return {name: open_venue(name) for name in [named or DEFAULT_VENUE]}
    from signer.serving.loaded import venue_of, venues_of  # noqa: PLC0415 - a pipeline checks policies without a home

    return {named: venue_of(home, named)} if named else venues_of(home)


def is_home(home: Home) -> bool:
    """Tell whether there is a home, or what is left of one."""
    return home.config.exists() or bool(home.pairs_kept())


def load_for(path: Path, venues: Mapping[str, Venue]) -> tuple[Policy, Venue]:
    """Load a policy, with the one of ``venues`` that it is for. Raises `ConfigError`."""
    terms = terms_for(path, {name: terms_of(venue) for name, venue in venues.items()})
    return load_policy(path, *terms), venues[terms.words.venue]
