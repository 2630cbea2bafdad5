"""The chain of records: how one is linked to the one before it, and how records are appended to the current segment.

A record is one line: a JSON object in the canonical form of RFC 8785, to which ``digest`` is added at the end, outside
the sorting. The digest is the SHA-256 of the canonical form. So it can be checked over the bytes of the file, or over
the record as any program read it, and no two spellings of one record are both right.

The appender runs on one worker's thread and never lets a failed write stay in the middle of a segment. What is durable
is known exactly at all times: the head of the chain, and how long the segment that holds it is. After any error that
knowledge, not the file, is believed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import orjson

from signer.audit.disk import Disk, File, Segment, last_line, segments, utc_day
from signer.audit.reading import CANONICAL, VERSION, unlink
from signer.contracts import Clock
from signer.errors import AuditError
from signer.home.disk_space import FULL, UNABLE
from signer.model import ChainHead, Json

START: Final = ChainHead(0, "0" * 64)
"""What the first record is linked to."""

MOST_DEPTH: Final = 16
"""How deep an entry may be nested; a batch with conditional closes needs four."""

REDACTED: Final = "(redacted)"

KINDS: Final = (
    *("intent", "outcome", "read", "denied", "login-failed", "reconciled", "closed", "start", "reload", "stop"),
    *("throttled", "operator", "credential", "lane", "segment", "recovered", "dropped"),
)
"""What a record can be of (docs/audit-record.schema.json)."""

_LINKS = frozenset({"v", "seq", "prev", "digest"})
_SECRET = frozenset(
    {"api_sign", "api_secret", "api_key", "secret", "token", "otp", "passphrase", "password", "API-Sign", "API-Key"}
)
_LONGEST_KEY_NAME = 40
"""``key`` names a withdrawal address in calls, and those names are short; API keys have 56 characters."""

_WATCHED = _SECRET | {"key"}
_PLAIN = frozenset({str, int, bool, type(None)})
_LARGEST_INTEGER = (1 << 53) - 1
"""Integers up to this are the same number to every JSON program (RFC 8785 §3.1)."""


def fit(entry: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return ``entry`` as it may be recorded: exact JSON that has a canonical form, and nothing under a secret's name.

    The gateway gives no secrets; this is the second lock on the same door. Half a surrogate pair, which UTF-8 cannot
    write, is recorded as its escape. Raises `AuditError` for a float, for an integer of 2^53 or above, for a name
    beyond ASCII, for anything else that is not exact JSON, and for the names that the log itself sets.
    """
    if not _LINKS.isdisjoint(entry):
        raise AuditError("an audit entry sets v, seq, prev or digest, which only the log may set")
    return entry if _is_fit(entry) else _fit_object(entry, 0)


def _is_fit(entry: Mapping[str, Json]) -> bool:
    """Tell quickly whether ``entry`` is fit as it is. One with text beyond ASCII is left to `_fit_object`."""
    try:
        return _is_plain((entry,), 0) and orjson.dumps(entry, option=orjson.OPT_STRICT_INTEGER).isascii()
    except orjson.JSONEncodeError:
        return False


def _is_plain(values: Collection[object], depth: int) -> bool:
    """Tell whether ``values`` hold exact JSON, whatever the names are, and nothing under a secret's name."""
    if _PLAIN.issuperset(map(type, values)):
        return True
    for value in values:
        if type(value) in _PLAIN:
            continue
        if type(value) is dict:
            if not _WATCHED.isdisjoint(value) or not _is_plain(value.values(), depth + 1):
                return False
        elif type(value) is not list or not _is_plain(value, depth + 1):
            return False
    return depth <= MOST_DEPTH


def _fit_object(value: Mapping[str, Json], depth: int) -> dict[str, Json]:
    if not all(type(name) is str and name.isascii() for name in value):
        raise AuditError("an audit entry has a name that is no ASCII text")
    return {name: _fit_value(name, item, depth) for name, item in value.items()}


def _fit_value(name: str, value: Json, depth: int) -> Json:
    if depth > MOST_DEPTH:
        raise AuditError("an audit entry is nested too deeply", where=name[:64])
    if name in _SECRET or (name == "key" and len(str(value)) >= _LONGEST_KEY_NAME):
        return REDACTED
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if value is None or (isinstance(value, int) and abs(value) <= _LARGEST_INTEGER):
        return value
    if isinstance(value, Mapping):
        return _fit_object(value, depth + 1)
    if isinstance(value, list | tuple):
        return [_fit_value("", item, depth + 1) for item in value]
    raise AuditError(f"an audit entry holds {_named(value)}, which is not exact JSON", where=name[:64])


def _named(value: object) -> str:
    return "an integer of 2^53 or above" if isinstance(value, int) else f"a {type(value).__name__}"


