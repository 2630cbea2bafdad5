"""Refuses replays: no call of a client is accepted twice, whatever its kind of freshness.

Only calls whose signature was verified come here. Each is known by the digest of its signed message, because one
signature can be spelled in several ways.

A *nonce* rises. A venue accepts only a nonce above the last one, so it refuses some calls of bots with parallel calls.
We are less strict: within a window of recent nonces calls may overtake each other. Every nonce at or below the window's
floor counts as used, and the floor rises as the window moves on. A bot that counts in milliseconds may share its
credential with a script that counts in nanoseconds. So a nonce is compared only with nonces of the same length: each
unit of a clock has its own number of digits for centuries. A nonce that follows the clock but lies far in the future
would shut out the client after the next restart. Such a nonce is refused and not counted. The first nonce in a unit
must not lie beyond every clock that clients are known to count by.

A *timestamp* lies within the venue's window around our clock. All calls within the window are remembered.

No mark ever falls, so no accepted call is accepted again after a restart.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Protocol, final

from typing_extensions import override

from signer.errors import NotAuthentic, RefusalKind
from signer.model import Freshness, Timestamp

CALLS_PER_NONCE = 16
"""How many different calls may share one nonce. The bound keeps memory bounded."""
AHEAD_S = 2
"""How many seconds ahead of its last nonce or timestamp a client's mark is stored."""
NONCE_LIMIT = 2**64
"""Nonces are unsigned 64-bit numbers (docs/kraken.md §2e)."""
CLOCK_DIGITS = 10
"""The digits of seconds since 1970; finer units have more. All shorter nonces are a counter's and form one unit."""
TEN_DIGITS_US = 10**16
"""10 billion seconds in microseconds: a clock in seconds has `CLOCK_DIGITS` digits until then."""
MOST_WINDOWS = 3
"""How many units have their recent nonces remembered one by one.

In any other unit every nonce up to the highest accepted one counts as used."""
MOST_AHEAD_US = 24 * 3600 * 1_000_000
"""How far a nonce may lie beyond both the clock and the client's last nonce, if the client counts by the clock."""
EPOCHS_US: Mapping[int, Sequence[tuple[int, int]]] = {
    12: ((1000, 1_577_836_800_000_000),),  # milliseconds since 2020 (docs/kraken.md §8.2)
    18: ((10**7, -11_644_473_600_000_000), (10**7, -62_135_596_800_000_000)),  # ticks of Windows and of .NET
}
"""The clocks that do not count from 1970, by number of digits: their counts in a second, and when they were 0."""
MOST_BEHIND_US = 10 * 365 * 24 * 3600 * 1_000_000
"""How far the first nonce of a clock that does not count from 1970 may lie behind it."""
RIGHT_SINCE_US = 1_767_225_600_000_000
"""The first moment of 2026. If our clock shows an earlier one, it is certainly wrong and bounds no first nonce."""
FORGIVEN = "forgiven"
TIMES = "times"
"""The name of the mark of timestamps."""
TOO_FAR_AHEAD = (
    "the nonce lies more than a day beyond the clock, and beyond the client's last one, so it was not counted; "
    "compare the clocks of the bot's machine and of this one, and the unit in which the bot counts"
)
FUTURE_US = 1_000_000
"""How far ahead of our clock a timestamp may lie."""
MOST_TIMES = 65_536
"""How many timestamped calls of one client are remembered. Beyond that the oldest timestamps count as used."""
TOO_LATE = "the timestamp lies outside the window around this machine's clock; compare the two clocks"
SEEN = "the call was seen before, or its timestamp is not above the mark that a restart left"


class Replays(Protocol):
    """Remembers the calls of one credential, for one kind of freshness."""

    raising: asyncio.Lock
    """The lock that is held while a mark is stored."""

    def accept(self, fresh: Freshness, digest: bytes, now_us: int) -> None:
        """Count the call as seen. Raises `NotAuthentic` if it may be a replay or is not fresh."""

    def mark_for(self, fresh: Freshness, now_us: int) -> tuple[str, int] | None:
        """Return name and value of the mark to store before the call goes on; None if none needs to be stored."""

    def stored(self, fresh: Freshness, mark: int) -> None:
        """Note that the mark for the call is stored."""

    def forgive(self, marks: Mapping[str, int]) -> None:
        """Take up the marks that `signer clients forgive` has stored."""


