"""What was found out about a part of the whole, in words for its operator: fine or not, and the hint."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """How much a finding matters."""

    FINE = "fine"
    WARNING = "warning"
    """Works, and should be known."""
    ERROR = "error"
    """Something that is promised does not work."""
    REFUSED = "refused"
    """Works, and is not used, because it could do harm."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    weight: Weight
    kind: str
    """A short stable word, such as ``any-address``: for metrics and scripts."""
    about: str
    """What was looked at, such as ``credential kraken``."""
    what: str
    """What is so, in the words of a sentence that begins with ``about``; no secret is in it."""
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.about}: {self.what}"
        return f"{text}; {self.hint}" if self.hint else text
