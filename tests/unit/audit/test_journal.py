"""The journal as its callers see it: what is durable when, in which order, and what a begin holds."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from signer.audit.disk import segments
from signer.errors import AuditError, NotServed
from signer.model import ChainHead, Charge, Gap, Intent
from tests.harness.clocks import NOON_US, SetClock
from tests.unit.audit.checkpoints import KeptCheckpoint
from tests.unit.audit.given import FOLDER, all_records, entry, head_of, ids, new_journal
from tests.unit.audit.opened import begin, end, opened, used
from tests.unit.audit.worse_disk import WorseDisk


async def test_a_begin_is_durable_when_it_returns() -> None:
    """A begun call is on the disk itself, not only in the system's memory."""
    disk = WorseDisk()
    journal = await opened(disk)
    assert await begin(journal, "a", "5") == 1
    (segment,) = segments(disk, FOLDER)
    assert b'"id":"a"' in disk.files[FOLDER / segment.name].durable
    assert all_records(disk)[-1]["digest"] == head_of(journal).digest
    assert used(journal) == 5


async def test_a_begin_holds_before_it_is_durable() -> None:
    """Nobody else can spend what a begin charges while its record is being written."""
    journal = await opened(WorseDisk())
    begun = asyncio.ensure_future(begin(journal, "a", "5"))
    await asyncio.sleep(0)
    assert (begun.done(), used(journal)) == (False, 5)
    await begun


async def test_those_who_wait_together_share_one_sync() -> None:
    """Fifty concurrent begins cost one write and one sync, and stand in the order in which they came."""
    disk = WorseDisk()
    journal = await opened(disk)
    before = disk.syncs
    await asyncio.gather(*(begin(journal, f"{number}") for number in range(50)))
    assert disk.syncs == before + 1
    assert ids(disk) == [f"{number}" for number in range(50)]


async def test_records_keep_the_order_in_which_they_were_taken() -> None:
    """Notes, facts and begins stand in the log in the order in which they were applied."""
    disk = WorseDisk()
    journal = await opened(disk)
    journal.note(entry("first"))
    await asyncio.gather(begin(journal, "second"), journal.record(entry("third")), begin(journal, "fourth"))
    journal.conclude(end("second"))
    journal.note(entry("fifth"))
    await journal.close()
    assert ids(disk) == ["first", "second", "third", "fourth", "second", "fifth"]


async def test_a_conclusion_counts_at_once() -> None:
    """What a call held is free again before its end is durable, and is durable with the next flush."""
    disk = WorseDisk()
    journal = await opened(disk)
    await begin(journal, "a", "5")
    journal.conclude(end("a"))
    assert (used(journal), ids(disk)) == (0, ["a"])
    assert await journal.settled()
    assert ids(disk) == ["a", "a"]


async def test_what_nobody_waits_for_is_flushed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that nobody waits for reaches the disk by the timer."""
    monkeypatch.setattr("signer.audit.flushes.FLUSH_S", 0.0)
    disk = WorseDisk()
    journal = await opened(disk)
    journal.note(entry("alone"))
    while not journal.counters.records:
        await asyncio.sleep(0)
    assert ids(disk) == ["alone"]


async def test_many_notes_are_flushed_at_once() -> None:
    """A full batch of notes does not wait for the timer."""
    disk = WorseDisk()
    journal = await opened(disk)
    for number in range(128):
        journal.note(entry(f"{number}"))
    while not journal.counters.records:
        await asyncio.sleep(0)
    assert len(ids(disk)) == 128
    assert journal.counters.flushes == 1


async def test_an_unfit_entry_is_refused_alone() -> None:
    """A float in one caller's entry fails that caller and applies nothing; the others are recorded."""
    disk, alarms = WorseDisk(), list[str]()
    journal = await opened(disk, alarms)
    bad = {**entry("bad"), "fields": {"price": 1.5}}
    answers = await asyncio.gather(
        journal.record(bad),  # type: ignore[arg-type]  # the very fault
        journal.record(entry("good")),
        return_exceptions=True,
    )
    assert isinstance(answers[0], AuditError)
    assert answers[1] is None
    journal.note(bad)  # type: ignore[arg-type]
    await journal.close()
    assert ids(disk) == ["good"]
    assert ["float" in alarm for alarm in alarms] == [True]


