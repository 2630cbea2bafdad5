"""Reads the whole chain and says what was done to it: which record was edited, removed, inserted, moved or cut off.

The chain alone cannot show that its end was cut off, or that all of it was written anew: the head that the marks
keep does. A record is proven only by the unbroken chain from it to that head, so after a finding only what follows the
last one is proven: whoever damaged record N could have written anew all before it.

Each line is judged by the record before it and the line after it, so that one change gives one finding at its place and
not one for every line that follows.

A log whose first segments were archived begins after a state file (`signer.audit.archive`). A record must vouch for
that file; in a folder of archived segments, the state file of its last record may do so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from signer.audit.archive import Archived, archived_in, earliest, state_name
from signer.audit.beginning import StateFiles, Vouched
from signer.audit.chain import START
from signer.audit.disk import Disk, Segment, lines, segments
from signer.audit.reading import Link, unlink
from signer.audit.report import ChainFinding, KnownHead, Report
from signer.errors import AuditError
from signer.model import ChainHead

MOST_FINDINGS: Final = 100
"""After so many, reading goes on but no more are kept."""

PROGRESS_LINES: Final = 5_000


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

    known: Sequence[KnownHead]
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
    first: _Line | None = None
    """The first line of a log that does not begin with record 1."""
    before: ChainHead = START
    """The record before the first one."""
    vouched: dict[Archived, Vouched] = field(default_factory=dict)
    """The state files that are vouched for."""

    def begin_at(self, line: _Line, before: ChainHead) -> None:
        """Take the records up to ``before`` for archived; whether they were is judged at the end."""
        self.first, self.before, self.seq, self.digest = line, before, before.seq, before.digest
        self.read[before.seq] = before.digest

    def take(self, line: _Line, seq: int, digest: str | None) -> None:
        self.seq, self.digest, self.at = seq, digest, line
        if seq in self.asked:
            self.read[seq] = digest
        archived = archived_in(line.link) if line.link is not None else None
        if archived is not None:
            self.vouched.setdefault(archived, Vouched(f"record {seq}", archived, is_recorded=True))

    def find(self, line: _Line, seq: int, what: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(ChainFinding(line.segment.name, line.number, seq, what))
        else:
            self.more += 1


def verify(
    folder: Path,
    known: Sequence[KnownHead],
    disk: Disk,
    progress: Callable[[int], None] | None = None,
    *,
    may_be_archive: bool = False,
) -> Report:
    """Read the log in ``folder`` from its first record to its last, and see that it holds all that is ``known``.

    A log that goes on beyond that is fine. ``progress`` is called now and then with the number of lines read. In a
    folder that ``may_be_archive``, the state file of the last record may vouch for the one with which the log begins;
    else a record must. Raises OSError if a file cannot be read, and `AuditError` for a record of another format.
    """
    found, files = segments(disk, folder), StateFiles(disk, folder)
    heads = [*known, *(KnownHead(name, head) for name, head in files.heads())]
    reading = _Reading(heads, asked=frozenset(one.head.seq for one in heads))
    count = unfinished = 0
    stream = _all_lines(disk, folder, found)
    line = next(stream, None)
    while line is not None:
        after = next(stream, None)
        if after is None and not line.raw.endswith(b"\n"):
            unfinished = len(line.raw)
            break
        count += 1
        if count == 1:
            _begin(reading, files, line, after)
        _judge(reading, line, after)
        if progress is not None and count % PROGRESS_LINES == 0:
            progress(count)
        line = after
    _judge_end(reading, found)
    head = ChainHead(reading.seq, reading.digest) if reading.seq and reading.digest else None
    if may_be_archive and head is not None:
        reading.vouched |= files.at_end(head)
    begins = _judge_beginning(reading, files)
    findings = tuple(reading.findings)
    return Report(count, len(found), head, tuple(known), unfinished, findings, reading.more, begins)


def _all_lines(disk: Disk, folder: Path, found: Sequence[Segment]) -> Iterator[_Line]:
    for segment in found:
        for number, raw in enumerate(lines(disk, folder / segment.name), start=1):
            yield _Line(segment, number, raw, _unlinked(segment, number, raw) if raw.endswith(b"\n") else None)


def _unlinked(segment: Segment, number: int, raw: bytes) -> Link | None:
    try:
        return unlink(raw)
    except AuditError as error:
        raise AuditError(error.what, where=f"{segment.name} line {number}", hint=error.hint) from None


def _begin(reading: _Reading, files: StateFiles, line: _Line, after: _Line | None) -> None:
    """Find the record after which a log begins whose first record has a number above 1."""
    link, second = line.link, after.link if after is not None else None
    if link is not None and link.seq > 1 and (after is None or after.follows(link.seq, link.digest)):
        reading.begin_at(line, ChainHead(link.seq - 1, link.prev))
    elif link is None and second is not None:  # the first record was edited
        before = dict(files.heads()).get(state_name(second.seq - 2))
        if before is not None:
            reading.begin_at(line, before)


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


def _judge_beginning(reading: _Reading, files: StateFiles) -> Vouched | None:
    """Judge the state files, and whether one stands for all records before the first; that one."""
    begins = earliest(reading.vouched, reading.before) if reading.first is not None else None
    if reading.first is not None and begins is None:
        _find_missing(reading, reading.first)
    for archived, one in reading.vouched.items():
        fault = files.fault(archived, needed=archived == begins)
        if fault:
            what = f"{fault}; {one.by} vouches for it"
            reading.findings.append(ChainFinding(archived.name, 0, archived.head.seq, what))
    return None if begins is None else reading.vouched[begins]


def _find_missing(reading: _Reading, first: _Line) -> None:
    """Put it before all findings that the first records are missing."""
    last, gone = reading.before.seq, ", ".join(map(str, range(1, first.segment.number)))
    what = "record 1 is missing" if last == 1 else f"records 1 to {last} are missing"
    what += f", and segment {gone} with them" if gone else ""
    reading.findings.insert(0, ChainFinding(first.segment.name, 1, 1, what))
