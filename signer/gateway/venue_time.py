"""What the clock of each account's venue shows, reckoned from our monotonic clock, which nobody sets.

Only the venue's own clock can tell whether an order was opened before an intent was sent. So each intent notes the
earliest time that this clock can have shown when it was sent. Our wall clock may be wrong, and may be set between that
moment and the look-up.

The difference is measured by the venue's public Time at the start and once an hour. The answer was made before it
reached us, and says whole seconds, cut: at the moment of its arrival the venue's clock showed at least that.
"""

from __future__ import annotations

from typing import final

from signer.contracts import Clock, Venue
from signer.errors import SignerError, VenueError
from signer.gateway.forward import Account

ASK_S = 3.0
AGAIN_S = 3600.0
MARGIN_US = 1_000_000
"""For clocks that drift within the hour, and for the venue's engine, whose clock stamps the orders."""


@final
class VenueTime:
    """The venue's time, by account."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_us: dict[str, int] = {}
        """By how much the venue's clock is ahead of our monotonic one, at least."""
        self._measured: dict[str, float] = {}

    def is_due(self, account: str) -> bool:
        """Whether it was not measured within the hour."""
        return self._clock.monotonic() - self._measured.get(account, float("-inf")) >= AGAIN_S

    async def measure(self, account: Account, venue: Venue) -> None:
        """Ask the venue. Raises `SignerError` if it does not say; what was measured before is then still good."""
        answer = await account.upstream.send(venue.time_request(), self._clock.monotonic() + ASK_S)
        shown_us, heard = venue.read_time(answer), self._clock.monotonic()
        self._ahead_us[account.name] = shown_us - round(heard * 1_000_000) - MARGIN_US
        self._measured[account.name] = heard

    async def try_to_measure(self, account: Account, venue: Venue) -> str:
        """As `measure`, but the reason why it failed is answered; empty if it did not."""
        try:
            await self.measure(account, venue)
        except SignerError as error:
            return str(error)
        return ""

    def earliest_us(self, account: str) -> int:
        """The earliest that the venue's clock can show now; 0 if it was never asked."""
        ahead_us = self._ahead_us.get(account)
        return 0 if ahead_us is None else ahead_us + round(self._clock.monotonic() * 1_000_000)

    def earliest_at(self, account: str, at_us: int) -> int:
        """The earliest that it can have shown when our wall clock showed ``at_us``, if nobody has set ours since.

        Raises `VenueError` if it was never asked.
        """
        now_us = self.earliest_us(account)
        if not now_us:
            raise VenueError("the exchange's clock is not known yet", mend="see that the exchange can be reached")
        return now_us - (self._clock.now_us() - at_us)
