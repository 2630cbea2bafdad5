"""The log's segments on disk, and the few operations that it needs of a disk, so that tests can use a worse one.

What is appended or truncated is durable only after `File.sync` returned; before, a crash may keep any part of it. A
new file's name is durable when `Disk.open` returns. Every method may raise OSError, and may then have done a part.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Protocol, final

from signer.errors import AuditError
from signer.home.disk_space import claim

_NAME = re.compile(r"audit-(\d{6,})-(\d{8})\.jsonl", re.ASCII)
_PIECE = 1 << 20
"""How much of a segment is read at a time."""


class File(Protocol):
    """A file that is open for appending."""

    def append(self, data: bytes) -> None:
        """Write all of ``data`` at the end."""

    def sync(self) -> None:
        """Make all that was done to the file durable."""

    def truncate(self, length: int) -> None:
        """Cut the file to its first ``length`` bytes."""

    def claim(self, length: int) -> None:
        """Have the disk keep room for the file to grow to ``length`` bytes: nobody else can fill it then.

        What the file has claimed before needs no room anew. To truncate the file lets go of it.
        """

    def size(self) -> int | None:
        """Return the file's length, or None if its path no longer leads to it: it was removed or replaced."""

    def seal(self) -> None:
        """Let nobody open the file for writing any more."""

    def close(self) -> None:
        """Give the file back. Never raises."""


@dataclass(frozen=True, slots=True)
class FileStatus:
    """A file as it lies on the disk."""

    size: int
    sealed: bool
    """Whether nobody may open it for writing (`File.seal`)."""


class Disk(Protocol):
    """Folders and files. Runs on a worker's thread."""

    def prepare(self, folder: Path) -> None:
        """Make the folder, private to this user. Raises `AuditError` if others can enter an existing one."""

    def lock(self, folder: Path) -> Callable[[], None]:
        """Lock the folder for this process alone. Returns what gives the lock back; the end of the process does too.

        Raises `AuditError` if another holds it.
        """

    def names(self, folder: Path) -> Sequence[str]:
        """Return names of the files in the folder; none if there is no folder."""

    def status(self, path: Path) -> FileStatus:
        """Return the size of a file, and whether it is sealed."""

    def unseal(self, path: Path) -> None:
        """Let a sealed file be opened for writing again."""

    def read(self, path: Path, offset: int, limit: int) -> bytes:
        """Read up to ``limit`` bytes from ``offset``; empty at the end."""

    def forget_cached(self, path: Path) -> None:
        """Have the next read come from the disk.

        A failed sync leaves bytes in the system's cache that are not on the disk, and the next sync calls them good
        (fsync(2), "errors").
        """

    def open(self, path: Path) -> File:
        """Open for appending; makes the file, and its folder, if they are missing."""

    def rename(self, path: Path, name: str) -> None:
        """Give a file another name in its folder, in place of the file that has it; durable when this returns."""

    def remove(self, path: Path) -> None:
        """Remove a file if it is there; durable when this returns."""


