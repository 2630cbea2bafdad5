"""What the journal does on a full, broken or hanging disk, and how it recovers."""

from __future__ import annotations

import asyncio
import errno

import pytest

from signer.audit.chain import Appender
from signer.audit.journal import FileJournal
from signer.audit.report import from_marks
from signer.audit.verify import verify
from signer.errors import AuditError
from tests.harness.clocks import SetClock
from tests.unit.audit.checkpoints import KeptCheckpoint
from tests.unit.audit.given import FOLDER, ROOM, HeldWorker, all_records, entry, head_of, ids
from tests.unit.audit.opened import begin, end, fail_steps, fill, heal, is_saved, opened, used
from tests.unit.audit.worse_disk import WorseDisk


async def hanging(disk: WorseDisk, clock: SetClock) -> tuple[FileJournal, HeldWorker]:
    """An open journal whose disk can be made to hang."""
    worker = HeldWorker()
    journal = FileJournal(FOLDER, clock, worker, disk, KeptCheckpoint(), print, room_bytes=ROOM)
    await journal.open()
    return journal, worker


async def test_a_begin_that_is_not_recorded_holds_nothing() -> None:
    """If the disk fails, the caller is told, what the call held is free, and the log has no trace of it."""
    disk = WorseDisk()
    journal = await opened(disk)
    await begin(journal, "before")
    fail_steps(disk, "sync")
    with pytest.raises(AuditError, match="cannot be written"):
        await begin(journal, "refused", "5")
    assert used(journal) == 1
    heal(disk)
    assert await begin(journal, "after") == 2
    assert ids(disk) == ["before", "after"]


