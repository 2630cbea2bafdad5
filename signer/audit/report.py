"""What a verification of the log found, and what it was told of the log from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from signer.audit.beginning import Vouched
from signer.model import ChainHead


@dataclass(frozen=True, slots=True)
class ChainFinding:
    """One thing that is wrong. ``seq`` is the number of the record that was changed or is missing."""

    segment: str
    """The segment's or the state file's name."""
    line: int
    """The number of the line; 0 for a state file."""
    seq: int
    what: str

    def __str__(self) -> str:
        return f"{self.segment} line {self.line}: {self.what}" if self.line else f"{self.segment}: {self.what}"


@dataclass(frozen=True, slots=True)
class KnownHead:
    """A record that the log must hold, and who says so."""

    by: str
    """Who knows it, as ``marks.db``."""
    head: ChainHead


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found."""

    records: int
    segments: int
    head: ChainHead | None
    """The last record of the log, if it is sound."""
    known: tuple[KnownHead, ...]
    """The heads that were asked for; what lies behind the last of them is not proven to be all."""
    unfinished: int
    """Bytes of a last line without end: it is being written, or a crash tore it; the next start cuts it off."""
    findings: tuple[ChainFinding, ...] = ()
    more: int = 0
    """Findings beyond those listed."""
    begins: Vouched | None = None
    """The state file after which the log begins; None if it begins with record 1."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def proven(self) -> int:
        """The last record that is known from elsewhere: records that were cut off behind it are not found out."""
        return max((known.head.seq for known in self.known), default=0)


def from_marks(head: ChainHead | None) -> tuple[KnownHead, ...]:
    """Return what the marks know of the log: nothing, if they never kept a head."""
    return () if head is None else (KnownHead("marks.db", head),)
