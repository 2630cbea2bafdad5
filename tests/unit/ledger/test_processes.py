"""Several processes on one ledger, and one that is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from signer.ledger.sqlite import SqliteLedger
from signer.serving.clock import SystemClock
from tests.unit.ledger.calls import InlineWorker, used


def reserving(path: Path, limit: int) -> subprocess.Popen[bytes]:
    """A process that reserves until the cap is full."""
    command = [sys.executable, "-m", "tests.unit.ledger.reserving", str(path), str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


async def test_two_processes_share_a_cap(tmp_path: Path) -> None:
    """Together they reserve exactly what the cap allows, and both are told so."""
    both = [reserving(tmp_path / "ledger.db", 400) for _ in range(2)]
    numbers = [number for process in both for number in process.communicate(timeout=60)[0].split()]
    assert [process.returncode for process in both] == [0, 0]
    assert len(numbers) == len(set(numbers)) == 400


async def test_a_killed_process_loses_nothing_that_it_was_told(tmp_path: Path) -> None:
    """After `kill -9` in the middle every reservation that was answered is held and counted."""
    process = reserving(tmp_path / "ledger.db", 1_000_000)
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(100)]
    process.kill()
    told += [int(line) for line in process.communicate()[0].split(b"\n")[:-1]]
    ledger = SqliteLedger(tmp_path / "ledger.db", SystemClock(), InlineWorker())
    await ledger.open()
    held = {found.reservation for found in await ledger.open_intents()}
    assert set(told) <= held
    assert len(held) <= len(told) + 8  # committed, and killed before it could say so
    assert await used(ledger) == len(held)
    await ledger.close()
