"""Which orders a cancel goes for: the client's own of the names that it gives, each by its venue id.

Other bearers of such a name decide nothing and are not reached. An order of that name without a venue id is waited
for while it is on its way, and looked up at the venue when its answer was lost: to cancel it by the name alone would
reach whoever bears the name.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from signer.contracts import Clock, Ledger, LookUps, Venue
from signer.errors import Refused, Unanswered
from signer.gateway.credential import OURS
from signer.gateway.forward import Account, Journey
from signer.gateway.known_closed import YOUNG_US, KnownClosed
from signer.gateway.outcomes import Outcomes, Pending
from signer.model import OrderRef, PlacedOrder

READ_S = 3.0
"""How long the venue may take to list what is open; without the list every order of the name is asked for."""


@dataclass(frozen=True, slots=True)
class Aim:
    """The orders that a cancel goes for."""

    refs: tuple[OrderRef, ...]
    """Each once: by venue id, or under an account-wide policy by a name that the ledger does not know."""
    unsettled: tuple[OrderRef, ...]
    """Names of which an order may exist that has no venue id yet."""


@final
class Aiming:
    """Finds the orders of names."""

    def __init__(self, ledger: Ledger, pending: Pending, outcomes: Outcomes, look_ups: LookUps, clock: Clock) -> None:
        self._ledger = ledger
        self._pending = pending
        self._outcomes = outcomes
        self._look_ups = look_ups
        self._clock = clock
        self.closed = KnownClosed()
        self._looking: dict[str, asyncio.Task[None]] = {}

    async def aim(self, account: Account, venue: Venue, names: Sequence[OrderRef], owner: str, until: float) -> Aim:
        """The orders of ``owner`` (of anybody, if empty) with these names. May wait for orders until ``until``."""
        await self._settle(account.name, names, owner, until)
        bearers = {name: await self._bearers(account, name, owner) for name in names}
        placed = await self._open_ones(account, venue, bearers, owner)
        refs: dict[OrderRef, None] = {}  # a dict keeps their order and has each once
        for name, found in bearers.items():
            refs |= dict.fromkeys(OrderRef("venue-id", one.venue_id) for one in placed[name])
            if not placed[name] and not owner and not (found and name.kind == "venue-id"):
                refs[name] = None
        return Aim(tuple(refs), tuple(name for name in bearers if self._is_unsettled(account.name, name, owner)))

    async def open_orders(self, account: Account, venue: Venue, owner: str) -> Sequence[PlacedOrder]:
        """All orders of ``owner`` (of every client, if empty) that have a venue id and may be open, newest first."""
        pending = self._pending.of(account.name, owner)
        venue_ids = {one.venue_id for one in pending}
        stored = [one for one in await self._ledger.open_orders(account.name, owner) if one.venue_id not in venue_ids]
        young, known = ([one for one in found if not self.closed.has(one)] for found in (pending, stored))
        return [*young, *await self._still_open(account, venue, None, owner, known)] if known else young

    async def settle_all(self, account: Account, owner: str, until: float) -> None:
        """Wait for every order of ``owner`` that is on its way, and look up those that are lost; until ``until``."""
        await self._settle(account.name, [None], owner, until)

    def _is_unsettled(self, account: str, name: OrderRef, owner: str) -> bool:
        return any(self._pending.without_id(account, name, owner, lost=lost) for lost in (False, True))

    async def _settle(self, account: str, names: Sequence[OrderRef | None], owner: str, until: float) -> None:
        """Wait for what is on its way, then look up what is lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while any(self._pending.without_id(account, name, owner, lost=False) for name in names):
                    await self._pending.moved()
        if any(self._pending.without_id(account, name, owner, lost=True) for name in names):
            await self._outcomes.caught_up()  # the ledger must know that it is lost
            await self._look_up(account, until)

    async def _look_up(self, account: str, until: float) -> None:
        """One look-up of an account at a time, which whoever asks meanwhile waits for. It goes on if we cannot wait."""
        task = self._looking.get(account)
        if task is None or task.done():
            task = asyncio.get_running_loop().create_task(self._look_ups.look_up(account))
            self._looking[account] = task
        await asyncio.wait({task}, timeout=max(0.0, until - self._clock.monotonic()))

    async def _bearers(self, account: Account, name: OrderRef, owner: str) -> Sequence[PlacedOrder]:
        """The orders of a name that have a venue id, newest first."""
        known = await self._ledger.find_orders(account.name, name)
        merged = self._pending.merged(account.name, name, known)
        return [one for one in merged if one.venue_id and owner in {"", one.client}]

    async def _open_ones(
        self, account: Account, venue: Venue, bearers: Mapping[OrderRef, Sequence[PlacedOrder]], owner: str
    ) -> Mapping[OrderRef, Sequence[PlacedOrder]]:
        """Those of the ``bearers`` of each name that may be open. The venue is asked once, however many names there
        are."""
        placed: dict[OrderRef, Sequence[PlacedOrder]] = {}
        for name, found in bearers.items():
            newest = found[:1] if name.kind == "client-id" else found  # unique among open orders: older ones are closed
            placed[name] = [one for one in newest if not self.closed.has(one)]
        several = {name: ones for name, ones in placed.items() if len(ones) > 1}
        if not several:
            return placed
        asked = next(iter(several)) if len(several) == 1 else None
        doubtful = [one for ones in several.values() for one in ones]
        still = {one.venue_id for one in await self._still_open(account, venue, asked, owner, doubtful)}
        return placed | {name: [one for one in ones if one.venue_id in still] for name, ones in several.items()}

    async def _still_open(
        self, account: Account, venue: Venue, name: OrderRef | None, owner: str, placed: Sequence[PlacedOrder]
    ) -> Sequence[PlacedOrder]:
        """Those of ``placed`` that the venue lists as open, or that are too young to be listed; all if it does not say.

        A bot may give all its orders one tag: most of them are closed, and each would cost a request.
        """
        try:
            async with asyncio.timeout(READ_S):
                read = venue.open_call(name)
                answer, _ = await account.forward(venue, read, owner or OURS, Journey(), lambda: None)
        except (Refused, Unanswered, TimeoutError):
            return placed
        listed = venue.read_open(answer)
        young_us = self._clock.now_us() - YOUNG_US
        return (
            placed if listed is None else [one for one in placed if one.venue_id in listed or one.placed_us > young_us]
        )
