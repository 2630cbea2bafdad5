"""Reads what stands at the end of the log: where its whole lines end, and the records after a known one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from signer.audit.disk import Disk, Segment, last_line, lines, segments
from signer.audit.reading import Link, parse, unlink
from signer.errors import AuditError
from signer.model import ChainHead, Json

STEP: Final = 1 << 20
"""How far one step goes back in a segment that is not to be read as a whole."""

_LONGEST = 1 << 16
"""How much is read at each step; in a longer line no record is found, and the next step is tried."""


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """Where the whole lines of a segment end."""

    segment: Segment
    sealed: bool
    length: int
    """The bytes of the whole lines."""
    torn: int
    """The bytes behind them."""
    head: ChainHead | None
    """The last record in it; None without one."""


def find_ends(disk: Disk, folder: Path) -> Sequence[SegmentEnd]:
    """Find the ends of the newest segment, and of each before it down to the last record's; newest first.

    A crash can leave newer segments without a record, and the last record's torn all the same: where a new segment
    found no room, writing went on in the old one. Raises `AuditError` if a last whole line is not a record.
    """
    found: list[SegmentEnd] = []
    for segment in reversed(segments(disk, folder)):
        path = folder / segment.name
        status = disk.status(path)
        line, length = last_line(disk, path, status.size)
        record = unlink(line)
        if record is None and length:
            hint = "run `signer audit verify`; to start a new log, move the folder away and keep it"
            raise AuditError("the last whole line is not a record of this log", where=str(path), hint=hint)
        head = None if record is None else ChainHead(record.seq, record.digest)
        found.append(SegmentEnd(segment, status.sealed, length, status.size - length, head))
        if head is not None:
            break
    return found


def found(disk: Disk, folder: Path, head: ChainHead) -> bool | None:
    """Tell whether the log holds a known record: True, or False if another stands in its place.

    None: no record of that number is in the log, so its end was cut off or a segment is missing. Raises `AuditError`
    for a record of another version.
    """
    if not head.seq:
        return True
    link = next(links_after(disk, folder, head.seq - 1), None)
    if link is not None and link.seq == head.seq + 1 and _begins(disk, folder, link):
        return link.prev == head.digest  # it was archived
    return link.digest == head.digest if link is not None and link.seq == head.seq else None


def _begins(disk: Disk, folder: Path, link: Link) -> bool:
    """Tell whether that is the log's first record."""
    first = next((segment for segment in segments(disk, folder)), None)
    return first is not None and parse(next(lines(disk, folder / first.name), b"")) == link


def records_after(disk: Disk, folder: Path, seq: int) -> Iterator[Mapping[str, Json]]:
    """Read the records after the one of that number, as `links_after` does, without their digests."""
    return (link.fields for link in links_after(disk, folder, seq))


def links_after(disk: Disk, folder: Path, seq: int) -> Iterator[Link]:
    """Read the records after the one of that number, oldest first. Lines that are no record are left out."""
    for segment, offset in _places_after(disk, folder, seq):
        for line in lines(disk, folder / segment.name, offset):
            link = parse(line) if line.endswith(b"\n") else None
            if link is not None and link.seq > seq:
                yield link


def _places_after(disk: Disk, folder: Path, seq: int) -> Sequence[tuple[Segment, int]]:
    """Return the segments that can hold records after that number, oldest first, and where to begin in each."""
    places: list[tuple[Segment, int]] = []
    for segment in reversed(segments(disk, folder)):
        first = parse(next(lines(disk, folder / segment.name), b""))
        if first is not None and first.seq <= seq:
            places.append((segment, _line_before(disk, folder / segment.name, seq)))
            break
        places.append((segment, 0))
        if first is not None and first.seq == seq + 1:
            break
    return places[::-1]


def _line_before(disk: Disk, path: Path, seq: int) -> int:
    """Return where a line begins that stands before the record after ``seq``, a step before it or less."""
    at = disk.status(path).size
    while (at := at - STEP) > 0:
        piece = disk.read(path, at, _LONGEST)
        begin = piece.find(b"\n") + 1
        link = parse(piece[begin : piece.find(b"\n", begin) + 1])
        if link is not None and link.seq <= seq:
            return at + begin
    return 0
