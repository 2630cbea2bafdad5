"""What the log does on a full or broken disk, and how it recovers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from signer.audit.disk import LocalDisk, segments
from signer.audit.log import FileAuditLog
from signer.audit.verify import from_ledger, verify
from signer.errors import AuditError
from signer.offload.worker import ThreadWorker
from tests.harness.clocks import SetClock
from tests.unit.audit.given import FOLDER, all_records, durable, entry, head_of, ids, new_flusher
from tests.unit.audit.opened import fail_steps, fill, heal, opened
from tests.unit.audit.worse_disk import WorseDisk


async def test_a_dead_disk_cannot_fill_the_memory() -> None:
    """Beyond the bound background records are dropped, and their number is recorded when the disk is back."""
    disk = WorseDisk()
    log = await opened(disk, most_notes=10)
    fail_steps(disk, "append")
    for number in range(25):
        log.note(entry(f"{number}"))
        if number == 5:
            with pytest.raises(AuditError):
                await log.record(entry("refused", "intent"))
    assert log.dropped == 15
    heal(disk)
    await log.record(entry("after", "intent"))
    assert ids(disk) == [*(f"{number}" for number in range(10)), "after"]
    await log.record(entry("later", "intent"))
    assert [record["count"] for record in all_records(disk) if record["kind"] == "dropped"] == [15]
    assert ids(disk)[10:] == ["after", "later"]


async def test_a_full_disk_refuses_alarms_once_and_recovers() -> None:
    """ENOSPC: AuditError with the hint, one alarm, no torn line left; with room again the chain goes on, unbroken."""
    disk, alarms = WorseDisk(), list[str]()
    log = await opened(disk, alarms)
    slack = await fill(disk, log)
    for _ in range(3):
        with pytest.raises(AuditError, match=r"No space left.*free some space"):
            await log.record(entry("refused", "intent"))
    assert len(alarms) == 1
    assert not log.healthy
    disk.room = 1 << 30
    await log.record(entry("after", "intent"))
    assert ids(disk) == [*(f"slack-{number}" for number in range(slack)), "after"]
    assert [record["kind"] for record in all_records(disk)][-2:] == ["recovered", "intent"]
    assert verify(FOLDER, from_ledger(head_of(log)), disk).ok
    assert alarms[1:] == ["the audit log is being written again"]


async def test_cancels_are_recorded_on_a_full_disk() -> None:
    """Urgent records take the room claimed for them; others are refused and do not eat it, until it is whole again."""
    disk = WorseDisk()
    log = await opened(disk)
    slack = await fill(disk, log)
    await log.record(entry("cancel-1", "intent"), urgent=True)
    with pytest.raises(AuditError):
        await log.record(entry("order", "intent"))
    log.note(entry("read"))
    await log.record(entry("cancel-2", "intent"), urgent=True)
    assert ids(disk)[slack:] == ["cancel-1", "cancel-2"]
    assert log.counters.rescued == 2
    disk.room = 1 << 30
    await log.record(entry("order", "intent"))
    assert ids(disk)[slack:] == ["cancel-1", "cancel-2", "read", "order"]
    assert verify(FOLDER, from_ledger(head_of(log)), disk).ok


async def test_only_the_urgent_of_a_batch_are_saved() -> None:
    """When a batch fails for want of room, its cancel is recorded and its order refused."""
    disk = WorseDisk()
    log = await opened(disk)
    await fill(disk, log)
    order, cancel = await asyncio.gather(
        log.record(entry("order", "intent")),
        log.record(entry("cancel", "intent"), urgent=True),
        return_exceptions=True,
    )
    assert isinstance(order, AuditError)
    assert cancel is None
    assert ids(disk)[-1] == "cancel"


async def test_cancels_are_refused_when_the_room_is_used_up() -> None:
    """When nothing can take a record any more, an urgent one is refused too, and nothing is left half written."""
    disk = WorseDisk()
    log = await opened(disk)
    slack = await fill(disk, log)
    saved = 0
    with contextlib.suppress(AuditError):
        while saved < 1000:
            await log.record(entry(f"cancel-{saved}", "intent"), urgent=True)
            saved += 1
    disk.room = 1 << 30
    await log.record(entry("after", "intent"))
    assert 5 < saved < 20
    assert ids(disk)[slack:] == [*(f"cancel-{number}" for number in range(saved)), "after"]


async def test_cancels_are_recorded_though_others_fill_the_disk_as_fast_as_it_is_freed() -> None:
    """The room is the log's own: whatever another writer takes meanwhile, each cancel finds its place, after a restart
    too.
    """
    disk = WorseDisk()
    log = await opened(disk)
    await fill(disk, log)
    for number in range(3):
        await log.record(entry(f"cancel-{number}", "intent"), urgent=True)
        disk.room = disk.used()
    await log.close()
    disk.room = disk.used()
    alarms = list[str]()
    again = await opened(disk, alarms)
    assert not again.healthy
    assert "No space left" in alarms[0]
    await again.record(entry("cancel-3", "intent"), urgent=True)
    with pytest.raises(AuditError):
        await again.record(entry("order", "intent"))
    assert ids(disk)[-4:] == [f"cancel-{number}" for number in range(4)]
    assert verify(FOLDER, from_ledger(head_of(again)), disk).ok


async def test_a_start_on_a_full_disk_that_has_the_room_is_a_good_one() -> None:
    """What was claimed before needs no room anew, so the log opens healthy and cancels pass."""
    disk = WorseDisk()
    log = await opened(disk)
    await log.record(entry("before", "intent"))
    await log.close()
    disk.room = disk.used()
    again = await opened(disk)
    assert again.healthy
    await again.record(entry("cancel", "intent"), urgent=True)
    assert ids(disk) == ["before", "cancel"]


async def test_a_full_disk_does_not_end_a_segment() -> None:
    """On a new day without room for a new segment the old one takes the cancels, and the new one begins with room."""
    disk, clock = WorseDisk(), SetClock()
    flusher = new_flusher(disk, clock)
    flusher.open(None)
    assert flusher.serve([durable("before")]) == [None]
    disk.room = disk.used()
    clock.us += 86_400_000_000
    while flusher.serve([durable("slack")]) == [None]:
        pass
    assert flusher.serve([durable("cancel", urgent=True)]) == [None]
    first, *later = segments(disk, FOLDER)
    assert b"cancel" in disk.files[FOLDER / first.name].durable
    assert [disk.files[FOLDER / segment.name].durable for segment in later] == [b""]
    disk.room = 1 << 30
    assert flusher.serve([durable("after")]) == [None]
    assert len(segments(disk, FOLDER)) == 2
    assert ids(disk)[-2:] == ["cancel", "after"]
    assert verify(FOLDER, from_ledger(flusher.head), disk).ok


async def test_a_failed_sync_is_not_believed_the_second_time() -> None:
    """After fdatasync failed the lost pages never count as written: what is acknowledged later survives a crash."""
    disk = WorseDisk()
    log = await opened(disk)
    await log.record(entry("before", "intent"))
    fail_steps(disk, "sync")
    with pytest.raises(AuditError):
        await log.record(entry("refused", "intent"))
    heal(disk)
    await log.record(entry("after", "intent"))
    for inode in disk.files.values():
        inode.seen = bytearray(inode.durable)
    assert ids(disk) == ["before", "after"]
    assert len(segments(disk, FOLDER)) == 2
    assert verify(FOLDER, from_ledger(head_of(log)), disk).ok


def take_away(path: Path, harm: str) -> None:
    """Do to a file what a person might."""
    whole = path.read_bytes()
    if harm == "move":
        path.rename(path.parent.parent / "taken")
    elif harm == "cut":
        path.write_bytes(b"")
    else:
        path.unlink()
    if harm == "replace":
        path.write_bytes(whole)


@pytest.mark.parametrize("harm", ["remove", "replace", "cut", "move"])
async def test_a_segment_taken_away_is_noticed(tmp_path: Path, harm: str) -> None:
    """A segment removed, replaced, cut or moved under the log: refused once, alarmed, then a new segment goes on."""
    alarms: list[str] = []
    worker = ThreadWorker("audit")
    log = FileAuditLog(tmp_path / "audit", SetClock(), worker, LocalDisk(), alarms.append)
    await log.open()
    await log.record(entry("before", "intent"))
    (path,) = (tmp_path / "audit").glob("*.jsonl")
    whole = path.read_bytes()
    take_away(path, harm)
    with pytest.raises(AuditError, match="removed, replaced or cut"):
        await log.record(entry("refused", "intent"))
    await log.record(entry("after", "intent"))
    head = head_of(log)
    await log.close()
    worker.close()
    assert len(alarms) == 2
    newest = sorted((tmp_path / "audit").glob("*.jsonl"))[-1]
    assert [json.loads(line).get("id") for line in newest.read_bytes().splitlines()][-1] == "after"
    report = verify(tmp_path / "audit", from_ledger(head), LocalDisk())
    assert report.ok == (harm == "replace")  # an identical copy in its place is as good
    if harm == "move":
        assert (tmp_path / "taken").read_bytes() == whole


async def test_the_folder_taken_away_is_made_anew(tmp_path: Path) -> None:
    """Even without its folder the log recovers by itself, and `verify` says that a segment is gone."""
    worker = ThreadWorker("audit")
    log = FileAuditLog(tmp_path / "audit", SetClock(), worker, LocalDisk(), lambda _text: None)
    await log.open()
    await log.record(entry("before", "intent"))
    (tmp_path / "audit").rename(tmp_path / "taken")
    with pytest.raises(AuditError):
        await log.record(entry("refused", "intent"))
    await log.record(entry("after", "intent"))
    await log.close()
    worker.close()
    (finding,) = verify(tmp_path / "audit", from_ledger(log.head()), LocalDisk()).findings
    assert (finding.seq, "are missing" in finding.what) == (1, True)


async def test_it_recovers_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure the log tries again by itself, and says in a record that it failed."""
    monkeypatch.setattr("signer.audit.log.RETRY_S", 0.0)
    disk, alarms = WorseDisk(), list[str]()
    log = await opened(disk, alarms)
    fail_steps(disk, "sync")
    with pytest.raises(AuditError):
        await log.record(entry("refused", "intent"))
    heal(disk)
    while not log.healthy:
        await asyncio.sleep(0)
    assert all_records(disk)[-1]["kind"] == "recovered"
    assert alarms[-1] == "the audit log is being written again"
