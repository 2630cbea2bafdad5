"""The words of one venue that policy files and the reasons of decisions use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from signer.model.orders import RefKind


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a policy for accounts of one venue may say, and how its answers name things."""

    venue: str
    """The venue's name."""
    permissions: tuple[str, ...]
    """The permissions that a policy may grant."""
    withheld: Mapping[str, str]
    """The permissions that no policy grants, each with the reason."""
    sees_account: frozenset[str]
    """The permissions of which every call shows the whole account."""
    placing: str
    """The permission to place orders."""
    cancelling: str
    """The permission that suffices to cancel and amend orders."""
    place_call: str
    """The endpoint that places one order."""
    order_types: tuple[str, ...]
    times_in_force: tuple[str, ...]
    ending: str
    """The time in force of an order that states its end."""
    flags: tuple[str, ...]
    post_only: str
    """The flag of orders that never take liquidity."""
    quote_sized: str
    """The flag of orders whose volume is in the quote currency."""
    starts: str
    """The parameter that says when an order starts."""
    ends: str
    refs: Mapping[RefKind, str]
    """What each kind of order name is called."""
    assets: Mapping[str, str]
    """Other spellings of assets, each with the common one."""