def link(head: ChainHead, entry: Mapping[str, Json]) -> tuple[bytes, ChainHead]:
    """Return the line for a fit ``entry`` that follows ``head``, and the head it makes."""
    seq = head.seq + 1
    body = orjson.dumps({**entry, "v": VERSION, "seq": seq, "prev": head.digest}, option=CANONICAL)
    digest = hashlib.sha256(body).hexdigest()
    return b'%b,"digest":"%b"}\n' % (body[:-1], digest.encode("ascii")), ChainHead(seq, digest)


SEGMENT_BYTES: Final = 64 << 20
"""A segment that has grown to this is followed by another; the flush that passes it is still whole in it."""

ROOM_BYTES: Final = 1 << 20
"""Room that is claimed ahead for the day on which the disk is full: for a thousand cancels with their outcomes."""

SLACK_BYTES: Final = 64 << 10
"""How much more is claimed, so that it is done once for many records."""


class Appender:
    """The writing end of the chain.

    ``head`` is the last durable record. ``notices`` are sentences that the next append records ahead of its own
    entries, as records of kind ``recovered``: what was found at the start, and what failed since.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        disk: Disk,
        segment_bytes: int = SEGMENT_BYTES,
        room_bytes: int = ROOM_BYTES,
    ) -> None:
        self.head = START
        self.notices: dict[str, None] = {}
        self._folder = folder
        self._clock = clock
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._room_bytes = room_bytes
        self._claimed = 0
        """How long the segment may grow whatever else fills the disk."""
        self._file: File | None = None
        self._segment = Segment(0, "")
        self._length = 0
        self._holding = 0
        self._failed: OSError | None = None

    def open(self, kept: ChainHead | None) -> None:
        """Find the end of the log and make it fit to append to.

        ``kept`` is the head that the ledger remembers. If the log does not reach it, records are missing: the chain
        then goes on after ``kept``, so that `verify` finds the gap for ever. Raises `AuditError` where the end of the
        log is neither whole nor what a crash leaves.
        """
        self._disk.prepare(self._folder)
        ends = list(self._ends())
        if ends:
            self._segment, self._file, self._length = ends[0]
        if kept is None or self.head == kept or self.head.seq > kept.seq:
            for end in ends:
                self._cut_torn_end(*end)
        else:
            self._leap(kept)
        for _, file, _ in ends[1:]:
            file.close()

    def begin(self) -> None:
        """Record what `open` found, and claim room. Raises OSError; the log can be appended to all the same."""
        if self.notices:
            self.append([])
        self._secure_room(self._file_for(utc_day(self._clock.now_us())), 0, urgent=False)

    def _ends(self) -> Iterator[tuple[Segment, File, int]]:
        """Find where whole lines end in the newest segment, and in each before it down to the last record's.

        A crash can leave newer segments without a record, and the last record's torn all the same: where a new segment
        found no room, writing went on in the old one.
        """
        for segment in reversed(segments(self._disk, self._folder)):
            path = self._folder / segment.name
            file = self._disk.open(path)
            line, end = last_line(self._disk, path, file.size() or 0)
            record = unlink(line)
            if record is None and end:
                hint = "run `signer audit verify`; to start a new log, move the folder away and keep it"
                raise AuditError("the last whole line is not a record of this log", where=str(path), hint=hint)
            yield segment, file, end
            if record is not None:
                self.head, self._holding = ChainHead(record.seq, record.digest), segment.number
                return

    def _cut_torn_end(self, segment: Segment, file: File, length: int) -> None:
        """Cut off what a crash left of an unfinished write. Only here: a log that lacks known records is evidence."""
        torn = (file.size() or 0) - length
        if torn:
            file.truncate(length)
            file.sync()
            self.notices[f"{segment.name} ended in {torn} bytes of an unfinished write, now cut off"] = None

    def _leap(self, kept: ChainHead) -> None:
        missing = f"the log ends at record {self.head.seq} and the ledger knows record {kept.seq}: records are missing"
        self.notices[missing] = None
        self.head = kept
        self._leave()

    def append(self, entries: Sequence[Mapping[str, Json]], *, urgent: bool = False) -> None:
        """Append fit entries in one write and make them durable with one sync.

        Where the disk is full, only ``urgent`` ones may use the room that was claimed ahead. Raises OSError; then none
        of them is part of the log, unless the machine dies before the next append and they had reached the disk after
        all.
        """
        if self._failed is not None:
            self._repair(self._failed)
        file = self._file_for(utc_day(self._clock.now_us()))
        head, written = self.head, []
        for entry in chain(self._own_entries(), entries):
            line, head = link(head, entry)
            written.append(line)
        data = b"".join(written)
        self._secure_room(file, len(data), urgent=urgent)
        self._write(file, data)
        self._length += len(data)
        self.head, self._holding = head, self._segment.number
        self.notices.clear()

    def close(self) -> None:
        """Give the file back, without what a failed append may have left in it."""
        with contextlib.suppress(OSError):  # it failed and was reported; the next open cuts off what is torn
            if self._failed is not None:
                self._repair(self._failed)
        self._leave()

    def _secure_room(self, file: File, size: int, *, urgent: bool) -> None:
        """See that the claimed room is still whole after ``size`` more bytes. Raises OSError if it is not, unless
        ``urgent``: that is what it is for.
        """
        wanted = self._length + size + self._room_bytes
        if wanted <= self._claimed:
            return
        try:
            self._claim(file, wanted)
        except OSError as error:
            if error.errno in UNABLE:
                self._claimed = sys.maxsize
                self.notices["this file system keeps no room: cancels cannot be recorded on a full disk"] = None
            elif not (urgent and error.errno in FULL):
                raise

    def _claim(self, file: File, wanted: int) -> None:
        """Claim more than is ``wanted``, so that it is seldom done; else just that, which may be claimed already."""
        for length in (wanted + SLACK_BYTES, wanted):
            try:
                file.claim(length)
            except OSError as error:
                if error.errno not in FULL or length == wanted:
                    raise
            else:
                self._claimed = length
                return

    def _write(self, file: File, data: bytes) -> None:
        try:
            file.append(data)
            file.sync()
            # After the sync: a file that was taken away before or during it has not kept these records.
            if file.size() != self._length + len(data):
                raise OSError(errno.ESTALE, "it was removed, replaced or cut while it was written", self._segment.name)
        except OSError as error:
            self._failed = error
            raise

    def _own_entries(self) -> Sequence[Mapping[str, Json]]:
        now = self._clock.now_us()
        header: dict[str, Json] = {
            "kind": "segment",
            "time": now,
            "segment": self._segment.number,
            "previous_segment": self._holding,
        }
        recovered: list[dict[str, Json]] = [
            {"kind": "recovered", "time": now, "text": notice} for notice in self.notices
        ]
        return recovered if self._length else [header, *recovered]

    def _file_for(self, today: str) -> File:
        ended = self._length >= self._segment_bytes or (self._length and self._segment.day != today)
        if self._file is not None and not ended:
            return self._file
        try:
            segment, file = self._next_file(today)
        except OSError as error:
            if self._file is None or error.errno not in FULL:
                raise
            return self._file  # on a full disk the segment goes on past its day, in the room that it has
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.truncate(self._length)  # what it has claimed and not used
        self._leave()
        self._file, self._segment = file, segment
        return file

    def _next_file(self, today: str) -> tuple[Segment, File]:
        """Return the segment that follows, empty, with room of its own."""
        newest = max(segments(self._disk, self._folder), default=Segment(0, ""))
        if newest.number > self._holding:
            file = self._disk.open(self._folder / newest.name)
            if file.size() == 0:  # ours, from an attempt that failed before its header was written
                return newest, self._with_room(file)
            file.close()
        segment = Segment(max(newest.number, self._holding) + 1, today)
        return segment, self._with_room(self._disk.open(self._folder / segment.name))

    def _with_room(self, file: File) -> File:
        try:
            file.claim(self._room_bytes)
        except OSError as error:
            if error.errno not in UNABLE:
                file.close()
                raise
        return file

    def _leave(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._length, self._claimed = None, 0, 0

    def _cut(self, file: File) -> None:
        """Cut the segment to what is known to be durable. It lets go of the room that it had claimed."""
        file.truncate(self._length)
        file.sync()
        self._claimed = 0

    def _repair(self, failed: OSError) -> None:
        """Bring the segment back to what is known to be durable, or leave it for a new one.

        After a failed sync the system may have dropped the unwritten pages and call the next sync good (fsync(2),
        "errors"), so the file is opened anew, its last record is read again, and nothing more is put into it.
        """
        if self._file is not None:
            size = self._file.size()
            if size is None or size < self._length:
                self._abandon(self._file)
            else:
                self._reopen(self._file)
                if self._length and failed.errno not in FULL:
                    self._leave()
        self._failed = None

    def _abandon(self, file: File) -> None:
        self.notices[f"{self._segment.name} was removed, replaced or cut while it was written"] = None
        with contextlib.suppress(OSError):  # wherever the file went, it should not keep what was not acknowledged
            file.truncate(self._length)
        self._leave()

    def _reopen(self, old: File) -> None:
        path = self._folder / self._segment.name
        self._file = self._disk.open(path)
        old.close()
        self._cut(self._file)
        record = unlink(last_line(self._disk, path, self._length)[0])
        if self._length and (record is None or record.digest != self.head.digest):
            self.notices[f"{self._segment.name} no longer holds its last record: the disk lost it"] = None