async def test_a_defect_loses_no_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has happened is owed to the log, a begin is taken back, and the alarm names the defect's kind."""
    disk, alarms = WorseDisk(), list[str]()
    journal = await opened(disk, alarms)

    async def broken(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as broke:
        broke.setattr(Appender, "append", broken)
        journal.conclude(entry("fact"), urgent=True)
        with pytest.raises(AuditError, match="a defect in signer"):
            await begin(journal, "refused")
    assert (used(journal), "MemoryError" in alarms[0]) == (0, True)
    await begin(journal, "after")
    assert ids(disk) == ["fact", "after"]


async def test_a_failed_flush_refuses_those_who_wait_for_the_next_one() -> None:
    """A begin that was taken while a flush was failing is refused with it: a dead disk may take seconds for each."""
    disk = WorseDisk()
    journal, worker = await hanging(disk, SetClock())
    worker.held = []
    first = asyncio.ensure_future(begin(journal, "first", "5"))
    await worker.until_held()
    second = asyncio.ensure_future(begin(journal, "second", "7"))
    await asyncio.sleep(0)
    fail_steps(disk, "append")
    worker.release()
    heal(disk)
    for refused in (first, second):
        with pytest.raises(AuditError, match="cannot be written"):
            await refused
    await begin(journal, "third", "9")
    assert (used(journal), ids(disk), journal.counters.failures) == (9, ["third"], 1)


async def test_a_full_disk_refuses_alarms_once_and_recovers() -> None:
    """ENOSPC: AuditError with the hint, one alarm, no torn line left; with room again the chain goes on, unbroken."""
    disk, alarms = WorseDisk(), list[str]()
    journal = await opened(disk, alarms)
    slack = await fill(disk, journal)
    for _ in range(3):
        with pytest.raises(AuditError, match=r"No space left.*free some space"):
            await begin(journal, "refused")
    assert len(alarms) == 1
    assert not journal.healthy
    disk.room = 1 << 30
    await begin(journal, "after")
    assert ids(disk) == [*(f"slack-{number}" for number in range(slack)), "after"]
    assert [record["kind"] for record in all_records(disk)][-2:] == ["recovered", "intent"]
    assert verify(FOLDER, from_marks(head_of(journal)), disk).ok
    assert alarms[1:] == ["the audit log is being written again"]
    assert used(journal) == slack + 1


async def test_cancels_are_recorded_on_a_full_disk() -> None:
    """Urgent records take the room claimed for them; others are refused and do not eat it, until it is whole again."""
    disk = WorseDisk()
    journal = await opened(disk)
    slack = await fill(disk, journal)
    await journal.record(entry("cancel-1"), urgent=True)
    with pytest.raises(AuditError):
        await begin(journal, "order")
    journal.note(entry("read"))
    await journal.record(entry("cancel-2"), urgent=True)
    assert ids(disk)[slack:] == ["cancel-1", "cancel-2"]
    assert journal.counters.rescued >= 2
    disk.room = 1 << 30
    await begin(journal, "order")
    await journal.settled()
    assert ids(disk)[slack:] == ["cancel-1", "cancel-2", "order", "read"]
    assert verify(FOLDER, from_marks(head_of(journal)), disk).ok


async def test_a_brake_is_known_to_be_on_record_though_a_full_disk_keeps_notes_waiting() -> None:
    """Whoever waits for the brake hears of it; that the notes are not durable is another matter."""
    disk = WorseDisk()
    journal = await opened(disk)
    await fill(disk, journal)
    journal.note(entry("read"))
    journal.conclude(entry("halt", "operator"), urgent=True)
    assert await journal.settled()
    assert "halt" in ids(disk)
    assert "read" not in ids(disk)
    journal.conclude(entry("fact"))
    assert not await journal.settled()
    await journal.close()


async def test_only_the_facts_of_a_batch_are_saved() -> None:
    """When a batch fails for want of room, its cancel is recorded and its order refused."""
    disk = WorseDisk()
    journal = await opened(disk)
    await fill(disk, journal)
    order, cancel = await asyncio.gather(
        begin(journal, "order"), journal.record(entry("cancel"), urgent=True), return_exceptions=True
    )
    assert isinstance(order, AuditError)
    assert cancel is None
    assert ids(disk)[-1] == "cancel"


async def test_cancels_are_owed_when_the_room_is_used_up() -> None:
    """When nothing can take a record any more, an urgent one is owed, and nothing is left half written."""
    disk = WorseDisk()
    journal = await opened(disk)
    slack = await fill(disk, journal)
    saved = 0
    while await is_saved(journal, f"cancel-{saved}"):
        saved += 1
    assert 5 < saved < 20
    disk.room = 1 << 30
    await begin(journal, "after")
    assert ids(disk)[slack:] == [*(f"cancel-{number}" for number in range(saved + 1)), "after"]


async def test_cancels_are_recorded_though_others_fill_the_disk_as_fast_as_it_is_freed() -> None:
    """The room is the log's own: whatever another writer takes meanwhile, each cancel finds its place, after a restart
    too.
    """
    disk = WorseDisk()
    journal = await opened(disk)
    await fill(disk, journal)
    for number in range(3):
        await journal.record(entry(f"cancel-{number}"), urgent=True)
        disk.room = disk.used()
    await journal.close()
    disk.room = disk.used()
    alarms = list[str]()
    again = await opened(disk, alarms)
    assert not again.healthy
    assert "No space left" in alarms[0]
    await again.record(entry("cancel-3"), urgent=True)
    with pytest.raises(AuditError):
        await begin(again, "order")
    assert ids(disk)[-4:] == [f"cancel-{number}" for number in range(4)]
    assert verify(FOLDER, from_marks(head_of(again)), disk).ok


async def test_a_brake_waits_for_no_checkpoint() -> None:
    """One that comes while a checkpoint is stored is written before the next slice, though nobody waits for it."""
    disk, worker = WorseDisk(), HeldWorker()
    journal = FileJournal(
        FOLDER, SetClock(), worker, disk, KeptCheckpoint(slices=50), print, room_bytes=ROOM, checkpoint_every=1
    )
    await journal.open()
    await begin(journal, "before")
    held = worker.held = []
    due = asyncio.create_task(begin(journal, "due"))
    while not due.done():
        await worker.until_held()
        held.pop(0)()
        await asyncio.sleep(0)
    journal.conclude(entry("halt", "operator"), urgent=True)
    for _ in range(10):
        await worker.until_held()
        held.pop(0)()
    assert "halt" in ids(disk)
    worker.release()


async def test_a_start_on_a_full_disk_that_has_the_room_is_a_good_one() -> None:
    """What was claimed before needs no room anew, so the log opens healthy and cancels pass."""
    disk = WorseDisk()
    journal = await opened(disk)
    await journal.record(entry("before"))
    await journal.close()
    disk.room = disk.used()
    again = await opened(disk)
    assert again.healthy
    await again.record(entry("cancel"), urgent=True)
    assert ids(disk) == ["before", "cancel"]


async def test_a_start_on_a_broken_disk_is_refused() -> None:
    """A disk that cannot be written for another reason than want of room stops the start; the lock is given back."""
    disk = WorseDisk()
    fail_steps(disk, "claim", errno.EROFS)
    with pytest.raises(AuditError, match="cannot be written"):
        await opened(disk)
    assert not disk.locked


async def test_it_recovers_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure the log tries again by itself, and says in a record that it failed."""
    monkeypatch.setattr("signer.audit.flushes.RETRY_S", 0.0)
    disk, alarms = WorseDisk(), list[str]()
    journal = await opened(disk, alarms)
    fail_steps(disk, "sync")
    with pytest.raises(AuditError):
        await begin(journal, "refused")
    heal(disk)
    while not journal.healthy:
        await asyncio.sleep(0)
    assert all_records(disk)[-1]["kind"] == "recovered"
    assert alarms[-1] == "the audit log is being written again"


@pytest.mark.parametrize("in_flight", [True, False])
async def test_a_begin_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, in_flight: bool) -> None:
    """After five seconds the caller is told. A call that is durable after all ends on record as not sent."""
    monkeypatch.setattr("signer.audit.flushes.LOOK_S", 0.0)
    disk, clock = WorseDisk(), SetClock()
    journal, worker = await hanging(disk, clock)
    worker.held = []
    if not in_flight:
        asyncio.ensure_future(journal.record(entry("fact")))  # noqa: RUF006 - it hangs
        await worker.until_held()
    begun = asyncio.ensure_future(begin(journal, "late", "5"))
    await asyncio.sleep(0)
    await worker.until_held()
    clock.go_on(6)
    with pytest.raises(AuditError, match="within 5 s"):
        await begun
    assert used(journal) == (5 if in_flight else 0)
    worker.release()
    while not journal.digest_at_rest():
        await journal.settled()
    assert used(journal) == 0
    kinds = [(record["kind"], record.get("outcome")) for record in all_records(disk) if record.get("id") == "late"]
    assert kinds == ([("intent", "accepted"), ("outcome", "not-sent")] if in_flight else [])


async def test_a_caller_who_gives_up_sends_nothing() -> None:
    """A begin whose caller was cancelled while the disk hung ends on record as not sent, and holds nothing."""
    disk = WorseDisk()
    journal, worker = await hanging(disk, SetClock())
    worker.held = []
    begun = asyncio.ensure_future(begin(journal, "a", "5"))
    await worker.until_held()
    begun.cancel()
    with pytest.raises(asyncio.CancelledError):
        await begun
    worker.release()
    while not journal.digest_at_rest():
        await journal.settled()
    assert (used(journal), all_records(disk)[-1]["outcome"]) == (0, "not-sent")


async def test_a_stop_writes_what_came_before_a_caller_who_gave_up() -> None:
    """Records that nobody waits for are written at a stop, though the newest one's caller was cancelled."""
    disk = WorseDisk()
    journal = await opened(disk)
    journal.conclude(entry("fact", "lane"))
    begun = asyncio.ensure_future(begin(journal, "a", "5"))
    await asyncio.sleep(0)
    begun.cancel()
    await asyncio.sleep(0)
    await journal.close()
    assert (ids(disk), used(journal)) == (["fact", "a", "a"], 0)


async def test_what_the_stop_cannot_write_is_alarmed() -> None:
    """A stop on a dead disk ends, and says how many records are lost."""
    disk, alarms = WorseDisk(), list[str]()
    journal = await opened(disk, alarms)
    fail_steps(disk, "append")
    journal.conclude(entry("fact", "lane"))
    journal.note(entry("note"))
    await journal.close()
    assert alarms[-1] == "3 records were lost: the audit log could not be written"


async def test_the_book_is_that_of_the_log_after_each_failure() -> None:
    """After flushes that failed, the book in memory equals one that is made from the log alone."""
    disk, clock = WorseDisk(), SetClock()
    journal = await opened(disk, clock=clock)
    for number in range(40):
        clock.go_on(30)
        fail_steps(disk, "sync") if number % 3 == 0 else heal(disk)
        answers = await asyncio.gather(
            begin(journal, f"a{number}", "3"), begin(journal, f"b{number}", "5"), return_exceptions=True
        )
        if number % 4 == 0 and not any(isinstance(answer, Exception) for answer in answers):
            journal.conclude({**end(f"a{number}"), "at": journal.now_us()})
    heal(disk)
    await journal.settled()
    known, disk.locked = journal.digest_at_rest(), False
    again = await opened(disk, clock=clock)
    assert known is not None
    assert (again.head(), used(again)) == (journal.head(), used(journal))
