"""The program of docs/audit.md by which a stranger works out what is used of a cap."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from signer.audit.archive import state_seqs
from signer.audit.disk import LocalDisk, segments
from signer.gateway.trace import operator_record
from tests.harness.clocks import NOON_US
from tests.unit.audit.archives import DAY_US, MIDNIGHT_US, append, archive, folded, write_days

CAP = ("client/grid-bot", "USD", 604_800)
DAYS = 4
END_US = NOON_US + DAYS * DAY_US


def stranger(folder: Path, at_us: int) -> Decimal:
    """Run the documented program: what is used then."""
    page = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")
    program = next(text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "window_s" in text)
    asked = [sys.executable, "-I", "-c", program, str(folder), *map(str, CAP), str(at_us)]
    return Decimal(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of four days, on each of which a call is spent, one is given back and one stays open."""
    path = tmp_path / "audit"
    asyncio.run(write_days(LocalDisk(), path, DAYS))
    return path


def test_it_agrees_with_the_book_wherever_the_log_begins(folder: Path) -> None:
    """It says what the book says, for a whole log and each time that more is archived, now and days later."""
    disk, moments = LocalDisk(), [END_US + days * DAY_US for days in (0, 3, 5, 6, 20)]
    book = folded(disk, folder)
    used = [book.used(CAP, at_us) for at_us in moments]
    assert [used[0], used[-1]] == [Decimal(20), Decimal(14)], (
        "what is spent leaves the window, and what is held does not"
    )
    for day in range(DAYS):
        asyncio.run(archive(disk, folder, folder.parent / f"archive{day}", MIDNIGHT_US + (day - 1) * DAY_US, END_US))
        assert [stranger(folder, at_us) for at_us in moments] == used
    assert [segment.number for segment in segments(disk, folder)] == [4, 5]


def test_it_agrees_where_an_archiving_was_cut_off(folder: Path) -> None:
    """Records that the state file stands for do not count twice."""
    disk = LocalDisk()
    used = folded(disk, folder).used(CAP, END_US)
    kept = {segment.name: (folder / segment.name).read_bytes() for segment in segments(disk, folder)}
    asyncio.run(archive(disk, folder, folder.parent / "archive", MIDNIGHT_US + DAY_US, END_US))
    name = sorted(kept)[1]
    (folder / name).write_bytes(kept[name])
    assert stranger(folder, END_US) == used == folded(disk, folder).used(CAP, END_US)


def test_it_agrees_after_a_reset(folder: Path) -> None:
    """A reset forgets what was spent before it, in the state file too, and not what is held."""
    disk = LocalDisk()
    asyncio.run(archive(disk, folder, folder.parent / "archive", MIDNIGHT_US + DAY_US, END_US))
    told = {"id": "x", "act": "caps reset", "stage": "done", "client": "grid-bot", "unit": "USD"}
    asyncio.run(append(disk, folder, [operator_record(1, "ann", told, END_US)], END_US))
    assert stranger(folder, END_US) == folded(disk, folder).used(CAP, END_US) == 14


def test_it_refuses_a_state_file_that_was_changed(folder: Path) -> None:
    """A state file that is not the one that the log vouches for is no beginning."""
    asyncio.run(archive(LocalDisk(), folder, folder.parent / "archive", MIDNIGHT_US + DAY_US, END_US))
    (seq,) = state_seqs(LocalDisk(), folder)
    path = folder / f"book-{seq}.json"
    path.write_bytes(path.read_bytes().replace(b'"1000"', b'"9000"'))
    with pytest.raises(subprocess.CalledProcessError) as raised:
        stranger(folder, END_US)
    assert "the state file was edited" in raised.value.stderr
