"""What a venue asks not to hear for a while: of one key, or of all keys of an account.

Each try during a lockout begins its time anew (docs/kraken.md §3), and whoever goes on after *too fast* is limited for
longer. So nothing of what it asks about is sent, and each call is answered at once in the venue's own words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import final

from signer.model import Action

LEAST_S = 1.0
MOST_S = 900.0
"""A time that the venue states counts within these: its clock and ours may differ, and an answer may be forged."""
MOST_GUESSED_S = 300.0
"""Where it states none, each request within a minute of the last doubles the time, up to this."""
REPEATED_WITHIN_S = 60.0
CANCEL_EVERY_S = 1.0
"""While calls are to wait, each client may cancel once in this time."""
PROBE_EVERY_S = 60.0
"""After a lockout we ask once in this time until there is an answer."""


class Reach(StrEnum):
    """Which calls are held back."""

    ALL = "lockout"
    """Every call, until a question of ours is answered."""
    CALLS = "calls"
    """All but a few cancels."""
    READS = "reads"
    """Those that the counter of reads counts: no order, no cancel."""


@dataclass(frozen=True, slots=True)
class QuietAsked:
    """One request for quiet."""

    words: tuple[str, ...]
    """The venue's errors, which calls are answered with meanwhile."""
    reach: Reach
    whole_account: bool
    """Whether it is about all keys of the account."""
    for_s: float
    """How long, where the venue states no time."""
    stated_s: float | None = None
    """How long from now, as the venue states it."""


@dataclass(slots=True)
class _Held:
    asked: QuietAsked
    until: float
    """Monotonic seconds."""
    for_s: float
    next_probe: float = 0.0


@final
class Quiet:
    """What is held back now of one key, or of one account. ``now`` is in seconds that never go back."""

    def __init__(self) -> None:
        self._held: dict[Reach, _Held] = {}
        self._next_cancel: dict[str, float] = {}

    def ask(self, asked: QuietAsked, now: float) -> bool:
        """Obey a request; whether it is a new one, rather than one that goes on."""
        before = self._held.get(asked.reach)
        new = before is None or (asked.reach is not Reach.ALL and before.until <= now)
        for_s = _seconds(asked, before, now)
        until = now + for_s if before is None else max(before.until, now + for_s)
        self._held[asked.reach] = _Held(asked, until, for_s, until)
        return new

    def holds_back(self, action: Action, now: float) -> QuietAsked | None:
        """The request that a call of a client must wait for, if there is one."""
        for reach, held in self._held.items():
            if (reach is Reach.ALL or now < held.until) and _reaches(reach, action):
                return held.asked
        return None

    def slows_cancel(self, client: str, now: float) -> QuietAsked | None:
        """The request for which this cancel must wait. If there is none, it is one of the few that may go."""
        held = self._held.get(Reach.CALLS)
        if held is None or now >= held.until:
            return None
        if now < self._next_cancel.get(client, 0.0):
            return held.asked
        self._next_cancel[client] = now + CANCEL_EVERY_S
        return None

    def holds_back_own(self, now: float) -> QuietAsked | None:
        """The request that a question of ours about a key must wait for. After a lockout one may go each minute."""
        held = self._held.get(Reach.ALL)
        if held is None:
            return None
        if now < held.next_probe:
            return held.asked
        held.next_probe = now + PROBE_EVERY_S
        return None

    @property
    def locked(self) -> bool:
        """Whether a lockout is in force."""
        return Reach.ALL in self._held

    def unlock(self) -> None:
        """A question of ours was answered: the lockout is over."""
        self._held.pop(Reach.ALL, None)

    def left_s(self, now: float) -> float:
        """Seconds until the last of what is held back may go; 0 if nothing is held back."""
        return max((max(0.0, held.until - now) for held in self._held.values()), default=0.0)


def _reaches(reach: Reach, action: Action) -> bool:
    if reach is Reach.READS:
        return action in {Action.READ, Action.WRITE}
    return reach is Reach.ALL or action is not Action.CANCEL


def _seconds(asked: QuietAsked, before: _Held | None, now: float) -> float:
    if asked.stated_s is not None:
        return min(max(asked.stated_s, LEAST_S), MOST_S)
    if asked.reach is Reach.ALL or before is None or now - before.until > REPEATED_WITHIN_S:
        return asked.for_s
    if now < before.until:  # a call that was under way already: nothing new
        return before.for_s
    return min(before.for_s * 2, MOST_GUESSED_S)
