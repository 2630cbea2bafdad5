"""Moves whole segments of the log into another folder, so that a crash at any step loses nothing.

Everything is copied and compared first, then a record vouches for the state file, and only then the segments are
removed, the oldest first. After a crash the same act can be done again.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from signer.audit.archive import StateFile, first_record, start_state, state_name, state_seqs
from signer.audit.chain import START
from signer.audit.disk import Disk, Segment, last_line, lines, pieces, segments
from signer.audit.reading import Link, unlink
from signer.book.book import Book
from signer.book.folding import let_go_now_and_then
from signer.errors import AuditError
from signer.model import ChainHead

_VERIFY: Final = "run `signer audit verify`, which says what was done to the log"
_NEWEST: Final = "the newest segment always stays"


@dataclass(frozen=True, slots=True)
class SegmentMove:
    """The oldest segments of a log, to be moved, and the state file that stands for them afterwards."""

    segments: Sequence[Segment]
    first: Link
    """The log's first record."""
    last: ChainHead
    """The last record in the segments."""
    start: StateFile | None
    """The state file with which the log begins now; None for a log that begins with record 1."""
    state: StateFile
    """The one with which it begins afterwards."""
    rest: str
    """Why the next segment stays."""

    @property
    def names(self) -> Sequence[str]:
        """The segments' names."""
        return [segment.name for segment in self.segments]

    @property
    def is_recorded(self) -> bool:
        """Whether a record vouches for ``state`` already: an act that was cut off goes on."""
        return self.state is self.start


def plan_move(disk: Disk, folder: Path, before_us: int, known_seq: int) -> SegmentMove | str:
    """Plan to move the segments with records before ``before_us`` alone, and none after ``known_seq``.

    The segment that is written always stays. Returns the reason if there is nothing to move. Raises OSError, and
    `AuditError` if the log begins neither with record 1 nor an intact state file, or if these segments were changed.
    """
    first, start = first_record(disk, folder), start_state(disk, folder)
    begin = START if start is None else start.head
    chosen, rest = _choose(disk, folder, before_us, known_seq, begin.seq)
    if first is None or not chosen:
        return rest
    before = START if start is None else ChainHead(first.seq - 1, first.prev)
    state, last = _folded(start, _chained(disk, folder, before, len(chosen)))
    return SegmentMove(chosen, first, last, start, state, rest)


def _choose(disk: Disk, folder: Path, before_us: int, known_seq: int, begin_seq: int) -> tuple[Sequence[Segment], str]:
    """Return the segments to move, and why the next one stays."""
    chosen: list[Segment] = []
    for segment in _sealed(disk, folder):
        reason = _reason(disk, folder / segment.name, before_us, known_seq, begin_seq)
        if reason:
            return chosen, reason
        chosen.append(segment)
    return chosen, _NEWEST


def _sealed(disk: Disk, folder: Path) -> Sequence[Segment]:
    """Return the segments before the last one that has a record: nothing is written to them any more."""
    found = list(segments(disk, folder))
    while found and not next(lines(disk, folder / found[-1].name), b"").endswith(b"\n"):
        found.pop()
    return found[:-1]


def _reason(disk: Disk, path: Path, before_us: int, known_seq: int, begin_seq: int) -> str:
    """Say why a segment stays; empty if it goes, as one must of which a state file has all records."""
    line, _ = last_line(disk, path, disk.status(path).size)
    link = unlink(line)
    if link is None:
        raise AuditError("the last line is not a record of this log", where=path.name, hint=_VERIFY)
    at_us = link.fields.get("time")
    if link.seq <= begin_seq:
        return ""
    if not isinstance(at_us, int) or at_us >= before_us:
        return f"{path.name} has records of that day or later"
    return "" if link.seq <= known_seq else f"{path.name} has records that the checkpoint does not have yet"


def _folded(start: StateFile | None, records: Iterable[Link]) -> tuple[StateFile, ChainHead]:
    """Return the state file that stands for these records, and the last one.

    Raises `AuditError` if one of them is not the one that was archived.
    """
    begin, book = (START, Book()) if start is None else (start.head, start.book())
    head = begin
    for link in records:
        head = ChainHead(link.seq, link.digest)
        if link.seq > begin.seq:
            book.apply(link.fields)
            let_go_now_and_then(book, head)
        elif link.seq == begin.seq and link.digest != begin.digest:
            raise AuditError(f"record {link.seq} is not the one that was archived", where="audit log", hint=_VERIFY)
    if start is not None and head.seq <= begin.seq:
        return start, head
    return StateFile(head, book.state(), book.last, None if start is None else start.archived()), head


