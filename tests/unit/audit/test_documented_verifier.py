"""The program of docs/audit.md that a stranger verifies with."""

from __future__ import annotations

import asyncio
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from signer.audit.archive import state_seqs
from signer.audit.disk import LocalDisk, segments
from signer.audit.verify import verify
from tests.harness.clocks import NOON_US
from tests.unit.audit.archives import DAY_US, MIDNIGHT_US, archive, write_days
from tests.unit.audit.given import write_log


def stranger(folder: Path) -> tuple[int, str]:
    """Run the documented program on a folder: exit status and what it said."""
    text = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")
    match = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert match is not None
    done = subprocess.run(
        [sys.executable, "-I", "-c", match[1], str(folder)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of two segments."""
    path = tmp_path / "audit"
    head = write_log(path, LocalDisk(), [["é"], ["b"], ["c"], ["d"]], segment_bytes=700)
    (tmp_path / "head").write_text(f"{head.seq} {head.digest}\n", encoding="ascii")
    return path


def test_it_agrees_with_us(folder: Path) -> None:
    """The documented verifier accepts an untouched log and prints its head."""
    assert len(list(folder.glob("*.jsonl"))) == 2
    assert stranger(folder) == (0, (folder.parent / "head").read_text(encoding="ascii"))


def test_it_finds_a_member_that_stands_twice(folder: Path) -> None:
    """A record with a right digest that two parsers could read differently is found."""
    path = sorted(folder.glob("*.jsonl"))[0]
    line = path.read_bytes().splitlines()[0]
    body = line[:-77].replace(b'"kind":', b'"kind":"stop","kind":') + b"}"
    path.write_bytes(body[:-1] + b',"digest":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n')
    assert stranger(folder) == (1, f"{path.name} line 1: not in canonical form\n")


def test_it_finds_an_edit_and_a_removal(folder: Path) -> None:
    """An edited byte and a removed line are found and named."""
    path = sorted(folder.glob("*.jsonl"))[0]
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"grid-bot", b"Grid-bot", 1))
    assert stranger(folder) == (1, f"{path.name} line 2: edited\n")
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:1] + whole.splitlines(keepends=True)[2:]))
    assert stranger(folder) == (1, f"{path.name} line 2: does not follow record 1\n")


def test_it_begins_at_a_state_file(tmp_path: Path) -> None:
    """It accepts an archived beginning, and finds out one that is missing, and a changed state file."""
    disk, path = LocalDisk(), tmp_path / "audit"
    asyncio.run(write_days(disk, path, 3))
    asyncio.run(archive(disk, path, tmp_path / "archive", MIDNIGHT_US, NOON_US + 3 * DAY_US))
    head = verify(path, (), disk).head
    assert head is not None
    assert stranger(path) == (0, f"{head.seq} {head.digest}\n")
    (seq,) = state_seqs(disk, path)
    state = path / f"book-{seq}.json"
    state.write_bytes(state.read_bytes() + b" ")
    assert stranger(path) == (1, f"{state.name}: edited\n")
    (path / segments(disk, path)[0].name).unlink()
    assert stranger(path) == (1, "records 1 to 12 are missing\n")