async def test_a_begin_that_the_book_cannot_read_is_refused() -> None:
    """What the book does not hold is not sent, whatever the record lacks, and the log has nothing of it."""
    disk = WorseDisk()
    journal = await opened(disk)
    charge = Charge("notional", "client/grid-bot", "USD", 86_400, Decimal(5), Decimal(1))
    call = Intent("grid-bot", "main", "AddOrder", (), (), (charge,), "bad", NOON_US)
    with pytest.raises(AuditError, match="cannot read the call"):
        await journal.begin(call, entry("bad", "intent"))
    assert await begin(journal, "good") == 1
    assert ids(disk) == ["good"]


async def test_a_closed_journal_takes_nothing() -> None:
    """Before `open` and after `close` a begin and a record are refused, and a note is counted as dropped."""
    journal = new_journal(WorseDisk(), [])
    for _ in range(2):
        with pytest.raises(AuditError, match="not open"):
            await journal.record(entry())
        with pytest.raises(AuditError, match="not open"):
            await begin(journal, "a")
        journal.note(entry())
        assert journal.head() is None
        await journal.close()
    assert journal.dropped == 2


@pytest.mark.parametrize("stop", ["clean", "crash"])
async def test_a_start_finds_the_book_as_it_was(stop: str) -> None:
    """After a clean stop, and after a crash without any checkpoint, a journal knows what the last one knew."""
    disk, checkpoint = WorseDisk(), KeptCheckpoint()
    journal = await opened(disk, checkpoint=checkpoint)
    for name in ("a", "b", "c"):
        await begin(journal, name, "5")
    journal.conclude(end("b"))
    journal.conclude(end("c", "unknown"))
    await journal.settled()
    known, held = journal.digest_at_rest(), used(journal)
    if stop == "clean":
        await journal.close()
    else:
        disk.locked = False
    again = await opened(disk, checkpoint=checkpoint)
    assert (again.head(), used(again)) == (journal.head(), held)
    assert [one.intent.record for one in again.open_intents()] == ["a", "c"]
    assert [one.unknown for one in again.open_intents()] == [True, True]
    assert known is not None
    assert (checkpoint.stored is None) == (stop == "crash")


async def test_a_start_after_a_clean_stop_folds_nothing() -> None:
    """The checkpoint of a clean stop stands for the last record, so no record is needed for the book."""
    disk, checkpoint = WorseDisk(), KeptCheckpoint()
    journal = await opened(disk, checkpoint=checkpoint)
    await begin(journal, "a", "5")
    await journal.close()
    assert checkpoint.stored is not None
    assert checkpoint.stored.head == head_of(journal)
    assert used(await opened(disk, checkpoint=checkpoint)) == 5


async def test_a_checkpoint_of_another_log_is_put_aside() -> None:
    """If another record stands where the checkpoint was taken, the book is made of the log, and that is said."""
    disk, other, checkpoint, alarms = WorseDisk(), WorseDisk(), KeptCheckpoint(), list[str]()
    journal = await opened(disk)
    await begin(journal, "a", "5")
    await journal.close()
    clock = SetClock()
    clock.us += 1
    journal = await opened(other, clock=clock, checkpoint=checkpoint)
    await begin(journal, "b", "7")
    await journal.close()
    again = await opened(disk, alarms, checkpoint=checkpoint)
    assert (used(again), checkpoint.discarded, len(alarms), again.gaps()) == (5, 1, 1, [])
    assert "of another log" in alarms[0]
    assert "of another log" in str(all_records(disk)[-1]["text"])


