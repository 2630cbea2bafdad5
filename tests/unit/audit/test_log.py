"""The log as its callers see it: what is durable when, what a full or broken disk does, and that it recovers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
from pathlib import Path

import pytest

from signer.audit.chain import Appender
from signer.audit.disk import LocalDisk, segments
from signer.audit.log import FileAuditLog
from signer.audit.verify import from_ledger, verify
from signer.errors import AuditError
from signer.model import ChainHead
from signer.offload.worker import ThreadWorker
from tests.harness.clocks import SetClock
from tests.unit.audit.given import FOLDER, all_records, durable, entry, head_of, ids, new_flusher, new_log
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


async def test_a_record_is_durable_when_record_returns() -> None:
    """What `record` returned for is on the disk itself, not only in the system's memory."""
    disk = WorseDisk()
    log = await opened(disk)
    await log.record(entry("a", "intent"))
    (segment,) = segments(disk, FOLDER)
    assert b'"id":"a"' in disk.files[FOLDER / segment.name].durable
    assert all_records(disk)[-1]["digest"] == head_of(log).digest


async def test_those_who_wait_together_share_one_sync() -> None:
    """Fifty concurrent records cost one write and one sync, and stand in the order they came."""
    disk = WorseDisk()
    log = await opened(disk)
    before = disk.syncs
    await asyncio.gather(*(log.record(entry(f"{number}", "intent")) for number in range(50)))
    assert disk.syncs == before + 1
    assert ids(disk) == [f"{number}" for number in range(50)]


async def test_notes_keep_their_place_before_a_later_record() -> None:
    """Background and durable records stand in the order they were accepted."""
    disk = WorseDisk()
    log = await opened(disk)
    log.note(entry("first"))
    await asyncio.gather(log.record(entry("second", "intent")), log.record(entry("third", "intent")))
    log.note(entry("fourth"))
    await log.close()
    assert ids(disk) == ["first", "second", "third", "fourth"]


