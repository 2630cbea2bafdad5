"""Asks the venues whether the machine's clock is right, if it is far ahead of the journal's.

A start may find it so, and it may become so later, because the journal's clock stands still while the machine sleeps.
What is spent afterwards would be dated too early, and would leave a cap too early after a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, final

from signer.contracts import Clock, Journal
from signer.errors import SignerError
from signer.gateway.forward import Account
from signer.gateway.snapshot import Snapshot
from signer.gateway.trace import Watch
from signer.model import Json
from signer.serving.admin import Operator, Verb

ASK_S: Final = 5.0
"""How long a venue may take to answer."""
AGAIN_S: Final = 5.0
"""How soon it is asked again."""
MOST_OFF_US: Final = 60_000_000
"""How far the two clocks may be apart. Nobody's caps change by a minute."""
ACCEPT: Final = "set the clock and restart, or run `signer clock accept`"


@final
class ClockCheck:
    """Confirms the journal's clock by a venue's, or by an operator's word."""

    def __init__(self, snapshot: Callable[[], Snapshot], journal: Journal, *, watch: Watch, clock: Clock) -> None:
        self._snapshot = snapshot
        self._journal = journal
        self._watch = watch
        self._clock = clock
        self._said = False
        self._denied_us = 0
        """How far the machine's clock was ahead of the journal's when a venue last denied it."""

    async def at_start(self) -> None:
        """Ask once, if the clock is in doubt. A venue that does not answer is asked again by `run`."""
        if self._journal.clock_ahead_us:
            await self._ask_all()

    async def run(self) -> None:
        """Ask again until somebody agrees. It stays idle where nothing is in doubt."""
        while True:
            await asyncio.sleep(AGAIN_S)
            await self.look()

    async def look(self) -> None:
        """Ask if the clock is in doubt, or if the journal's has been left behind and no venue has denied that yet."""
        ahead_us = self._ahead_us()
        is_left_behind = ahead_us > MOST_OFF_US and abs(ahead_us - self._denied_us) > MOST_OFF_US
        if self._journal.clock_ahead_us or is_left_behind:
            await self._ask_all()

    def verbs(self) -> Mapping[str, Verb]:
        """Return the verb by which an operator accepts the clock."""
        return {"accept_clock": self._accept}

    async def _accept(self, _: Operator, __: Mapping[str, Json]) -> Json:
        was_doubted = bool(self._journal.clock_ahead_us)
        self._journal.trust_clock()
        return was_doubted

    async def _ask_all(self) -> None:
        for account in self._snapshot().accounts.values():
            try:
                off_us = await self._off_us(account)
            except SignerError:
                continue
            if abs(off_us) <= MOST_OFF_US:
                self._journal.trust_clock()
                return
            self._denied_us = self._ahead_us()
            self._say(account.name, off_us)

    def _ahead_us(self) -> int:
        return self._clock.now_us() - self._journal.now_us()

    async def _off_us(self, account: Account) -> int:
        """Return how far the machine's clock is ahead of the venue's. Raises `SignerError` if it does not answer."""
        answer = await account.upstream.send(account.venue.time_request(), self._clock.monotonic() + ASK_S)
        return self._clock.now_us() - account.venue.read_time(answer)

    def _say(self, account: str, off_us: int) -> None:
        if self._journal.clock_ahead_us and not self._said:
            self._said = True
            ahead, off = self._journal.clock_ahead_us // 1_000_000, off_us // 1_000_000
            what = f"no order is sent: the clock is {ahead} s ahead of the last record, and {off} s off the clock of"
            self._watch.alarm("clock", f"{what} {account}'s exchange; {ACCEPT}")