@final
class LocalDisk:
    """The disk of this machine."""

    def prepare(self, folder: Path) -> None:
        """Make the folder with mode 0700, or check that it is. The names of new folders are durable on return."""
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in missing:
            _sync_folder(each.parent)
        if stat.S_IMODE(folder.stat().st_mode) & 0o077:
            raise AuditError("others can enter the audit folder", where=str(folder), hint=f"run: chmod 700 {folder}")

    def lock(self, folder: Path) -> Callable[[], None]:
        """Take an exclusive flock(2) on the folder itself."""
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(number)
            hint = "stop the other, or wait until it has ended"
            raise AuditError("another process writes this log", where=str(folder), hint=hint) from None
        except OSError:
            os.close(number)
            raise
        return partial(os.close, number)

    def names(self, folder: Path) -> Sequence[str]:
        """Return names of the files in the folder."""
        return [path.name for path in folder.iterdir()] if folder.is_dir() else []

    def status(self, path: Path) -> FileStatus:
        """Return its size, and whether its mode is 0400."""
        found = path.stat(follow_symlinks=False)
        return FileStatus(found.st_size, sealed=not found.st_mode & stat.S_IWUSR)

    def unseal(self, path: Path) -> None:
        """Give it the mode 0600, unless it is a symbolic link."""
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.fchmod(number, 0o600)
        finally:
            os.close(number)

    def read(self, path: Path, offset: int, limit: int) -> bytes:
        """Read up to ``limit`` bytes from ``offset``."""
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(limit)

    def forget_cached(self, path: Path) -> None:
        """Write what is still to be written, then drop the cached pages. Only what was written is dropped."""
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            with contextlib.suppress(OSError):  # then the pages that failed are dropped, and reading tells the truth
                os.fdatasync(number)
            os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(number)

    def open(self, path: Path) -> File:
        """Open for appending, mode 0600, not through a symbolic link."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = LocalFile(path, os.open(path, flags, 0o600))
        _sync_folder(path.parent)
        return file

    def rename(self, path: Path, name: str) -> None:
        """Rename the file, and sync the folder."""
        path.rename(path.with_name(name))
        _sync_folder(path.parent)

    def remove(self, path: Path) -> None:
        """Remove the file, and sync the folder."""
        path.unlink(missing_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@final
class LocalFile:
    """A file of this machine."""

    def __init__(self, path: Path, number: int) -> None:
        self._path = path
        self._number = number
        self._own = os.fstat(number)

    def append(self, data: bytes) -> None:
        """Write all of ``data``: the system may take it in pieces."""
        written = os.write(self._number, data)
        while written < len(data):
            written += os.write(self._number, data[written:])

    def sync(self) -> None:
        """Sync the data and the length, which is all the metadata that reading needs (fdatasync(2))."""
        os.fdatasync(self._number)

    def truncate(self, length: int) -> None:
        """Cut the file."""
        os.ftruncate(self._number, length)

    def claim(self, length: int) -> None:
        """Allocate blocks behind the end of the file, whose length stays."""
        claim(self._number, length)

    def size(self) -> int | None:
        """Return the length of what stands at the path, if that is this file."""
        try:
            there = self._path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        return there.st_size if os.path.samestat(self._own, there) else None

    def seal(self) -> None:
        """Give the file the mode 0400; this descriptor can still write."""
        os.fchmod(self._number, 0o400)

    def close(self) -> None:
        """Give the file back; what was synced needs nothing more."""
        os.close(self._number)


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file of the log. Numbers count from 1; the day is when it was begun, in UTC."""

    number: int
    day: str

    @property
    def name(self) -> str:
        """The segment's file name."""
        return f"audit-{self.number:06d}-{self.day}.jsonl"


def utc_day(now_us: int) -> str:
    """Return the day of a time, as ``20261123``."""
    return _day(now_us // 86_400_000_000)


@lru_cache(maxsize=4)
def _day(days: int) -> str:
    return datetime.fromtimestamp(days * 86_400, UTC).strftime("%Y%m%d")


def segments(disk: Disk, folder: Path) -> Sequence[Segment]:
    """Return the segments in a folder, oldest first. Files of other names are none of ours."""
    matches = (_NAME.fullmatch(name) for name in disk.names(folder))
    return sorted(Segment(int(match[1]), match[2]) for match in matches if match)


def pieces(disk: Disk, path: Path) -> Iterator[bytes]:
    """Return the bytes of a file, piece by piece."""
    offset = 0
    while piece := disk.read(path, offset, _PIECE):
        offset += len(piece)
        yield piece


def lines(disk: Disk, path: Path, offset: int = 0) -> Iterator[bytes]:
    """Return the lines of a file from ``offset`` on, newlines kept. Only the last can lack one: unfinished, or torn."""
    rest = b""
    while piece := disk.read(path, offset, _PIECE):
        offset += len(piece)
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


def last_line(disk: Disk, path: Path, end: int) -> tuple[bytes, int]:
    """Return the last whole line in the first ``end`` bytes of a file and its end; empty and 0 without one."""
    start, tail = end, b""
    while start > 0:
        step = min(start, 1 << 16)
        start -= step
        tail = disk.read(path, start, step) + tail
        newline = tail.rfind(b"\n")
        before = tail.rfind(b"\n", 0, newline) if newline > 0 else -1
        if before >= 0 or (newline >= 0 and start == 0):
            return tail[before + 1 : newline + 1], start + newline + 1
    return b"", 0
