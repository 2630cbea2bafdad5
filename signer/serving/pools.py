"""Keeps the connections to venues: a pool for each origin that accounts trade at, and one for public calls alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from signer.contracts import Clock
from signer.gateway.public import PublicBounds
from signer.home.settings import Config
from signer.upstream import UpstreamPool
from signer.upstream.held import HeldAnswers
from signer.upstream.own_addresses import OwnAddresses

PUBLIC = "public"


@final
class Pools:
    """Opens each pool when it is first asked for. No call goes to an address of ``own``; ``held`` counts answers."""

    def __init__(self, own: OwnAddresses, held: HeldAnswers | None) -> None:
        self._own = own
        self._held = held
        self._pools: dict[tuple[str, ...], UpstreamPool] = {}

    @property
    def all(self) -> Mapping[tuple[str, ...], UpstreamPool]:
        """Return every pool that was opened."""
        return self._pools

    def of(self, origin: str, addresses: Sequence[str]) -> UpstreamPool:
        """Return the pool for private calls to ``origin``."""
        key = (origin, *addresses)
        if key not in self._pools:
            self._pools[key] = UpstreamPool.open(origin, addresses=addresses, own=self._own, held=self._held)
        return self._pools[key]

    def public(self, config: Config, venue: str) -> UpstreamPool:
        """Open connections for public calls alone, so that a flood of them takes none from private calls."""
        origin, addresses = config.public(venue)
        key = (PUBLIC, origin, *addresses)
        if key not in self._pools:
            at_once = config.limits.public_calls_at_once + 1  # one for the list of pairs
            self._pools[key] = UpstreamPool.open(
                origin, addresses=addresses, own=self._own, limit=at_once, held=self._held
            )
        return self._pools[key]

    def close(self) -> None:
        """Close the idle connections now, and the others as soon as their answers have arrived."""
        for pool in self._pools.values():
            pool.close()


def public_bounds(config: Config, clock: Clock) -> PublicBounds:
    """Return how often public calls may come, and how many may be under way."""
    total, at_once = config.limits.public_calls_per_second_total, config.limits.public_calls_at_once
    return PublicBounds.of(config.gateway.public_calls_per_second, total, at_once, clock)
