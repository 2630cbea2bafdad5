"""The log as its callers see it: what is durable when, what a full or broken disk does, and that it recovers."""

from __future__ import annotations

import asyncio
import json

import pytest

from signer.audit.chain import Appender
from signer.audit.disk import Segment, segments
from signer.audit.verify import from_ledger, verify
from signer.errors import AuditError
from signer.model import ChainHead
from tests.harness.clocks import SetClock
from tests.unit.audit.given import FOLDER, all_records, durable, entry, head_of, ids, new_flusher, new_log
from tests.unit.audit.opened import fail_steps, heal, opened
from tests.unit.audit.worse_disk import WorseDisk


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


async def test_a_torn_end_before_an_empty_segment_is_cut_off_too() -> None:
    """A full disk left a new segment empty, and the write that went into the old one was torn: that is no finding."""
    disk = WorseDisk()
    log = await opened(disk)
    await log.record(entry("before", "intent"))
    await log.close()
    (segment,) = segments(disk, FOLDER)
    disk.files[FOLDER / segment.name].seen += b'{"account":"ma'
    disk.open(FOLDER / Segment(2, segment.day).name)
    again = await opened(disk)
    await again.record(entry("after", "intent"))
    kinds = [record["kind"] for record in all_records(disk)]
    assert kinds == ["segment", "intent", "segment", "recovered", "intent"]
    assert "14 bytes" in str(all_records(disk)[3]["text"])
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
