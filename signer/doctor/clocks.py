"""Checks whether the exchange can be reached, and whether its clock and ours agree.

Nonces, expiry and the order of the log depend on our clock. It is compared with the exchange's public Time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from signer.contracts import Clock, Venue
from signer.doctor.said import error, fine, warning
from signer.errors import SignerError
from signer.findings import Finding
from signer.home.settings import Config
from signer.upstream import NOWHERE, UpstreamPool
from signer.upstream.own_addresses import OwnAddresses, refuse_loop
from signer.venues import open_venue

ASK_S = 5.0
WARN_S = 1.0
ERROR_S = 30.0
HINT = "set this machine's clock, and keep it set (`timedatectl set-ntp true`, chrony)"


async def examine(config: Config, own: OwnAddresses, where: str, clock: Clock) -> list[Finding]:
    """Ask each origin that signer.toml names for its time, once."""
    asked = [
        _origin(open_venue(name), origin, addresses, key, own, where, clock)
        for name in config.venues
        for (origin, addresses), key in _ways(config, name).items()
    ]
    return [finding for found in await asyncio.gather(*asked) for finding in found]


def _ways(config: Config, venue: str) -> Mapping[tuple[str, tuple[str, ...]], str]:
    """List the origins of a venue with their addresses, each with a key that states it."""
    return {(origin, tuple(addresses)): key for key, (origin, addresses) in config.origins_of(venue).items()}


async def _origin(
    venue: Venue, origin: str, addresses: Sequence[str], key: str, own: OwnAddresses, where: str, clock: Clock
) -> list[Finding]:
    about = f"exchange {origin}"
    try:
        refuse_loop({key: (origin, addresses)}, own, where)
        low, high = await _ahead(venue, origin, addresses, clock)
    except SignerError as why:
        hint = why.hint or "see to this machine's network, resolver and firewall"
        return [error("unreachable", about, why.what, hint)]
    return [judged(about, low, high)]


async def _ahead(venue: Venue, origin: str, addresses: Sequence[str], clock: Clock) -> tuple[float, float]:
    """Measure how many seconds our clock is ahead, at least and at most.

    The answer was made between sending and receiving, and its time is cut to the venue's unit.
    """
    upstream = UpstreamPool.open(origin, addresses=addresses, own=NOWHERE)
    try:
        await upstream.send(venue.time_request(), clock.monotonic() + ASK_S)  # connects, so that the next is quick
        sent = clock.now_us()
        theirs = venue.read_time(await upstream.send(venue.time_request(), clock.monotonic() + ASK_S)) / 1e6
        return sent / 1e6 - (theirs + venue.time_unit_us / 1e6), clock.now_us() / 1e6 - theirs
    finally:
        upstream.close()


def judged(about: str, low: float, high: float) -> Finding:
    """Return the finding for a clock that is ahead by ``low`` to ``high`` seconds (behind, if they are negative)."""
    off = max(low, -high, 0.0)
    if off <= WARN_S:
        return fine("clock", about, "answers, and its clock and ours agree")
    what = f"its clock and ours differ: ours is {off:.0f} s {'ahead' if low > 0 else 'behind'}, or more"
    return error("clock", about, what, HINT) if off > ERROR_S else warning("clock", about, what, HINT)
