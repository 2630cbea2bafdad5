"""Tells which log lies in a folder, whether a checkpoint is of it, and which known records it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from signer.audit.archive import first_record, state_seqs, was_archived
from signer.audit.disk import Disk, Segment, lines, segments
from signer.audit.reading import Link, parse
from signer.audit.tail import found, links_after
from signer.book.book import Book
from signer.model import ChainHead, Gap


def log_of(disk: Disk, folder: Path) -> str:
    """Return the name of a log: the digest of its first record, which later headers repeat. Empty if no header reads.

    It stays the same when the first segments are archived or missing.
    """
    for _, header in _headers(disk, folder):
        name = header.fields.get("log")
        return name if isinstance(name, str) else header.digest
    return ""


def why_unusable(disk: Disk, folder: Path, head: ChainHead, book: Book) -> str:
    """Say why a checkpoint cannot be used that stands for the record ``head``; empty if it can. ``book`` is its book.

    One that stands for a record behind the log's end can: it is the witness of a log that was cut. Its earlier
    records must be the log's then, or log and checkpoint went on from the same records on two courses.
    """
    if _is_other(disk, folder, head, book):
        return f"the checkpoint is of another log at record {head.seq}"
    if was_archived(disk, folder, head.seq + 1):
        return f"the checkpoint stands for record {head.seq}, and the records after it were archived"
    return ""


def lost_gap(disk: Disk, folder: Path, head: ChainHead, book: Book) -> Gap | None:
    """Return the record of a checkpoint that cannot be used, if it was this log's: the log was put back and went on."""
    is_lost = book.log == log_of(disk, folder) and _is_other(disk, folder, head, book)
    return Gap(head.seq, head.seq) if is_lost else None


def _is_other(disk: Disk, folder: Path, head: ChainHead, book: Book) -> bool:
    known, name = found(disk, folder, head), log_of(disk, folder)
    if known is None and name:
        if name != book.log:
            return True
        known = next((is_there for one in book.course if (is_there := found(disk, folder, one)) is not None), None)
    return known is False


def unknown_gap(
    disk: Disk, folder: Path, head: ChainHead, kept: ChainHead | None, checkpoint: ChainHead | None
) -> Gap | None:
    """Return the records that a book as of ``head`` lacks, though the marks know the record ``kept``.

    ``checkpoint`` is the record of the checkpoint with which the book began. If the log is gone, only the marks can
    prove that it is of this log.
    """
    if kept == head:
        return None
    if checkpoint is not None and checkpoint.seq and first_record(disk, folder) is None:
        return Gap(1, max(head.seq, 0 if kept is None else kept.seq))
    if kept is None:
        return None
    if kept.seq > head.seq:
        return Gap(head.seq + 1, kept.seq)
    is_other = kept.seq == head.seq or _is_replaced(disk, folder, kept)
    return Gap(kept.seq, kept.seq) if is_other else None


def _is_replaced(disk: Disk, folder: Path, head: ChainHead) -> bool:
    """Tell whether another record stands in the place of a known one, and the log did not go on after the known one."""
    if found(disk, folder, head) is not False:
        return False
    after = next((link for link in links_after(disk, folder, head.seq)), None)
    return after is None or after.seq != head.seq + 1 or after.prev != head.digest


def missing_segments(disk: Disk, folder: Path) -> Sequence[int]:
    """Return the numbers of the segments that are missing before others, or have no header. Archived ones count not."""
    gone: list[int] = []
    before = None if state_seqs(disk, folder) else 0
    for segment, header in _headers(disk, folder):
        if before is not None and header.fields.get("previous_segment") not in {0, before}:
            gone += range(before + 1, segment.number)
        before = segment.number
    return gone


def _headers(disk: Disk, folder: Path) -> Iterator[tuple[Segment, Link]]:
    """Return the segments whose first line is a header, oldest first, each with that record."""
    for segment in segments(disk, folder):
        line = next(lines(disk, folder / segment.name), b"")
        header = parse(line) if line.endswith(b"\n") else None
        if header is not None and header.fields.get("kind") == "segment":
            yield segment, header
