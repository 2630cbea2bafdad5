"""Findings: what a check found out about one part of the system, in words for its operator, with the hint."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """How much a finding matters."""

    FINE = "fine"
    WARNING = "warning"
    """Something that works, but the operator should know."""
    ERROR = "error"
    """Something promised does not work."""
    REFUSED = "refused"
    """Something that works but is not used, because it could do harm."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of looking at one thing."""

    weight: Weight
    kind: str
    """A short stable word for metrics and scripts, such as ``any-address``."""
    about: str
    """The thing that was looked at, such as ``credential main``."""
    what: str
    """The rest of the sentence that begins with ``about``. It never has a secret."""
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.about}: {self.what}"
        return f"{text}; {self.hint}" if self.hint else text
