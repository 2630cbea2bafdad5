"""Room on the disk, and what a durable write costs."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from signer.doctor.disks import DAY_S, MIB, examine, room, sync_cost
from signer.home.layout import Home
from signer.serving.clock import SystemClock
from tests.harness.clocks import NOON_US
from tests.unit.doctor.looking import only, said


def disk(free_bytes: int, free_files: int = 1_000_000, files: int = 2_000_000) -> os.statvfs_result:
    """A file system with so much left."""
    return os.statvfs_result((4096, 1, free_bytes * 2, free_bytes, free_bytes, files, free_files, free_files, 0, 255))


@pytest.mark.parametrize(
    ("free_mib", "mib_a_day", "expected"),
    [
        (5000, 0, []),
        (5000, 1, []),
        (500, 0, [("warning", "disk")]),
        (5000, 500, [("warning", "disk")]),
        (50, 0, [("error", "disk")]),
        (5000, 4000, [("error", "disk")]),
    ],
)
def test_how_long_the_room_lasts(free_mib: int, mib_a_day: int, expected: list[tuple[str, str]]) -> None:
    """The check reckons how long the room lasts from the free space and the growth of the log."""
    assert said(room(Path("/home"), disk(free_mib * MIB), mib_a_day * MIB)) == expected


@pytest.mark.parametrize(("left", "of", "weight"), [(50, 1000, "error"), (5000, 9000, "warning"), (0, 0, "")])
def test_room_for_files(left: int, of: int, weight: str) -> None:
    """A disk can be full of small files; a file system that does not count them is none."""
    found = said(room(Path("/home"), disk(5000 * MIB, left, of), 0))
    assert found == ([(weight, "inodes")] if weight else [])


class Slow:
    """A clock by which every write takes ``step_s``."""

    def __init__(self, step_s: float) -> None:
        self._ticks = itertools.count()
        self._step_s = step_s

    def now_us(self) -> int:
        return NOON_US

    def monotonic(self) -> float:
        return next(self._ticks) * self._step_s


@pytest.mark.parametrize(("step_s", "weight"), [(0.009, "fine"), (0.012, "warning")])
def test_a_slow_write_is_said(tmp_path: Path, step_s: float, weight: str) -> None:
    """The median of real writes decides whether the disk is slow; the check leaves no file behind."""
    found = only(sync_cost(tmp_path, Slow(step_s)))
    assert (found.weight, f"{step_s * 1000:.1f} ms" in found.what) == (weight, True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    """The finding is an error, without a traceback."""
    assert said(sync_cost(tmp_path / "missing", SystemClock())) == [("error", "sync")]


def test_the_growth_is_that_of_the_log(tmp_path: Path) -> None:
    """The growth of the log over the last days says how long the room lasts."""
    home = Home(tmp_path)
    home.audit.mkdir()
    with (home.audit / "audit-000001-20261121.jsonl").open("wb") as file:  # two days and a half ago
        file.truncate(os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize // 100)
    assert DAY_S * 2 < NOON_US / 1e6
    first = examine(home, Slow(0.001))[0]
    days = float(first.what.partition("room for ")[2].partition(" ")[0])
    assert 200 < days < 300