async def test_notes_are_flushed_without_anybody_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A background record reaches the disk by its timer."""
    monkeypatch.setattr("signer.audit.log.FLUSH_S", 0.0)
    disk = WorseDisk()
    log = await opened(disk)
    log.note(entry("alone"))
    while not log.counters.notes_done:
        await asyncio.sleep(0)
    assert ids(disk) == ["alone"]


async def test_many_notes_are_flushed_at_once() -> None:
    """A full batch of background records does not wait for the timer."""
    disk = WorseDisk()
    log = await opened(disk)
    for number in range(128):
        log.note(entry(f"{number}"))
    while not log.counters.notes_done:
        await asyncio.sleep(0)
    assert len(ids(disk)) == 128
    assert log.counters.flushes == 1


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


async def test_segments_follow_each_other_by_size_and_by_day() -> None:
    """A new segment begins when one has grown to its size, and on a new UTC day; its header links it to the last."""
    disk, clock = WorseDisk(), SetClock()
    flusher = new_flusher(disk, clock, segment_bytes=1000)
    flusher.open(None)
    for name in ("a", "b", "c", "d"):
        flusher.serve([durable(name)])
    clock.us += 86_400_000_000
    flusher.serve([durable("e")])
    found = [segment.name for segment in segments(disk, FOLDER)]
    assert found == ["audit-000001-20261123.jsonl", "audit-000002-20261123.jsonl", "audit-000003-20261124.jsonl"]
    headers = [record for record in all_records(disk) if record["kind"] == "segment"]
    assert [(header["segment"], header["previous_segment"]) for header in headers] == [(1, 0), (2, 1), (3, 2)]
    assert verify(FOLDER, from_ledger(flusher.head), disk).ok


async def test_a_torn_end_is_cut_off_and_said() -> None:
    """At the next start an unfinished last line goes, a record says so, and the chain goes on."""
    disk = WorseDisk()
    log = await opened(disk)
    await log.record(entry("before", "intent"))
    await log.close()
    (segment,) = segments(disk, FOLDER)
    disk.files[FOLDER / segment.name].seen += b'{"account":"ma'
    again = await opened(disk)
    await again.record(entry("after", "intent"))
    kinds = [record["kind"] for record in all_records(disk)]
    assert kinds == ["segment", "intent", "recovered", "intent"]
    assert "14 bytes" in str(all_records(disk)[2]["text"])
    assert verify(FOLDER, from_ledger(head_of(again)), disk).ok


async def test_a_last_line_that_no_crash_leaves_stops_the_start() -> None:
    """A whole last line that is no record was edited: the start is refused with the hint, and nothing is cut."""
    disk = WorseDisk()
    log = await opened(disk)
    await log.record(entry("before", "intent"))
    (segment,) = segments(disk, FOLDER)
    inode = disk.files[FOLDER / segment.name]
    inode.seen[-90:-89] = b"X"
    before = bytes(inode.seen)
    with pytest.raises(AuditError, match="move the folder away"):
        await opened(disk)
    assert bytes(inode.seen) == before


@pytest.mark.parametrize("torn", [b"", b'{"torn'])
async def test_a_log_that_lacks_known_records_shows_it_for_ever(torn: bytes) -> None:
    """If the ledger knows more than the log holds, the chain goes on after that, and `verify` finds the gap."""
    disk = WorseDisk()
    log = await opened(disk)
    await log.record(entry("before", "intent"))
    (segment,) = segments(disk, FOLDER)
    disk.files[FOLDER / segment.name].seen += torn
    again = new_log(disk, [])
    await again.open(ChainHead(7, "ab" * 32))
    await again.record(entry("after", "intent"))
    assert bytes(disk.files[FOLDER / segment.name].seen).endswith(torn)
    findings = verify(FOLDER, from_ledger(head_of(again)), disk).findings
    assert [finding.seq for finding in findings][-1] == 3 + bool(torn)
    assert "missing" in findings[-1].what
    assert all_records_after(disk, 7)[0]["prev"] == "ab" * 32


def all_records_after(disk: WorseDisk, seq: int) -> list[dict[str, object]]:
    """Records of the last segment beyond ``seq``."""
    last = segments(disk, FOLDER)[-1]
    records = [json.loads(line) for line in bytes(disk.files[FOLDER / last.name].seen).splitlines()]
    return [record for record in records if record["seq"] > seq]


async def test_an_unfit_entry_is_refused_alone() -> None:
    """A float in one caller's entry fails that caller; the others of the batch are recorded."""
    disk, alarms = WorseDisk(), list[str]()
    log = await opened(disk, alarms)
    bad = {**entry("bad", "intent"), "fields": {"price": 1.5}}
    answers = await asyncio.gather(
        log.record(bad),  # type: ignore[arg-type]  # the very fault
        log.record(entry("good", "intent")),
        return_exceptions=True,
    )
    assert isinstance(answers[0], AuditError)
    assert answers[1] is None
    log.note(bad)  # type: ignore[arg-type]
    await log.close()
    assert ids(disk) == ["good"]
    assert ["float" in alarm for alarm in alarms] == [True]


async def test_a_closed_log_takes_nothing() -> None:
    """Before `open` and after `close` a record is refused and a note counted as dropped."""
    log = new_log(WorseDisk(), [])
    await log.close()
    with pytest.raises(AuditError, match="not open"):
        await log.record(entry())
    log.note(entry())
    assert (log.dropped, log.head()) == (1, None)


@pytest.mark.parametrize("step", ["open", "append", "sync"])
def test_an_attempt_at_a_segment_leaves_no_hole_in_the_numbers(step: str) -> None:
    """A segment that was made but whose header never got written is used by the next attempt."""
    disk, clock = WorseDisk(), SetClock()
    appender = Appender(FOLDER, clock, disk)
    appender.open(None)
    appender.append([entry("first")])
    clock.us += 86_400_000_000
    fail_steps(disk, step)
    for _ in range(3):
        with pytest.raises(OSError, match="simulated"):
            appender.append([entry("a")])
    heal(disk)
    appender.append([entry("b")])
    assert [segment.number for segment in segments(disk, FOLDER)] == [1, 2]
    assert ids(disk) == ["first", "b"]
