"""A venue's request to send it less for a while: about one key, or about all keys of an account."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reach(StrEnum):
    """Which calls the venue does not want."""

    ALL = "lockout"
    """Every call, until a question of the gateway's own is answered."""
    CALLS = "calls"
    """All calls but a few cancels."""
    READS = "reads"
    """The calls on the counter of reads, which are neither orders nor cancels."""


@dataclass(frozen=True, slots=True)
class QuietAsked:
    """One request of a venue for quiet."""

    words: tuple[str, ...]
    """The venue's errors, with which calls are answered meanwhile."""
    reach: Reach
    whole_account: bool
    """Whether it is about all keys of the account."""
    for_s: float
    """Seconds for which it holds if the venue states no time."""
    stated_s: float | None = None
    """Seconds from now, as the venue states them."""
