"""A disk in memory that is as bad as a disk may be: it fills, fails, forgets, and dies in the middle of a write."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from signer.audit.disk import FileStatus
from signer.errors import AuditError


class Crashed(BaseException):
    """The machine died. No BaseException that a program may handle: nothing runs any more."""


class Inode:
    """The bytes of one file: as the running system sees them, and as they are on the disk."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.durable = b""
        self.written: list[bytes] = []
        """What the file held since the last good sync: a crash may bring back any of it, even what was cut off."""
        self.claimed = 0
        """How many bytes there is room for, whatever else fills the disk."""
        self.lost_from: int | None = None
        """A failed sync dropped the pages from here on; the next sync will call them good, and they are not."""
        self.sealed = False


class WorseDisk:
    """Loses at a crash what was not synced, or any part of it.

    ``trouble`` is asked before each step, by its number and name: an OSError number fails it, a Crashed is raised.
    """

    def __init__(self, room: int = 1 << 30) -> None:
        self.files: dict[Path, Inode] = {}
        self.room = room
        self.trouble: Callable[[int, str], int | type[Crashed] | None] = lambda _number, _name: None
        self.steps = 0
        self.syncs = 0
        self.locked = False

    def prepare(self, folder: Path) -> None:
        self.step("prepare")

    def lock(self, folder: Path) -> Callable[[], None]:
        if self.locked:
            raise AuditError("another process writes this log", where=str(folder))
        self.locked = True
        return self._unlock

    def _unlock(self) -> None:
        self.locked = False

    def names(self, folder: Path) -> Sequence[str]:
        self.step("names")
        return [path.name for path in self.files if path.parent == folder]

    def status(self, path: Path) -> FileStatus:
        return FileStatus(len(self.files[path].seen), self.files[path].sealed)

    def unseal(self, path: Path) -> None:
        self.step("unseal")
        self.files[path].sealed = False

    def read(self, path: Path, offset: int, limit: int) -> bytes:
        return bytes(self.files[path].seen[offset : offset + limit])

    def forget_cached(self, path: Path) -> None:
        """What a failed sync dropped reads as zeros; what no sync has failed on is still seen."""
        inode = self.files[path]
        if inode.lost_from is not None:
            kept = bytes(inode.seen[: inode.lost_from])
            inode.seen, inode.lost_from = bytearray(kept.ljust(len(inode.seen), b"\0")), None

    def open(self, path: Path) -> WorseFile:
        inode = self.files.setdefault(path, Inode())
        self.step("open")
        if inode.sealed:
            raise PermissionError(errno.EACCES, "it is sealed")
        return WorseFile(self, path, inode)

    def rename(self, path: Path, name: str) -> None:
        """The step may fail before or after the file has its new name."""
        self.step("rename")
        self.files[path.with_name(name)] = self.files.pop(path)
        self.step("renamed")

    def remove(self, path: Path) -> None:
        """The step may fail before or after the file is gone."""
        self.step("remove")
        self.files.pop(path, None)
        self.step("removed")

    def crash(self, chance: random.Random) -> None:
        """Start anew with what the disk happens to have kept."""
        self.trouble = lambda _number, _name: None
        self.locked = False
        for inode in self.files.values():
            survivors = [inode.durable, *inode.written]
            if inode.lost_from is None:
                survivors.append(bytes(inode.seen))
                if inode.seen.startswith(inode.durable):
                    survivors.append(bytes(inode.seen[: chance.randint(len(inode.durable), len(inode.seen))]))
            inode.durable = chance.choice(survivors)
            inode.seen, inode.lost_from, inode.written = bytearray(inode.durable), None, []

    def step(self, name: str) -> None:
        self.steps += 1
        trouble = self.trouble(self.steps, name)
        if isinstance(trouble, int):
            raise OSError(trouble, f"simulated in {name}")
        if trouble is not None:
            raise trouble

    def used(self) -> int:
        return sum(max(len(inode.seen), inode.claimed) for inode in self.files.values())


class WorseFile:
    """A file on it."""

    def __init__(self, disk: WorseDisk, path: Path, inode: Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode

    def append(self, data: bytes) -> None:
        """Half of it is written if the step fails."""
        claimed = max(self._inode.claimed - len(self._inode.seen), 0)
        try:
            self._disk.step("append" if len(data) > claimed else "append within its room")
        except BaseException:
            self._inode.seen += data[: len(data) // 2]
            raise
        fits = self._disk.room - self._disk.used() + claimed
        self._inode.seen += data[: max(fits, 0)]
        self._inode.written.append(bytes(self._inode.seen))
        if fits < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")

    def sync(self) -> None:
        try:
            self._disk.step("sync")
        except OSError:
            if not self._inode.durable.startswith(self._inode.seen):
                self._inode.lost_from = min(len(self._inode.durable), len(self._inode.seen))
            raise
        self._disk.syncs += 1
        self._inode.written = []
        kept = len(self._inode.seen) if self._inode.lost_from is None else self._inode.lost_from
        self._inode.durable = bytes(self._inode.seen[:kept]).ljust(len(self._inode.seen), b"\0")

    def truncate(self, length: int) -> None:
        self._disk.step("truncate")
        if length < len(self._inode.seen):
            del self._inode.seen[length:]
        else:
            self._inode.seen += bytes(length - len(self._inode.seen))
        self._inode.claimed = 0
        if self._inode.lost_from is not None and self._inode.lost_from >= length:
            self._inode.lost_from = None

    def claim(self, length: int) -> None:
        more = length - max(self._inode.claimed, len(self._inode.seen))
        self._disk.step("claim" if more > 0 else "claim again")
        if more > self._disk.room - self._disk.used():
            raise OSError(errno.ENOSPC, "No space left on device")
        self._inode.claimed = max(self._inode.claimed, length)

    def size(self) -> int | None:
        return len(self._inode.seen) if self._disk.files.get(self._path) is self._inode else None

    def seal(self) -> None:
        self._disk.step("seal")
        self._inode.sealed = True

    def close(self) -> None:
        """Do nothing."""
