"""State files: the book as of the last record that was archived, where a log without its first segments begins.

`signer audit archive` moves whole segments away. The book as of their last record stays beside the log as a file, and a
record of kind ``archived`` has that file's SHA-256. So the chain vouches for the file. Each reader of the log
begins with it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from signer.audit.disk import Disk, lines, pieces, segments
from signer.audit.reading import CANONICAL, VERSION, Link, parse
from signer.book.book import Book
from signer.book.reading import UNREADABLE, number_of
from signer.errors import AuditError
from signer.model import ChainHead, Json

KIND: Final = "archived"

_MARK: Final = b'"kind":"archived"'
"""Stands in each line of such a record. The other lines need not be read as JSON."""

_NAME: Final = re.compile(r"book-([1-9][0-9]{0,15})\.json", re.ASCII)

_PUT_BACK: Final = "put it back from the folder to which the segments were archived"


@dataclass(frozen=True, slots=True)
class Archived:
    """What a record says of a state file."""

    head: ChainHead
    """The last record that was archived."""
    state_digest: str
    """The SHA-256 of the state file's bytes (hex)."""

    @property
    def name(self) -> str:
        """The state file's name."""
        return state_name(self.head.seq)

    def fields(self) -> dict[str, Json]:
        """Return this as JSON; `read_archived` reads it back."""
        return {"head": {"seq": self.head.seq, "digest": self.head.digest}, "state_digest": self.state_digest}


@dataclass(frozen=True, slots=True)
class StateFile:
    """The book as of one record."""

    head: ChainHead
    state: Mapping[str, Any]
    """The book's state (`Book.state`)."""
    last: int
    """The highest number that a call ever had."""
    after: Archived | None
    """The state file with which the log began that was folded; None if it began with record 1."""

    def book(self) -> Book:
        """Return the book, to be folded on. Raises what `UNREADABLE` names if it does not read."""
        book = Book.of(self.state)
        book.last = max(book.last, self.last)
        return book

    def encode(self) -> bytes:
        """Return the file's bytes, the same for all who fold the same records: canonical JSON."""
        fields = {
            "v": VERSION,
            "head": {"seq": self.head.seq, "digest": self.head.digest},
            "after": None if self.after is None else self.after.fields(),
            "last": self.last,
            "book": self.state,
        }
        return orjson.dumps(fields, option=CANONICAL)

    def archived(self) -> Archived:
        """Return what a record has to say of this file."""
        return Archived(self.head, hashlib.sha256(self.encode()).hexdigest())


def state_name(seq: int) -> str:
    """Return the name of the state file for the record of that number."""
    return f"book-{seq}.json"


def state_seqs(disk: Disk, folder: Path) -> Sequence[int]:
    """Return the numbers of the records for which the folder has a state file, lowest first."""
    return sorted(int(match[1]) for match in map(_NAME.fullmatch, disk.names(folder)) if match)


def archived_entry(archived: Archived, moved: Sequence[str], now_us: int) -> dict[str, Json]:
    """Return the record that vouches for a state file; ``moved`` are the names of the segments that go."""
    names: list[Json] = [*moved]
    return {"kind": KIND, "time": now_us, **archived.fields(), "state_file": archived.name, "segments": names}


def read_archived(fields: Mapping[str, Any]) -> Archived:
    """Read what `Archived.fields` gave. Raises what `UNREADABLE` names if it is damaged."""
    head, digest = fields["head"], fields["state_digest"]
    if not (type(head["seq"]) is int and head["seq"] > 0 and type(head["digest"]) is type(digest) is str):
        raise ValueError("no state file is named")
    return Archived(ChainHead(head["seq"], head["digest"]), digest)


def archived_in(link: Link) -> Archived | None:
    """Return what a record says of a state file, if it is of that kind."""
    if link.fields.get("kind") != KIND:
        return None
    try:
        return read_archived(link.fields)
    except UNREADABLE:
        return None


def read_state(disk: Disk, folder: Path, archived: Archived) -> StateFile:
    """Read the state file that a record vouches for. Raises `AuditError` if it is missing or was changed."""
    path = folder / archived.name
    if archived.name not in disk.names(folder):
        what = f"the state file of record {archived.head.seq} is missing, and the segments before it were archived"
        raise AuditError(what, where=str(path), hint=_PUT_BACK)
    data = b"".join(pieces(disk, path))
    state = parse_state(data) if hashlib.sha256(data).hexdigest() == archived.state_digest else None
    if state is None or state.head != archived.head:
        what = "the state file was changed: it is not the one that the log vouches for"
        raise AuditError(what, where=str(path), hint=_PUT_BACK)
    return state


def parse_state(data: bytes) -> StateFile | None:
    """Return the state file of these bytes; None if they are none."""
    try:
        fields = orjson.loads(data)
        if fields["v"] != VERSION:
            return None
        head, after = fields["head"], fields["after"]
        begun = None if after is None else read_archived(after)
        state = StateFile(ChainHead(head["seq"], head["digest"]), fields["book"], number_of(fields["last"]), begun)
        state.book()
    except UNREADABLE:
        return None
    return state


def archived_start(disk: Disk, folder: Path) -> tuple[Book, ChainHead] | None:
    """Return the book with which the log begins, and the record that it stands for; None for a whole or an empty log.

    The log may still hold records that the book has: an archiving that was cut off left them. Raises OSError, and
    `AuditError` if the first records are missing and no intact state file stands for them.
    """
    state = start_state(disk, folder)
    return None if state is None else (state.book(), state.head)


def start_state(disk: Disk, folder: Path) -> StateFile | None:
    """Return the state file with which the log begins, as `archived_start` does."""
    first = first_record(disk, folder)
    if first is None or first.seq == 1:
        return None
    archived = _vouched(disk, folder, first)
    if archived is None:
        what = f"the log begins at record {first.seq}, and no record in it says that those before were archived"
        hint = "put the missing segments back; `signer audit verify` names them"
        raise AuditError(what, where=str(folder), hint=hint)
    return read_state(disk, folder, archived)


def was_archived(disk: Disk, folder: Path, seq: int) -> bool:
    """Tell whether a record says that the record of that number was archived, and the log begins after it."""
    first = first_record(disk, folder)
    return first is not None and first.seq > seq and _vouched(disk, folder, first) is not None


def first_record(disk: Disk, folder: Path) -> Link | None:
    """Return the record with which the log begins; None if it is empty.

    Raises `AuditError` if the first line is not a record.
    """
    for segment in segments(disk, folder):
        line = next(lines(disk, folder / segment.name), b"")
        if line.endswith(b"\n"):
            first = parse(line)
            if first is None:
                hint = "run `signer audit verify`, and put the segment back as it was"
                raise AuditError("the first line is not a record of this log", where=segment.name, hint=hint)
            return first
    return None


def _vouched(disk: Disk, folder: Path, first: Link) -> Archived | None:
    return earliest(_all_archived(disk, folder), ChainHead(first.seq - 1, first.prev))


def earliest(archived: Iterable[Archived], before: ChainHead) -> Archived | None:
    """Return the first state file that stands for all records up to ``before``, the one before the log's first."""
    fits = [one for one in archived if one.head.seq > before.seq or one.head == before]
    return min(fits, key=lambda one: one.head.seq, default=None)


def _all_archived(disk: Disk, folder: Path) -> Iterator[Archived]:
    for segment in segments(disk, folder):
        for line in lines(disk, folder / segment.name):
            link = parse(line) if _MARK in line and line.endswith(b"\n") else None
            archived = archived_in(link) if link is not None else None
            if archived is not None:
                yield archived
