"""The nonces of one real credential: strictly increasing, through restarts and clocks set back.

The venue refuses a nonce that is not above the highest one it has seen of the key, and never lowers that
(docs/kraken.md §2e). So a high-water mark is stored *ahead* of use: no nonce above the stored mark is ever handed out,
and after a crash we go on from the mark, which is above everything that can have been sent.

Some programs count in tens of nanoseconds or in nanoseconds, so a key that one of them used before us wants larger
nonces than microseconds: the source goes on in the unit that the venue's own word, or its refusal, shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, final

from typing_extensions import override

from signer.contracts import Clock
from signer.errors import NotServed, SignerError

SECOND_US = 1_000_000
FIRST_JUMP_US = 10 * SECOND_US
"""How far a refused nonce makes us jump at first; each further refusal within a minute doubles it."""
FARTHEST_JUMP_US = 3600 * SECOND_US
"""No jump leads further ahead of the clock: a nonce can never be taken back."""
REPEATED_WITHIN_S = 60.0
AHEAD_US = 2 * SECOND_US
"""How far ahead of use a mark is stored."""
UNITS = (1, 100, 1000)
"""Nonces to a microsecond: microseconds, tens of nanoseconds, nanoseconds. None is left for a smaller one."""
NONCE_LIMIT = 2**64
"""Nonces are unsigned 64-bit numbers (docs/kraken.md §2e)."""


def unit_of(nonce: int, now_us: int) -> int:
    """Return the largest of `UNITS` in which ``nonce`` is no earlier than half of now; the smallest if none is."""
    return max((unit for unit in UNITS if 2 * nonce >= now_us * unit), default=UNITS[0])


def used_us(mark: int, now_us: int) -> int:
    """Tell when a credential with this mark last signed, to within some seconds."""
    return min(mark // unit_of(mark, now_us) - AHEAD_US, now_us)


class LaneNonces(Protocol):
    """Where the turns of one lane get their nonces from."""

    before: int
    """The nonce handed out before the last one."""
    handed: int
    """The highest nonce that can have been sent; 0 if there never was one."""
    used: bool
    """Whether the venue has taken a nonce of ours of this key, as far as we know."""

    def take(self) -> int | None:
        """Return the next nonce; None if it must be waited for (`take_stored`)."""

    async def take_stored(self) -> int:
        """Return the next nonce, after waiting for the store. Raises `NotServed` if there is none."""

    def refused(self, nonce: int) -> None:
        """Note that the venue refused ``nonce``."""

    def learn(self, nonce: int) -> None:
        """Go on above the highest nonce that the venue has seen."""


@final
class NoNonces(LaneNonces):
    """The source of freshness for a venue that takes the calls of one key in any order."""

    def __init__(self) -> None:
        self.before = self.handed = 0
        self.used = False

    @override
    def take(self) -> int:
        return 0

    @override
    async def take_stored(self) -> int:
        return 0

    @override
    def refused(self, nonce: int) -> None:
        """Do nothing: none was sent."""

    @override
    def learn(self, nonce: int) -> None:
        """Do nothing: there is nothing to go on from."""


@final
class NonceSource(LaneNonces):
    """Hands out nonces of the credential behind the mark ``name`` (``credential/NAME``).

    ``mark`` is the stored mark at the start (0 if there is none), ``raise_mark`` stores a higher one (`Marks`). The
    mark is stored ``ahead_us`` ahead of use and refreshed in the background when half of that is used, so that a lane
    waits for the store once. ``on_alarm`` hears, in words, of a second refused nonce within a minute.
    """

    def __init__(
        self,
        name: str,
        mark: int,
        raise_mark: Callable[[str, int], Awaitable[None]],
        clock: Clock,
        *,
        on_alarm: Callable[[str], None],
        ahead_us: int = AHEAD_US,
    ) -> None:
        self.before = mark
        """The nonce handed out before the last one; at first the mark, which none of an earlier run has passed."""
        self.handed = mark
        """The highest nonce that can have been sent."""
        self._name = name
        self._unit = unit_of(mark, clock.now_us())
        self._last = max(mark, self._unit * clock.now_us())
        self.used = mark > 0
        """Whether the venue has taken a nonce of ours of this key, as far as we know."""
        self._mark = mark
        self._raise_mark = raise_mark
        self._clock = clock
        self._on_alarm = on_alarm
        self._ahead_us = ahead_us
        self._storing: asyncio.Task[None] | None = None
        self._jump_us = FIRST_JUMP_US
        self._jumped_at: float | None = None
        self._jumped_past = -1

    @override
    def take(self) -> int | None:
        """Return the next nonce, or None if the mark must be stored further ahead first (`take_stored`)."""
        self.used = self.used or self.handed > max(self._jumped_past, 0)
        now = self._now()
        nonce = max(self._last + 1, now)
        if nonce > self._mark:
            # The clock ran past the mark while nobody called: rather than wait for the disk, lag behind it for once.
            nonce = self._last + 1
        if nonce > self._mark:
            return None
        self.before, self.handed = self.handed, nonce
        self._last = nonce
        if self._mark - max(nonce, now) < self._unit * self._ahead_us // 2:
            self._store_ahead()
        return nonce

    @override
    async def take_stored(self) -> int:
        """Wait for the store and return the next nonce. Raises `NotServed` if it fails or no nonce is left."""
        while (nonce := self.take()) is None:
            if self._last + 1 >= NONCE_LIMIT:
                raise NotServed.unavailable("this key has no nonce left, it must be replaced")
            try:
                # Shielded: others may wait for the same write, and it must not be left half done.
                await asyncio.shield(self._store_ahead())
            except SignerError as error:
                why = "the nonce could not be secured; nothing was sent"
                raise NotServed.unavailable(why, detail=str(error)) from error
        return nonce

    @override
    def refused(self, nonce: int) -> None:
        """Jump forward, because the venue refused ``nonce``. What was sent before the last jump tells nothing new.

        Of a key that it never took a nonce of ours of, it tells that others counted in a larger unit before us.
        """
        if nonce <= self._jumped_past:
            return
        larger = [unit for unit in UNITS if unit > self._unit]
        if larger and not self.used:
            self._unit, self._jumped_past = larger[0], self._last
            self.advance_past(self._now())
            return
        now = self._clock.monotonic()
        repeated = self._jumped_at is not None and now - self._jumped_at < REPEATED_WITHIN_S
        self._jump_us = self._jump_us * 2 if repeated else FIRST_JUMP_US
        self._jumped_at, self._jumped_past = now, self._last
        target = min(
            max(self._last, self._now()) + self._unit * self._jump_us, self._now() + self._unit * FARTHEST_JUMP_US
        )
        self.advance_past(target)
        if repeated:
            self._on_alarm(f"{self._name}: the venue refuses our nonces; is another program using this key?")

    @override
    def learn(self, nonce: int) -> None:
        """Go on above the highest nonce that the venue has seen, in its unit; not above one that no clock shows."""
        now_us = self._clock.now_us()
        if nonce < UNITS[-1] * (now_us + FARTHEST_JUMP_US):
            self.advance_past(nonce)
            self._unit = max(self._unit, unit_of(nonce, now_us))
        self.used = True

    def advance_past(self, nonce: int) -> None:
        """Make the next nonce higher than ``nonce``."""
        self._last = max(self._last, nonce)

    def _now(self) -> int:
        return self._unit * self._clock.now_us()

    def _store_ahead(self) -> asyncio.Task[None]:
        if self._storing is None:
            self._storing = asyncio.get_running_loop().create_task(self._store())
            self._storing.add_done_callback(self._stored)
        return self._storing

    async def _store(self) -> None:
        mark = min(max(self._last + 1, self._now()) + self._unit * self._ahead_us, NONCE_LIMIT - 1)
        await self._raise_mark(self._name, mark)
        self._mark = max(self._mark, mark)

    def _stored(self, task: asyncio.Task[None]) -> None:
        self._storing = None
        # A failure in the background is not lost: the call that needs the mark asks the store again and reports it.
        if not task.cancelled():
            task.exception()
