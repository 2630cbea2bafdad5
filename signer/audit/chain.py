"""The chain of records: what may be recorded, how a record is linked to the one before it, and how it is appended.

A record is one line: a JSON object in the canonical form of RFC 8785, to which ``digest`` is added at the end, outside
the sorting. The digest is the SHA-256 of the canonical form. So it can be checked over the bytes of the file, or over
the record as any program read it, and no two spellings of one record are both right.

Entries are linked on the event loop; a worker's thread writes and syncs their bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

import orjson

from signer.audit.disk import Disk, segments, utc_day
from signer.audit.identity import log_of
from signer.audit.lock import LogLock
from signer.audit.reading import CANONICAL, VERSION
from signer.audit.segment_writer import ROOM_BYTES, SEGMENT_BYTES, SegmentWriter, cut
from signer.audit.tail import SegmentEnd, find_ends
from signer.contracts import Clock, Worker
from signer.errors import AuditError
from signer.model import ChainHead, Gap, Json

Entry: TypeAlias = Mapping[str, Json]

START: Final = ChainHead(0, "0" * 64)
"""What the first record is linked to."""

MOST_DEPTH: Final = 16
"""How deep an entry may be nested; a batch with conditional closes needs four."""

REDACTED: Final = "(redacted)"

KINDS: Final = (
    *("intent", "outcome", "read", "denied", "login-failed", "reconciled", "closed", "start", "reload", "stop"),
    *("throttled", "operator", "credential", "lane", "opened", "archived", "segment", "recovered", "dropped"),
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


class Appender:
    """Appends to the log, which is locked while this is open. One append at a time.

    ``head`` is the last durable record. ``notices`` are sentences that the next append records ahead of its own
    entries, as records of kind ``recovered``: what was found at the start, and what failed since. A sentence of records
    that the book lacks comes with their numbers.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        worker: Worker,
        disk: Disk,
        segment_bytes: int = SEGMENT_BYTES,
        room_bytes: int = ROOM_BYTES,
    ) -> None:
        self.head = START
        self.log = ""
        """The log's name (`signer.audit.identity.log_of`); empty before its first record."""
        self.notices: dict[str, Gap | None] = {}
        self._folder = folder
        self._clock = clock
        self._worker = worker
        self._disk = disk
        self._lock = LogLock(folder, worker, disk)
        self._writer = SegmentWriter(folder, worker, disk, self._lock, self.notices, segment_bytes, room_bytes)

    async def lock(self) -> None:
        """Lock the log for this process, and read from now on what is on the disk.

        A process that had the log before may have ended after a failed sync whose bytes it could not cut off. Raises
        `AuditError` if another holds the log, and OSError.
        """
        await self._lock.take()
        await self._worker.run(partial(forget_cached, self._disk, self._folder))

    async def open(self, kept: ChainHead | None, log: str = "") -> Sequence[str]:
        """Lock the log, find its end and make it fit to append to.

        ``kept`` is the last record that is known from elsewhere. If the log does not reach it, records are missing:
        the chain then goes on after ``kept``, so that `verify` finds the gap for ever. Returns the sentence that says
        so. ``log`` is the log's name, where none of its headers is left to tell it. Raises OSError, and `AuditError` if
        another process holds the log, or if its end is neither whole nor what a crash leaves.
        """
        await self.lock()
        try:
            self.log = await self._worker.run(partial(log_of, self._disk, self._folder)) or log
            return await self._find_end(kept)
        except BaseException:
            await self.close()
            raise

    async def begin(self) -> Sequence[Entry]:
        """Record what `open` found, and claim room. Returns the log's own records, as `append` does.

        Raises OSError; the log can be appended to all the same.
        """
        if self.notices:
            return await self.append([])
        await self._writer.secure_room(await self._writer.file_for(self._today()), 0)
        return []

    async def append(self, entries: Sequence[Entry], *, urgent: bool = False) -> Sequence[Entry]:
        """Append fit entries in one write and make them durable with one sync.

        Returns the log's own records that were written ahead of them. Where the disk is full, only ``urgent`` entries
        may use the room that was claimed ahead. Raises OSError; then none of them is part of the log, unless the
        machine dies before the next append and they had reached the disk after all.
        """
        await self._writer.repair(self.head.digest)
        file = await self._writer.file_for(self._today())
        told = tuple(self.notices)
        own = self._own_entries(told)
        head, written, first = self.head, [], ""
        for entry in chain(own, entries):
            line, head = link(head, entry)
            written.append(line)
            first = first or head.digest
        data = b"".join(written)
        await self._writer.secure_room(file, len(data), urgent=urgent)
        await self._writer.write(file, data)
        self.head, self.log = head, self.log or first
        for notice in told:
            del self.notices[notice]
        return own

    async def close(self) -> None:
        """Give file and lock back, without what a failed append may have left in the file."""
        with contextlib.suppress(OSError):  # it failed and was reported; the next open cuts off what is torn
            await self._writer.repair(self.head.digest)
        await self._writer.leave()
        await self._lock.release()

    def _today(self) -> str:
        return utc_day(self._clock.now_us())

    def _own_entries(self, told: Sequence[str]) -> Sequence[Entry]:
        now = self._clock.now_us()
        own: list[Entry] = []
        if not self._writer.length:
            number, before = self._writer.segment.number, self._writer.holding
            header: Entry = {"kind": "segment", "time": now, "segment": number, "previous_segment": before}
            own.append({**header, "log": self.log} if self.log else header)
        for notice in told:
            gap = self.notices[notice]
            entry: Entry = {"kind": "recovered", "time": now, "text": notice}
            own.append(entry if gap is None else {**entry, "missing": list(gap)})
        return own

    async def _find_end(self, kept: ChainHead | None) -> Sequence[str]:
        ends = await self._worker.run(partial(find_ends, self._disk, self._folder))
        if ends and ends[-1].head is not None:
            self.head, self._writer.holding = ends[-1].head, ends[-1].segment.number
        if kept is not None and self.head.seq <= kept.seq and self.head != kept:
            return [self._leap(kept)]
        for end in ends:
            await self._cut_torn_end(end)
        if ends:
            await self._writer.continue_at(ends[0])
        return []

    def _leap(self, kept: ChainHead) -> str:
        if self.head.seq == kept.seq:
            notice = f"record {kept.seq} of the log is not the one that was written then: records are missing"
        else:
            notice = f"the log ends at record {self.head.seq} and record {kept.seq} was written: records are missing"
        self.notices[notice] = None
        self.head = kept
        return notice

    async def _cut_torn_end(self, end: SegmentEnd) -> None:
        """Cut off what a crash left of an unfinished write. Only here: a log that lacks known records is evidence."""
        if end.torn:
            await self._worker.run(partial(_cut_torn, self._disk, self._folder / end.segment.name, end))
            self.notices[f"{end.segment.name} ended in {end.torn} bytes of an unfinished write, now cut off"] = None


def forget_cached(disk: Disk, folder: Path) -> None:
    """Have the segments that may still be written be read from the disk. A sealed one was durable before it was sealed.

    Raises OSError.
    """
    for segment in segments(disk, folder):
        path = folder / segment.name
        if not disk.status(path).sealed:
            disk.forget_cached(path)


def _cut_torn(disk: Disk, path: Path, end: SegmentEnd) -> None:
    """Cut a segment to its whole lines; a sealed one stays sealed."""
    if end.sealed:
        disk.unseal(path)
    file = disk.open(path)
    try:
        cut(file, end.length)
        if end.sealed:
            file.seal()
    finally:
        file.close()
