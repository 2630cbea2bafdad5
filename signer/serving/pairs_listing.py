"""Keeps the venue's list of pairs fresh, and warns of policies that name pairs which are not listed.

A list is taken up as a whole, and only if every policy still loads with it. Otherwise the list before stays in force.
An unlisted pair stops its own orders, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import final

from signer.contracts import Clock, Upstream, Venue
from signer.errors import ConfigError, SignerError
from signer.findings import Finding, Weight
from signer.gateway.trace import Watch
from signer.market.pairs import fetch_pairs, load_pairs, save_pairs
from signer.model import Json
from signer.policy.policy import Policy
from signer.venues import open_venue

FETCH_S = 3.0
DAILY_S = 24 * 3600.0
FIRST_AGAIN_S = 60.0
"""The wait after a failed fetch. Each further failure doubles it, up to an hour."""
MOST_AGAIN_S = 3600.0

Take = Callable[[Venue], Awaitable[None]]
"""Puts the venue with another list in force. Raises `SignerError` if it cannot be."""


def unlisted(policies: Iterable[Policy], *, complete: bool) -> Iterator[Finding]:
    """Find the pairs that a policy names and the venue does not list. ``complete`` says that the venue's list is known.

    Without a complete list the pair is only unchecked. Nobody can fix that, so it has no hint.
    """
    for policy in policies:
        for name, hint in policy.unlisted.items():
            about, what = f"policy {policy.name}", f"the exchange does not list {name}, so no order for it passes"
            if complete:
                yield Finding(Weight.WARNING, "unlisted-pair", about, what, hint)
            else:
                what = f"{name} is not checked yet, so no order for it passes: no list of pairs was fetched"
                yield Finding(Weight.WARNING, "unlisted-pair", about, what)


@final
class PairsListing:
    """Fetches the venue's list at a start that needs it, daily, and on request."""

    def __init__(
        self, path: Path, venue: Callable[[], Venue], upstream: Callable[[], Upstream], *, watch: Watch, clock: Clock
    ) -> None:
        self._venue = venue
        self._path = path
        self._upstream = upstream
        self._watch = watch
        self._clock = clock
        self._wanted = asyncio.Event()
        self._said: frozenset[str] = frozenset()

    async def refresh(self, take: Take) -> bool:
        """Fetch the list, put it in force and keep it. If that fails, raise an alarm and go on with the known list."""
        venue, deadline = self._venue(), self._clock.monotonic() + FETCH_S
        try:
            fetched = await fetch_pairs(venue, self._upstream(), deadline, self._kept())
            await take(open_venue(venue.name, fetched))
            save_pairs(self._path, fetched)  # only now: a start with a list that a policy contradicts fails
        except SignerError as error:
            self._watch.alarm(
                "pairs", f"the pairs of {venue.name} cannot be taken, those known before are used: {error}"
            )
            return False
        return True

    async def run(self, take: Take, *, at_once: bool) -> None:
        """Refresh daily, sooner after a failure, and when it is `wanted`."""
        wait_s, again_s = 0.0 if at_once else DAILY_S, FIRST_AGAIN_S
        while True:
            await self._woken(wait_s)
            if await self.refresh(take):
                wait_s, again_s = DAILY_S, FIRST_AGAIN_S
            else:
                wait_s, again_s = again_s, min(2 * again_s, MOST_AGAIN_S)

    def say(self, policies: Collection[Policy], *, complete: bool) -> None:
        """Warn once of each newly unlisted pair."""
        found = {str(finding) for finding in unlisted(policies, complete=complete)}
        for text in sorted(found - self._said):
            self._watch.warn("pairs", text)
        self._said = frozenset(found)

    def want(self) -> None:
        """Ask for a refresh now."""
        self._wanted.set()

    def _kept(self) -> Mapping[str, Json] | None:
        try:
            return load_pairs(self._path)
        except ConfigError:  # a good list replaces it
            return None

    async def _woken(self, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._wanted.wait()
        except TimeoutError:
            pass
        self._wanted.clear()