def replays_of(fresh: Freshness, name: str, marks: Mapping[str, int], *, strict: bool) -> Replays:
    """Return the replay protection for the kind of ``fresh``. ``strict`` concerns nonces only."""
    if isinstance(fresh, Timestamp):
        return ClientTimes(name, marks)
    return ClientNonces(name, marks, strict=strict)


def unit_of(nonce: int) -> int:
    """Return the unit of a nonce: its number of digits, or 0 if it is a counter's."""
    digits = len(str(nonce))
    return digits if digits >= CLOCK_DIGITS else 0


def too_far_ahead(nonce: int, last: int, now_us: int) -> bool:
    """Return whether ``nonce`` lies more than `MOST_AHEAD_US` beyond both the clock and ``last``.

    ``last`` is the highest nonce of the same unit, or 0. The answer is False if ``last`` does not show that the client
    counts by the clock: it is a counter's, or too far ahead itself. Ticks that began before 1970 are too far ahead, and
    so is every nonce if our own clock is wrong. A first nonce must fit one of the known clocks of its unit.
    """
    unit = unit_of(nonce)
    if not unit:
        return False
    scale: int = 10**unit
    now, most_ahead = now_us * scale // TEN_DIGITS_US, MOST_AHEAD_US * scale // TEN_DIGITS_US
    if not last:
        return nonce > now + most_ahead and now_us >= RIGHT_SINCE_US and not _fits_other_clock(nonce, now_us)
    return last <= now + most_ahead and nonce > max(now, last) + most_ahead


def _fits_other_clock(nonce: int, now_us: int) -> bool:
    """Return whether ``nonce`` is near a clock that does not count from 1970."""
    for per_second, began_us in EPOCHS_US.get(unit_of(nonce), ()):
        at_us = nonce * 1_000_000 // per_second + began_us
        if now_us - MOST_BEHIND_US <= at_us <= now_us + MOST_AHEAD_US:
            return True
    return False


def name_of(client: str, fingerprint: str) -> str:
    """Return the prefix of a credential's marks. A new credential under the same client name has another prefix."""
    return f"client/{client}/{fingerprint}"


def highest_of(name: str, marks: Mapping[str, int]) -> int:
    """Return the highest mark of a credential in any unit; 0 if it has none."""
    return max((mark for _, mark in _marks_of(name, marks)), default=0)


def _marks_of(name: str, marks: Mapping[str, int]) -> list[tuple[int, int]]:
    found = [(each.removeprefix(f"{name}/"), mark) for each, mark in marks.items() if each.startswith(f"{name}/")]
    return [(int(unit), mark) for unit, mark in found if unit.isdigit()]


def mark_ahead(nonce: int, now_us: int) -> int:
    """Return the mark to store before ``nonce`` is accepted: `AHEAD_S` ahead of it in the client's own unit.

    The unit is guessed by comparing the nonce with the clock. A client that counts by a clock then costs one write
    every two seconds. A counter has no unit, so each of its nonces is stored. The mark must not lie far ahead, because
    after a restart every nonce below it is refused.
    """
    now_s = now_us // 1_000_000
    per_second = nonce // now_s if now_s > 0 else 0
    return min(nonce + AHEAD_S * per_second, NONCE_LIMIT - 1)


@final
class NonceWindow:
    """Remembers the nonces that one client has used in one unit.

    ``floor`` is the client's stored mark: no nonce up to it is accepted. The ``size`` most recent nonces are remembered
    one by one. ``strict`` is the venue's own rule: each nonce must be above the last one.
    """

    def __init__(self, floor: int, size: int = 1024, strict: bool = False) -> None:
        self._floor = floor
        self._size = 1 if strict else size
        self._strict = strict
        self._used: dict[int, tuple[bytes, ...]] = {}
        self._order: list[int] = []
        self.highest = floor
        """The highest nonce accepted, or the floor."""

    def accept(self, nonce: int, digest: bytes) -> None:
        """Count the call as seen. Raises `NotAuthentic` if it may be a replay.

        The same nonce with another digest is another call. Bots that count in bare milliseconds can make two calls
        within one (docs/kraken.md §8.14), and only the secret's owner can have signed them.
        """
        known = self._used.get(nonce, ())
        if nonce <= self._floor or digest in known or len(known) >= CALLS_PER_NONCE:
            raise _replayed()
        if self._strict and nonce <= self.highest:
            raise _replayed()
        if not known:
            heapq.heappush(self._order, nonce)
        self._used[nonce] = (*known, digest)
        self.highest = max(self.highest, nonce)
        if len(self._order) > self._size:
            self._floor = heapq.heappop(self._order)
            del self._used[self._floor]


