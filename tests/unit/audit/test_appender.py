"""The writing end of the log: rotation, what a crash leaves, missing records, and one process at a time."""

from __future__ import annotations

import asyncio
import json

import pytest

from signer.audit.chain import Appender
from signer.audit.disk import Segment, segments
from signer.audit.report import from_marks
from signer.audit.verify import verify
from signer.errors import AuditError
from signer.model import ChainHead
from tests.harness.clocks import SetClock
from tests.unit.audit.given import FOLDER, ROOM, HeldWorker, all_records, entry, ids, opened_appender
from tests.unit.audit.opened import fail_steps, heal
from tests.unit.audit.worse_disk import WorseDisk

DAY_US = 86_400_000_000


def contents(disk: WorseDisk, number: int = 0) -> bytearray:
    """The bytes of the segment at that place, as the system sees them."""
    return disk.files[FOLDER / segments(disk, FOLDER)[number].name].seen


async def test_an_append_is_one_job() -> None:
    """All that happens beside the event loop for an append is one job with one write and one sync."""
    disk, worker = WorseDisk(), HeldWorker()
    log = Appender(FOLDER, SetClock(), worker, disk)
    await log.open(None)
    await log.append([entry("first")])
    steps, worker.jobs = disk.steps, 0
    await log.append([entry("second"), entry("third")])
    assert (worker.jobs, disk.steps - steps) == (1, 2)


async def test_the_logs_own_records_are_returned() -> None:
    """Header and notices, which stand ahead of the entries, are told to the caller; a plain append has none."""
    disk = WorseDisk()
    log = await opened_appender(disk)
    own = await log.append([entry("first")])
    assert [record["kind"] for record in own] == ["segment"]
    log.notices["something was found"] = None
    own = await log.append([entry("second")])
    assert [record["text"] for record in own] == ["something was found"]
    assert await log.append([entry("third")]) == []
    assert [record["kind"] for record in all_records(disk)] == ["segment", "read", "recovered", "read", "read"]


async def test_segments_follow_each_other_by_size_and_by_day() -> None:
    """A new segment begins when one has grown to its size, and on a new UTC day; its header links it to the last."""
    disk, clock = WorseDisk(), SetClock()
    log = await opened_appender(disk, clock=clock, segment_bytes=1000)
    for name in ("a", "b", "c", "d"):
        await log.append([entry(name)])
    clock.us += DAY_US
    await log.append([entry("e")])
    found = [segment.name for segment in segments(disk, FOLDER)]
    assert found == ["audit-000001-20261123.jsonl", "audit-000002-20261123.jsonl", "audit-000003-20261124.jsonl"]
    headers = [record for record in all_records(disk) if record["kind"] == "segment"]
    assert [(header["segment"], header["previous_segment"]) for header in headers] == [(1, 0), (2, 1), (3, 2)]
    assert verify(FOLDER, from_marks(log.head), disk).ok


async def test_a_segment_that_is_followed_is_sealed() -> None:
    """Nobody may write any more to a segment behind which another has begun, and what it had claimed is given back."""
    disk, clock = WorseDisk(), SetClock()
    log = await opened_appender(disk, clock=clock)
    await log.append([entry("a")])
    clock.us += DAY_US
    await log.append([entry("b")])
    first, second = [disk.files[FOLDER / segment.name] for segment in segments(disk, FOLDER)]
    assert (first.sealed, first.claimed, second.sealed) == (True, 0, False)
    await log.close()
    again = await opened_appender(disk, log.head, clock)
    await again.append([entry("c")])
    assert (ids(disk), first.sealed) == (["a", "b", "c"], True)


async def test_a_start_does_not_write_to_a_sealed_segment() -> None:
    """If the newest segment is sealed, a new one begins."""
    disk = WorseDisk()
    log = await opened_appender(disk)
    await log.append([entry("a")])
    await log.close()
    inode = disk.files[FOLDER / segments(disk, FOLDER)[0].name]
    inode.sealed, before = True, bytes(inode.seen)
    again = await opened_appender(disk, log.head)
    await again.append([entry("b")])
    assert (bytes(inode.seen), ids(disk)) == (before, ["a", "b"])
    assert verify(FOLDER, from_marks(again.head), disk).ok


@pytest.mark.parametrize("sealed", [False, True])
async def test_a_torn_end_is_cut_off_and_said(sealed: bool) -> None:
    """At the next start an unfinished last line goes, a record says so, and the chain goes on; a seal stays."""
    disk = WorseDisk()
    log = await opened_appender(disk)
    await log.append([entry("before")])
    await log.close()
    contents(disk).extend(b'{"account":"ma')
    inode = disk.files[FOLDER / segments(disk, FOLDER)[0].name]
    inode.sealed = sealed
    again = await opened_appender(disk)
    await again.append([entry("after")])
    header = ["segment"] if sealed else []
    assert [record["kind"] for record in all_records(disk)] == ["segment", "read", *header, "recovered", "read"]
    assert "14 bytes" in str(all_records(disk)[-2]["text"])
    assert inode.sealed == sealed
    assert verify(FOLDER, from_marks(again.head), disk).ok


