"""An open log on a disk that can be made to fail."""

from __future__ import annotations

import errno

from signer.audit.log import FileAuditLog
from signer.errors import AuditError
from tests.unit.audit.given import entry, new_log
from tests.unit.audit.worse_disk import WorseDisk


def fail_steps(disk: WorseDisk, name: str, number: int = errno.EIO) -> None:
    """Let every step of that name fail from now on."""
    disk.trouble = lambda _number, step: number if step.startswith(name) else None


def heal(disk: WorseDisk) -> None:
    """Let nothing fail any more."""
    disk.trouble = lambda _number, _name: None


async def fill(disk: WorseDisk, log: FileAuditLog) -> int:
    """Let others fill the disk, and the log the slack that it has claimed; how many more records it took."""
    disk.room = disk.used()
    for taken in range(1000):
        try:
            await log.record(entry(f"slack-{taken}", "intent"))
        except AuditError:
            return taken
    raise AssertionError("the disk is not full")


async def opened(disk: WorseDisk, alarms: list[str] | None = None, **limits: int) -> FileAuditLog:
    """An open log."""
    log = new_log(disk, [] if alarms is None else alarms, **limits)
    await log.open()
    return log
