"""One process alone writes the log and has its book."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from signer.audit.disk import LocalDisk
from signer.audit.journal import FileJournal
from signer.errors import AuditError
from tests.harness.clocks import SetClock
from tests.unit.audit.checkpoints import KeptCheckpoint
from tests.unit.audit.given import AtOnce, entry, new_appender
from tests.unit.audit.opened import opened
from tests.unit.audit.worse_disk import WorseDisk


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again without a wait."""
    monkeypatch.setattr("signer.audit.lock.WAIT_S", 0.0)


async def test_only_one_process_writes_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one has the log open, another is refused; it waits for one that ends, and then goes on."""
    monkeypatch.setattr("signer.audit.lock.WAIT_S", 0.0)
    first = new_appender(LocalDisk(), folder=tmp_path / "audit")
    await first.open(None)
    await first.append([entry("a")])
    with pytest.raises(AuditError, match="another process writes this log"):
        await new_appender(LocalDisk(), folder=tmp_path / "audit").open(None)
    second = new_appender(LocalDisk(), folder=tmp_path / "audit")
    monkeypatch.setattr("signer.audit.lock.TRIES", 1_000_000)
    opening = asyncio.ensure_future(second.open(None))
    await asyncio.sleep(0)
    await first.close()
    await opening
    assert second.head == first.head
    await second.close()


class UnreadCheckpoint(KeptCheckpoint):
    """A checkpoint that nobody may read."""

    def load(self) -> None:
        raise AssertionError("the book was loaded without the lock")


async def test_no_book_is_loaded_of_a_log_that_another_process_writes() -> None:
    """While one has the log open, another does not even read its checkpoint."""
    disk = WorseDisk()
    first = await opened(disk)
    with pytest.raises(AuditError, match="another process writes this log"):
        await opened(disk, checkpoint=UnreadCheckpoint())
    await first.close()


async def test_a_refused_start_leaves_the_lock_to_its_holder() -> None:
    """A start that was refused gives nothing back that it does not have."""
    disk = WorseDisk()
    first = await opened(disk)
    with pytest.raises(AuditError):
        await opened(disk)
    assert disk.locked
    await first.record(entry("a"))
    await first.close()
    assert not disk.locked


HOLDER = """
import sys
from collections.abc import Iterator
from pathlib import Path
from signer.audit.disk import LocalDisk
unlock = LocalDisk().lock(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock of the log in ``audit``."""
    folder = tmp_path / "audit"
    folder.mkdir(mode=0o700)
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield process
        process.kill()


async def test_the_end_of_a_process_gives_the_lock_back(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    """While another process lives, no journal opens; once it was killed, one does."""
    with pytest.raises(AuditError, match="another process writes this log"):
        await _journal(tmp_path).open()
    holder.kill()
    holder.wait()
    journal = _journal(tmp_path)
    await journal.open()
    await journal.record(entry("a"))
    await journal.close()


def _journal(home: Path) -> FileJournal:
    return FileJournal(home / "audit", SetClock(), AtOnce(), LocalDisk(), KeptCheckpoint(), print)