async def test_a_torn_end_before_an_empty_segment_is_cut_off_too() -> None:
    """A full disk left a new segment empty, and the write that went into the old one was torn: that is no finding."""
    disk = WorseDisk()
    log = await opened_appender(disk)
    await log.append([entry("before")])
    await log.close()
    contents(disk).extend(b'{"account":"ma')
    disk.open(FOLDER / Segment(2, segments(disk, FOLDER)[0].day).name)
    again = await opened_appender(disk)
    await again.append([entry("after")])
    kinds = [record["kind"] for record in all_records(disk)]
    assert kinds == ["segment", "read", "segment", "recovered", "read"]
    assert "14 bytes" in str(all_records(disk)[3]["text"])
    assert verify(FOLDER, from_marks(again.head), disk).ok


async def test_a_last_line_that_no_crash_leaves_stops_the_start() -> None:
    """A whole last line that is no record was edited: the start is refused with the hint, and nothing is cut."""
    disk = WorseDisk()
    log = await opened_appender(disk)
    await log.append([entry("before")])
    await log.close()
    contents(disk)[-90:-89] = b"X"
    before = bytes(contents(disk))
    with pytest.raises(AuditError, match="move the folder away"):
        await opened_appender(disk)
    assert (bytes(contents(disk)), disk.locked) == (before, False)


@pytest.mark.parametrize("torn", [b"", b'{"torn'])
async def test_a_log_that_lacks_known_records_shows_it_for_ever(torn: bytes) -> None:
    """If more was written than the log holds, the chain goes on after that, and `verify` finds the gap."""
    disk = WorseDisk()
    log = await opened_appender(disk)
    await log.append([entry("before")])
    await log.close()
    contents(disk).extend(torn)
    again = await opened_appender(disk, ChainHead(7, "ab" * 32))
    await again.append([entry("after")])
    assert bytes(contents(disk)).endswith(torn)
    findings = verify(FOLDER, from_marks(again.head), disk).findings
    assert [finding.seq for finding in findings][-1] == 3 + bool(torn)
    assert "missing" in findings[-1].what
    header, notice, _ = [json.loads(line) for line in bytes(contents(disk, 1)).splitlines()]
    assert (header["seq"], header["prev"]) == (8, "ab" * 32)
    assert notice["text"] == "the log ends at record 2 and record 7 was written: records are missing"


async def test_a_log_that_was_put_back_shows_it_for_ever() -> None:
    """If another record stands in the place of the last known one, the chain goes on after the known one."""
    disk = WorseDisk()
    log = await opened_appender(disk)
    await log.append([entry("before")])
    await log.close()
    again = await opened_appender(disk, ChainHead(log.head.seq, "ab" * 32))
    assert again.head.seq == log.head.seq + 2
    assert "record 2 of the log is not the one that was written then" in str(all_records(disk)[-1]["text"])
    assert not verify(FOLDER, from_marks(again.head), disk).ok


async def test_a_torn_segment_is_evidence_where_records_are_missing() -> None:
    """If the newest segment has only a torn line and records are missing, it stays as it is and another one begins."""
    disk = WorseDisk()
    log = await opened_appender(disk)
    await log.append([entry("before")])
    await log.close()
    torn = disk.open(FOLDER / Segment(2, segments(disk, FOLDER)[0].day).name)
    torn.append(b'{"torn')
    again = await opened_appender(disk, ChainHead(7, "ab" * 32))
    assert bytes(contents(disk, 1)) == b'{"torn'
    assert [segment.number for segment in segments(disk, FOLDER)] == [1, 2, 3]
    assert again.head.seq == 9


@pytest.mark.parametrize("step", ["open", "append", "sync"])
async def test_an_attempt_at_a_segment_leaves_no_hole_in_the_numbers(step: str) -> None:
    """A segment that was made but whose header never got written is used by the next attempt."""
    disk, clock = WorseDisk(), SetClock()
    log = await opened_appender(disk, clock=clock)
    await log.append([entry("first")])
    clock.us += DAY_US
    fail_steps(disk, step)
    for _ in range(3):
        with pytest.raises(OSError, match="simulated"):
            await log.append([entry("a")])
    heal(disk)
    await log.append([entry("b")])
    assert [segment.number for segment in segments(disk, FOLDER)] == [1, 2]
    assert ids(disk) == ["first", "b"]


async def test_what_a_caller_gave_up_is_no_part_of_the_log() -> None:
    """An append that is cancelled while the disk hangs is cut off before the next one, though it was written late."""
    disk, worker = WorseDisk(), HeldWorker()
    log = Appender(FOLDER, SetClock(), worker, disk, room_bytes=ROOM)
    await log.open(None)
    await log.append([entry("first")])
    worker.held = []
    hung = asyncio.ensure_future(log.append([entry("given-up")]))
    await worker.until_held()
    hung.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hung
    worker.release()
    assert ids(disk) == ["first", "given-up"]
    await log.append([entry("next")])
    assert ids(disk) == ["first", "next"]
    assert verify(FOLDER, from_marks(log.head), disk).ok