def _chained(disk: Disk, folder: Path, head: ChainHead, count: int) -> Iterator[Link]:
    """Return the records of the first ``count`` segments, which follow ``head``.

    Raises `AuditError` if one of them, or the one after them, does not follow.
    """
    for place, segment in enumerate(segments(disk, folder)[: count + 1]):
        for number, line in enumerate(lines(disk, folder / segment.name), start=1):
            link = unlink(line)
            if link is None or (link.seq, link.prev) != (head.seq + 1, head.digest):
                what = "the log was changed or damaged here, or a record before it is missing"
                raise AuditError(what, where=f"{segment.name} line {number}", hint=_VERIFY)
            if place == count:
                return
            head = ChainHead(link.seq, link.digest)
            yield link


def copy_segments(disk: Disk, folder: Path, move: SegmentMove, to: Path) -> None:
    """Copy the segments and their state files to ``to``, and the new state file beside the log; compare all of it.

    Raises OSError, and `AuditError` if ``to`` holds something else under one of these names, or another log.
    """
    disk.prepare(to)
    _require_continues(disk, move, to)
    for segment in move.segments:
        _put(disk, to / segment.name, partial(pieces, disk, folder / segment.name))
    for state in (move.start, move.state):
        if state is not None:
            _put(disk, to / state_name(state.head.seq), partial(_content, state))
    _put(disk, folder / state_name(move.state.head.seq), partial(_content, move.state))


def _require_continues(disk: Disk, move: SegmentMove, to: Path) -> None:
    """Raises `AuditError` if a folder holds segments that do not come right before those that are moved."""
    others = [segment for segment in segments(disk, to) if segment.name not in move.names]
    if others:
        path = to / others[-1].name
        end = unlink(last_line(disk, path, disk.status(path).size)[0])
        if end is None or (end.seq, end.digest) != (move.first.seq - 1, move.first.prev):
            hint = "name an empty folder, or the one with the segments right before"
            raise AuditError("it holds another log, or another part of this one", where=str(to), hint=hint)
    elif move.start is not None and move.first.seq <= move.start.head.seq:
        what = f"the segments before {move.names[0]} were archived to another folder, and these belong to them"
        raise AuditError(what, where=str(to), hint="name the folder in which those are")


def _content(state: StateFile) -> Sequence[bytes]:
    return [state.encode()]


def _put(disk: Disk, target: Path, source: Callable[[], Iterable[bytes]]) -> None:
    """Make a file of these bytes, whole or not at all. One that is there already must have the same."""
    if target.name in disk.names(target.parent):
        if _digest(pieces(disk, target)) != _digest(source()):
            raise AuditError("another file of this name is there", where=str(target), hint="name an empty folder")
        return
    part = target.with_name(f"{target.name}.part")
    try:
        _write(disk, part, source())
        if _digest(pieces(disk, part)) != _digest(source()):
            raise AuditError("the copy is not what was written", where=str(part), hint="check that disk")
        disk.rename(part, target.name)
    except OSError:
        with contextlib.suppress(OSError):
            disk.remove(part)
        raise


def _write(disk: Disk, path: Path, source: Iterable[bytes]) -> None:
    file = disk.open(path)
    try:
        file.truncate(0)
        for piece in source:
            file.append(piece)
        file.sync()
    finally:
        file.close()


def _digest(source: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in source:
        digest.update(piece)
    return digest.hexdigest()


def remove_segments(disk: Disk, folder: Path, move: SegmentMove) -> None:
    """Remove the segments that were copied, the oldest first, and then the state files that nobody needs any more.

    Only after a record vouches for the state file. Raises OSError.
    """
    for segment in move.segments:
        disk.remove(folder / segment.name)
    for seq in state_seqs(disk, folder):
        if seq < move.state.head.seq:
            disk.remove(folder / state_name(seq))