@final
class ClientNonces(Replays):
    """Remembers one credential's nonces by unit. With ``strict`` each must be above the last one of any unit."""

    def __init__(self, name: str, marks: Mapping[str, int], *, strict: bool) -> None:
        self._name = name
        self._strict = strict
        self._floors = dict(_marks_of(name, marks))
        self._marks = dict(self._floors)
        self._windows: OrderedDict[int, NonceWindow] = OrderedDict()
        self._last = highest_of(name, marks)
        self.forgive(marks)
        self.raising = asyncio.Lock()

    @override
    def accept(self, fresh: Freshness, digest: bytes, now_us: int) -> None:
        nonce = _nonce(fresh)
        unit = unit_of(nonce)
        if too_far_ahead(nonce, self._highest_in(unit), now_us):
            raise NotAuthentic(RefusalKind.NOT_FRESH, detail=TOO_FAR_AHEAD)
        if self._strict and nonce <= self._last:
            raise _replayed()
        self._window(unit).accept(nonce, digest)
        self._last = max(self._last, nonce)

    @override
    def forgive(self, marks: Mapping[str, int]) -> None:
        """Let a strict client go on with lower nonces in another unit, if its last nonce is forgiven.

        Within a unit each nonce must still be above the last one, so no accepted call is accepted again.
        """
        if self._last <= marks.get(f"{self._name}/{FORGIVEN}", 0):
            self._last = 0

    @override
    def mark_for(self, fresh: Freshness, now_us: int) -> tuple[str, int] | None:
        nonce = _nonce(fresh)
        unit = unit_of(nonce)
        if nonce <= self._marks.get(unit, -1):
            return None
        mark = mark_ahead(nonce, now_us)
        return f"{self._name}/{unit}", mark if unit_of(mark) == unit else nonce

    @override
    def stored(self, fresh: Freshness, mark: int) -> None:
        self._marks[unit_of(_nonce(fresh))] = mark

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


@final
class ClientTimes(Replays):
    """Remembers one credential's timestamped calls. Each passes once, and only within the venue's window.

    Forgotten calls leave a floor behind. No timestamp at or below it passes, even if our clock is set back.
    """

    def __init__(self, name: str, marks: Mapping[str, int], limit: int = MOST_TIMES) -> None:
        self._mark_name = f"{name}/{TIMES}"
        self._mark = self._floor = marks.get(self._mark_name, 0)
        self._limit = limit
        self._window_us = 0
        self._seen: set[tuple[int, bytes]] = set()
        self._order: list[tuple[int, bytes]] = []
        self.raising = asyncio.Lock()

    @override
    def accept(self, fresh: Freshness, digest: bytes, now_us: int) -> None:
        time = _time(fresh)
        if not now_us - time.window_us <= time.at_us <= now_us + FUTURE_US:
            raise NotAuthentic(RefusalKind.NOT_FRESH, detail=TOO_LATE)
        call = (time.at_us, digest)
        if time.at_us <= self._floor or call in self._seen:
            raise NotAuthentic(RefusalKind.NOT_FRESH, detail=SEEN)
        self._seen.add(call)
        heapq.heappush(self._order, call)
        self._window_us = max(self._window_us, time.window_us)
        self._forget(now_us - self._window_us)

    @override
    def mark_for(self, fresh: Freshness, now_us: int) -> tuple[str, int] | None:
        at_us = _time(fresh).at_us
        return None if at_us <= self._mark else (self._mark_name, at_us + AHEAD_S * 1_000_000)

    @override
    def stored(self, fresh: Freshness, mark: int) -> None:
        self._mark = mark

    @override
    def forgive(self, marks: Mapping[str, int]) -> None:
        """Do nothing, because timestamps follow the clock and need no forgiving."""

    def _forget(self, before_us: int) -> None:
        while self._order and (self._order[0][0] < before_us or len(self._order) > self._limit):
            oldest = heapq.heappop(self._order)
            self._seen.remove(oldest)
            self._floor = max(self._floor, oldest[0])


def _nonce(fresh: Freshness) -> int:
    if isinstance(fresh, Timestamp):
        raise NotAuthentic(RefusalKind.NOT_FRESH, detail="this credential counts by nonces")
    return fresh


def _time(fresh: Freshness) -> Timestamp:
    if not isinstance(fresh, Timestamp):
        raise NotAuthentic(RefusalKind.NOT_FRESH, detail="this credential counts by timestamps")
    return fresh


def _replayed() -> NotAuthentic:
    return NotAuthentic(RefusalKind.NOT_FRESH)
