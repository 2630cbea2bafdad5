"""Reads the whole chain and says what was done to it: which record was edited, removed, inserted, moved or cut off.

The chain alone cannot show that its end was cut off, or that all of it was written anew: the head that the ledger
keeps does. A record is proven only by the unbroken chain from it to that head, so after a finding only what follows the
last one is proven: whoever damaged record N could have written anew all before it.

Each line is judged by the record before it and the line after it, so that one change gives one finding at its place and
not one for every line that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from signer.audit.chain import START
from signer.audit.disk import Disk, Segment, lines, segments
from signer.audit.reading import Link, unlink
from signer.errors import AuditError
from signer.model import ChainHead

MOST_FINDINGS: Final = 100
"""After so many, reading goes on but no more are kept."""

PROGRESS_LINES: Final = 5_000


@dataclass(frozen=True, slots=True)
class ChainFinding:
    """One thing that is wrong. ``seq`` is the number of the record that was changed or is missing."""

    segment: str
    line: int
    seq: int
    what: str

    def __str__(self) -> str:
        return f"{self.segment} line {self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class KnownHead:
    """A record that the log must hold, and who says so."""

    by: str
    """Who knows it, as ``the ledger``."""
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

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def proven(self) -> int:
        """The last record that is known from elsewhere: records that were cut off behind it are not found out."""
        return max((known.head.seq for known in self.known), default=0)


class _Line(NamedTuple):
    segment: Segment
    number: int
    raw: bytes
    link: Link | None

    def follows(self, seq: int, digest: str | None) -> bool:
        """Tell whether this is the record after the one of that number and digest (None: any digest)."""
        return self.link is not None and self.link.seq == seq + 1 and (digest is None or digest == self.link.prev)


@dataclass(slots=True)
class _Reading:
    """Where the chain stands."""

    known: tuple[KnownHead, ...]
    seq: int = 0
    digest: str | None = START.digest
    """The digest of the last record; None if it was changed, since then the next one's link proves nothing."""
    at: _Line | None = None
    findings: list[ChainFinding] = field(default_factory=list)
    more: int = 0
    asked: frozenset[int] = frozenset()
    """The numbers of the known records."""
    read: dict[int, str | None] = field(default_factory=dict)
    """The digest of each known record as the log has it, by number."""

    def take(self, line: _Line, seq: int, digest: str | None) -> None:
        self.seq, self.digest, self.at = seq, digest, line
        if seq in self.asked:
            self.read[seq] = digest

    def find(self, line: _Line, seq: int, what: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(ChainFinding(line.segment.name, line.number, seq, what))
        else:
            self.more += 1


def from_ledger(head: ChainHead | None) -> tuple[KnownHead, ...]:
    """Return what the ledger knows of the log: nothing, if it never kept a head."""
    return () if head is None else (KnownHead("the ledger", head),)


def verify(
    folder: Path, known: Sequence[KnownHead], disk: Disk, progress: Callable[[int], None] | None = None
) -> Report:
    """Read the log in ``folder`` from its first record to its last, and see that it holds all that is ``known``.

    A log that goes on beyond that is fine. ``progress`` is called now and then with the number of lines read.
    Raises OSError if a file cannot be read, and `AuditError` for a record of another format.
    """
    found = segments(disk, folder)
    reading = _Reading(tuple(known), asked=frozenset(one.head.seq for one in known))
    count = unfinished = 0
    stream = _all_lines(disk, folder, found)
    line = next(stream, None)
    while line is not None:
        after = next(stream, None)
        if after is None and not line.raw.endswith(b"\n"):
            unfinished = len(line.raw)
            break
        count += 1
        _judge(reading, line, after)
        if progress is not None and count % PROGRESS_LINES == 0:
            progress(count)
        line = after
    _judge_end(reading, found)
    head = ChainHead(reading.seq, reading.digest) if reading.seq and reading.digest else None
    return Report(count, len(found), head, reading.known, unfinished, tuple(reading.findings), reading.more)


def _all_lines(disk: Disk, folder: Path, found: Sequence[Segment]) -> Iterator[_Line]:
    for segment in found:
        for number, raw in enumerate(lines(disk, folder / segment.name), start=1):
            yield _Line(segment, number, raw, _unlinked(segment, number, raw) if raw.endswith(b"\n") else None)


def _unlinked(segment: Segment, number: int, raw: bytes) -> Link | None:
    try:
        return unlink(raw)
    except AuditError as error:
        raise AuditError(error.what, where=f"{segment.name} line {number}", hint=error.hint) from None


def _judge(reading: _Reading, line: _Line, after: _Line | None) -> None:
    if line.link is not None and line.follows(reading.seq, reading.digest):
        _judge_header(reading, line, line.link)
        reading.take(line, line.link.seq, line.link.digest)
    elif after is not None and after.follows(reading.seq, reading.digest) and reading.digest is not None:
        reading.find(line, _named(line, reading), _intruder(reading, line))
    else:
        _judge_break(reading, line, after)


def _judge_break(reading: _Reading, line: _Line, after: _Line | None) -> None:
    """Judge a ``line`` that does not follow the record before it, and the next line does not either."""
    expected, link = reading.seq + 1, line.link
    if link is None:
        what = f"record {expected} was edited: its digest is not that of its bytes, or it is not in canonical form"
        reading.find(line, expected, what)
        return reading.take(line, expected, None)
    if link.seq < expected:
        return reading.find(line, link.seq, _intruder(reading, line))
    believed = after is None or after.follows(link.seq, link.digest)
    if link.seq > expected and believed:
        reading.find(line, expected, _missing(reading, line, link))
    elif reading.at is not None and link.seq == expected and believed:
        what = f"record {reading.seq} is not the one that record {expected} was linked to: it was edited or replaced"
        reading.find(reading.at, reading.seq, what)
    else:
        what = f"record {expected} was edited or replaced: it does not follow record {expected - 1}"
        reading.find(line, expected, what)
        return reading.take(line, expected, None)
    return reading.take(line, link.seq, link.digest)


def _judge_header(reading: _Reading, line: _Line, link: Link) -> None:
    """Check that the first line of a segment, and no other, is a header that bears the segment's number."""
    opens = link.fields.get("kind") == "segment"
    if opens != (line.number == 1):
        what = "its header is missing" if line.number == 1 else "a header stands within it"
        reading.find(line, link.seq, f"the segment was joined or split: {what}")
    elif opens and link.fields.get("segment") != line.segment.number:
        reading.find(line, link.seq, f"the file was renamed: it is segment {link.fields.get('segment')}")


def _missing(reading: _Reading, line: _Line, link: Link) -> str:
    first, last = reading.seq + 1, link.seq - 1
    what = f"record {first} is missing" if first == last else f"records {first} to {last} are missing"
    before = reading.at.segment.number if reading.at is not None else 0
    gone = range(before + 1, line.segment.number)
    return f"{what}, and segment {', '.join(map(str, gone))} with them" if gone else what


def _intruder(reading: _Reading, line: _Line) -> str:
    if line.link is None:
        return "a line that is no record was inserted"
    if line.link.digest == reading.digest:
        return f"record {line.link.seq} stands here a second time"
    return f"record {line.link.seq} was inserted, repeated or moved: record {reading.seq + 1} belongs here"


def _named(line: _Line, reading: _Reading) -> int:
    return line.link.seq if line.link is not None else reading.seq + 1


def _judge_end(reading: _Reading, found: Sequence[Segment]) -> None:
    last = reading.at or _Line(found[-1] if found else Segment(1, "(none)"), 0, b"", None)
    for known in reading.known:
        seq, digest = known.head.seq, reading.read.get(known.head.seq)
        if reading.seq < seq:
            what = f"the log ends at record {reading.seq} and {known.by} knows record {seq}: the end was cut off"
            reading.find(last, reading.seq + 1, what)
        elif digest not in {None, known.head.digest}:
            reading.find(last, seq, f"record {seq} is not the one that {known.by} knows: it was replaced")
