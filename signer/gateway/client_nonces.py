"""Which nonces of one virtual credential have been used, apart for each unit of time that it has counted in.

A bot that counts in milliseconds and a script of the same client that counts in nanoseconds share a credential. Were
there one mark, a restart would take every nonce in milliseconds for an old one. So a nonce is compared with those of
its own length only: each unit of a clock has its own number of digits for centuries, and a call that was seen has the
same number whenever it is sent again. No mark ever falls, so no call is accepted twice.

Within a unit that follows the clock, a nonce from far in the future would shut out the client after the next restart.
It is refused before it counts, so it leaves no mark.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import final

from signer.errors import NotAuthentic, RefusalKind
from signer.gateway.replay import NonceWindow, mark_ahead

CLOCK_DIGITS = 10
"""Of seconds since 1970; every finer unit has more. Shorter nonces are a counter's, and are one unit."""
TEN_DIGITS_US = 10**16
"""The microseconds of 10 billion seconds: as long as a clock in seconds has `CLOCK_DIGITS` digits."""
MOST_WINDOWS = 3
"""Units whose recent nonces are remembered one by one; of another, everything up to its highest counts as used."""
MOST_AHEAD_US = 24 * 3600 * 1_000_000
"""How far beyond both the clock and the last nonce a client's next one may lie, if the client counts by the clock."""
FORGIVEN = "forgiven"
TOO_FAR_AHEAD = (
    "the nonce lies more than a day beyond the clock and the client's last one, so it was not counted; "
    "compare the clocks of the bot's machine and of this one, and the unit in which the bot counts"
)


def unit_of(nonce: int) -> int:
    """The unit that a nonce is counted in: its number of digits, or 0 for a counter's."""
    digits = len(str(nonce))
    return digits if digits >= CLOCK_DIGITS else 0


def too_far_ahead(nonce: int, last: int, now_us: int) -> bool:
    """Whether ``nonce`` lies further beyond the clock and ``last``, the highest of its unit, than `MOST_AHEAD_US`.

    Never so if ``last`` does not show that the client counts by the clock: it is 0, it is a counter's, or it is itself
    further ahead, as ticks that began before 1970 are, or as every nonce is when our own clock is wrong.
    """
    unit = unit_of(nonce)
    if not unit or not last:
        return False
    scale: int = 10**unit
    now, most_ahead = now_us * scale // TEN_DIGITS_US, MOST_AHEAD_US * scale // TEN_DIGITS_US
    return last <= now + most_ahead and nonce > max(now, last) + most_ahead


def name_of(client: str, fingerprint: str) -> str:
    """How the marks of a credential begin. A new one under the name begins anew."""
    return f"client/{client}/{fingerprint}"


def highest_of(name: str, marks: Mapping[str, int]) -> int:
    """The highest mark of a credential in any unit, 0 if it has none."""
    return max((mark for _, mark in _marks_of(name, marks)), default=0)


def _marks_of(name: str, marks: Mapping[str, int]) -> list[tuple[int, int]]:
    found = [(each.removeprefix(f"{name}/"), mark) for each, mark in marks.items() if each.startswith(f"{name}/")]
    return [(int(unit), mark) for unit, mark in found if unit.isdigit()]


@final
class ClientNonces:
    """The nonces of one credential. ``strict`` is Kraken's own rule: each above the last one, whatever its unit."""

    def __init__(self, name: str, marks: Mapping[str, int], *, strict: bool) -> None:
        self._name = name
        self._strict = strict
        self._floors = dict(_marks_of(name, marks))
        self._marks = dict(self._floors)
        self._windows: OrderedDict[int, NonceWindow] = OrderedDict()
        self._last = highest_of(name, marks)
        self.forgive(marks)
        self.raising = asyncio.Lock()

    def accept(self, nonce: int, signature: bytes, now_us: int) -> None:
        """Count the call as seen. Raises `NotAuthentic` if it may be a replay, or comes from far in the future."""
        if too_far_ahead(nonce, self._highest_in(unit_of(nonce)), now_us):
            raise NotAuthentic(RefusalKind.NOT_FRESH, detail=TOO_FAR_AHEAD)
        if self._strict and nonce <= self._last:
            raise NotAuthentic(RefusalKind.NOT_FRESH)
        self._window(unit_of(nonce)).accept(nonce, signature)
        self._last = max(self._last, nonce)

    def forgive(self, marks: Mapping[str, int]) -> None:
        """Let a strict client count lower again than it did before `FORGIVEN`, in another unit. In the same unit each
        nonce must still be above the last one, so nothing that was accepted is accepted again."""
        if self._last <= marks.get(f"{self._name}/{FORGIVEN}", 0):
            self._last = 0

    def mark_for(self, nonce: int, now_us: int) -> tuple[str, int] | None:
        """Name and height of the mark to be stored before a call with ``nonce`` goes on; None if it is."""
        unit = unit_of(nonce)
        if nonce <= self._marks.get(unit, -1):
            return None
        mark = mark_ahead(nonce, now_us)
        return f"{self._name}/{unit}", mark if unit_of(mark) == unit else nonce

    def stored(self, nonce: int, mark: int) -> None:
        """The mark for ``nonce`` is stored."""
        self._marks[unit_of(nonce)] = mark

    def _highest_in(self, unit: int) -> int:
        window = self._windows.get(unit)
        return window.highest if window else self._floors.get(unit, 0)

    def _window(self, unit: int) -> NonceWindow:
        if unit not in self._windows:
            self._windows[unit] = NonceWindow(self._floors.get(unit, 0), strict=self._strict)
            if len(self._windows) > MOST_WINDOWS:
                oldest, window = self._windows.popitem(last=False)
                self._floors[oldest] = window.highest
        self._windows.move_to_end(unit)
        return self._windows[unit]