async def test_a_checkpoint_of_another_course_of_this_log_stops_orders() -> None:
    """A log that was put back and went on lacks what the checkpoint knew: nothing begins, and that is on record."""
    disk, checkpoint, alarms = WorseDisk(), KeptCheckpoint(), list[str]()
    journal = await opened(disk, checkpoint=checkpoint)
    await begin(journal, "a", "5")
    await journal.settled()
    (segment,) = segments(disk, FOLDER)
    kept = bytes(disk.files[FOLDER / segment.name].seen)
    await begin(journal, "b", "7")
    await journal.close()
    disk.files[FOLDER / segment.name].seen[:] = kept
    journal = await opened(disk)
    await begin(journal, "c", "9")
    await journal.close()
    again = await opened(disk, alarms, checkpoint=checkpoint)
    assert (used(again), checkpoint.discarded, again.gaps()) == (14, 1, [Gap(3, 3)])
    with pytest.raises(NotServed, match="the book lacks records"):
        await begin(again, "d", "1")
    assert [record["missing"] for record in all_records(disk) if "missing" in record] == [[3, 3]]


async def test_a_log_that_ends_before_its_checkpoint_gives_nothing_free() -> None:
    """If the end of the log was cut off, the checkpoint counts, the chain goes on after it, and that is on record."""
    disk, checkpoint, alarms = WorseDisk(), KeptCheckpoint(), list[str]()
    journal = await opened(disk, checkpoint=checkpoint)
    for name in ("a", "b", "c"):
        await begin(journal, name, "5")
    await journal.close()
    (segment,) = segments(disk, FOLDER)
    seen = disk.files[FOLDER / segment.name].seen
    del seen[seen.index(b"\n", seen.index(b'"id":"a"')) + 1 :]
    again = await opened(disk, alarms, checkpoint=checkpoint)
    assert used(again) == 15
    assert any("records are missing" in alarm for alarm in alarms)
    assert (await begin(again, "d", "1"), head_of(again).seq > head_of(journal).seq) == (4, True)
    assert [record["prev"] for record in all_records(disk) if record["seq"] == head_of(journal).seq + 1] == [
        head_of(journal).digest
    ]
    await again.close()
    assert used(await opened(disk, checkpoint=checkpoint)) == 16


async def test_a_start_says_what_the_marks_know_and_the_log_lacks() -> None:
    """If the log does not reach the head that the marks keep, the start alarms and records it."""
    disk, alarms = WorseDisk(), list[str]()
    journal = new_journal(disk, alarms)
    await journal.open(ChainHead(7, "ab" * 32))
    assert any("records are missing" in alarm for alarm in alarms)
    assert [record["kind"] for record in all_records(disk)] == ["segment", "recovered", "recovered"]
    assert all_records(disk)[0]["prev"] == "ab" * 32
    assert [record.get("missing") for record in all_records(disk)] == [None, None, [1, 7]]


@pytest.mark.parametrize("slices", [1, 3])
async def test_checkpoints_follow_the_log(slices: int) -> None:
    """A checkpoint is stored after so many records, in slices, and never stands for a record that is not durable."""
    disk, checkpoint = WorseDisk(), KeptCheckpoint(slices)
    journal = await opened(disk, checkpoint=checkpoint, checkpoint_every=10)
    for number in range(60):
        await begin(journal, f"{number}", "1")
        if checkpoint.stored is not None:
            assert 1 < checkpoint.stored.head.seq <= head_of(journal).seq
    assert checkpoint.stored is not None
    assert head_of(journal).seq - checkpoint.stored.head.seq <= 10 + 2 * slices
    disk.locked = False
    assert used(await opened(disk, checkpoint=checkpoint)) == 60


async def test_a_checkpoint_that_fails_loses_nothing() -> None:
    """If the checkpoint cannot be written, it is alarmed, calls go on, and the next one stores all of it."""
    disk, checkpoint, alarms = WorseDisk(), KeptCheckpoint(), list[str]()
    journal = await opened(disk, alarms, checkpoint=checkpoint, checkpoint_every=5)
    checkpoint.fails = True
    for number in range(20):
        await begin(journal, f"{number}", "1")
    assert "checkpoint cannot be written" in alarms[0]
    checkpoint.fails = False
    await journal.close()
    again = await opened(disk, checkpoint=checkpoint)
    assert (used(again), checkpoint.discarded) == (20, 0)
