"""Checks the free space of the disks of home and audit log, and the time of a durable write to the log."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from signer.audit.disk import LocalDisk, segments
from signer.contracts import Clock
from signer.doctor.said import error, fine, warning
from signer.findings import Finding
from signer.home.layout import Home

MIB = 1 << 20
LEAST_BYTES, FEW_BYTES = 64 * MIB, 1024 * MIB
"""Free space for an error (one segment of the log) and for a warning. The log's own room is for cancels and brakes."""
LEAST_FILES, FEW_FILES = 100, 10_000
LEAST_DAYS, FEW_DAYS = 2.0, 14.0
DAY_S = 24 * 3600.0
WRITES = 20
WRITE_BYTES = 4096
SLOW_S = 0.010
"""The slowest durable write without a warning. Every order waits for one."""
HINT = "make room, or move old segments of the audit log away (docs/audit.md)"


def examine(home: Home, clock: Clock) -> list[Finding]:
    """Examine each file system that home and audit log are on."""
    folders = {folder.stat().st_dev: folder for folder in (home.folder, home.audit) if folder.is_dir()}
    found: list[Finding] = []
    for folder in folders.values():
        found += room(folder, os.statvfs(folder), _bytes_a_day(home, clock))
    return [*found, *sync_cost(home.audit if home.audit.is_dir() else home.folder, clock)]


def room(folder: Path, disk: os.statvfs_result, bytes_a_day: float) -> Iterator[Finding]:
    """Report the free space of ``disk``, and how long it lasts if the log grows by ``bytes_a_day`` (0: not known)."""
    about, free = f"disk of {folder}", disk.f_bavail * disk.f_frsize
    days = free / bytes_a_day if bytes_a_day else float("inf")
    what = f"{_size(free)} free" + (f", room for {days:.0f} days of the audit log" if days < 1000 else "")
    if free < LEAST_BYTES or days < LEAST_DAYS:
        yield error("disk", about, f"{what}: orders are refused when it is full", HINT)
    elif free < FEW_BYTES or days < FEW_DAYS:
        yield warning("disk", about, what, HINT)
    else:
        yield fine("disk", about, what)
    if disk.f_files and disk.f_favail < FEW_FILES:  # 0: a file system that does not count them
        say = error if disk.f_favail < LEAST_FILES else warning
        yield say("inodes", about, f"room for {disk.f_favail} more files", "remove files that nobody needs")


def sync_cost(folder: Path, clock: Clock) -> Iterator[Finding]:
    """Measure in a separate file how long a small write takes until it is durable: the median."""
    about = f"disk of {folder}"
    try:
        took = statistics.median(_writes(folder, clock))
    except OSError as why:
        yield error("sync", about, f"cannot be written to ({why.strerror})", "see to the disk and the folder's owner")
        return
    what = f"a record is durable in {took * 1000:.1f} ms"
    if took > SLOW_S:
        hint = "put the home on a local SSD: each order waits for such a write"
        yield warning("sync", about, what, hint)
    else:
        yield fine("sync", about, what)


def _writes(folder: Path, clock: Clock) -> list[float]:
    took = []
    with tempfile.NamedTemporaryFile(prefix=".doctor-", dir=folder, buffering=0) as file:
        for _ in range(WRITES):
            begun = clock.monotonic()
            file.write(bytes(WRITE_BYTES))
            os.fdatasync(file.fileno())
            took.append(clock.monotonic() - begun)
    return took


def _bytes_a_day(home: Home, clock: Clock) -> float:
    """Tell how fast the log grew since its oldest segment was begun; 0 if that is less than two days ago."""
    found = segments(LocalDisk(), home.audit)
    if not found:
        return 0.0
    begun = datetime.strptime(found[0].day, "%Y%m%d").replace(tzinfo=UTC)
    days = (clock.now_us() / 1e6 - begun.timestamp()) / DAY_S
    size = sum((home.audit / segment.name).stat().st_size for segment in found)
    return size / days if days >= 2 else 0.0


def _size(free: int) -> str:
    return f"{free / (1024 * MIB):.1f} GiB" if free >= 1024 * MIB else f"{free / MIB:.0f} MiB"
