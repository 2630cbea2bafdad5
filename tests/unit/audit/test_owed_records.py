"""What a log that takes no record is owed: all facts in their order, within bounds of memory and of each try."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from signer.audit.chain import Appender, Entry
from signer.audit.report import from_marks
from signer.audit.verify import verify
from signer.audit.waiting import AT_ONCE
from signer.errors import AuditError
from tests.unit.audit.given import FOLDER, all_records, entry, head_of, ids
from tests.unit.audit.opened import begin, end, fail_steps, heal, is_saved, opened, used
from tests.unit.audit.worse_disk import WorseDisk


async def test_facts_that_were_not_recorded_are_owed_before_all_else() -> None:
    """What a failed flush should have recorded is written first by the next one, and in its order."""
    disk = WorseDisk()
    journal = await opened(disk)
    await begin(journal, "a", "5")
    fail_steps(disk, "append")
    journal.conclude(end("a"))
    with pytest.raises(AuditError):
        await journal.record(entry("fact"))
    with pytest.raises(AuditError):
        await begin(journal, "refused")
    assert used(journal) == 0
    heal(disk)
    await begin(journal, "after")
    assert ids(disk) == ["a", "a", "fact", "after"]
    assert verify(FOLDER, from_marks(head_of(journal)), disk).ok


async def test_a_dead_disk_cannot_fill_the_memory() -> None:
    """Beyond the bound notes are dropped, and their number is recorded when the disk is back."""
    disk = WorseDisk()
    journal = await opened(disk, most_notes=10)
    fail_steps(disk, "append")
    for number in range(25):
        journal.note(entry(f"{number}"))
        if number == 5:
            with pytest.raises(AuditError):
                await begin(journal, "refused")
    assert journal.dropped == 15
    heal(disk)
    await begin(journal, "after")
    await journal.settled()
    assert sorted(map(str, ids(disk))) == sorted([*(f"{number}" for number in range(10)), "after"])
    assert [record["count"] for record in all_records(disk) if record["kind"] == "dropped"] == [15]


async def test_a_dead_disk_is_owed_one_record_of_what_was_dropped() -> None:
    """However often it was tried meanwhile, and however much was dropped between two tries."""
    disk = WorseDisk()
    journal = await opened(disk, most_notes=1)
    fail_steps(disk, "append")
    for _ in range(5):
        journal.note(entry("read"))
        with pytest.raises(AuditError):
            await begin(journal, "refused")
    heal(disk)
    await begin(journal, "after")
    await journal.settled()
    assert [record["count"] for record in all_records(disk) if record["kind"] == "dropped"] == [4]


async def test_a_flood_of_cancels_cannot_fill_the_memory() -> None:
    """Beyond the bound the records of cancels are counted, with an alarm. Facts that change the book are all kept."""
    disk, alarms = WorseDisk(), list[str]()
    journal = await opened(disk, alarms, most_cancels=10)
    for number in range(8):
        await begin(journal, f"{number}", "5")
    fail_steps(disk, "append")
    for number in range(8):
        assert not await is_saved(journal, f"cancel-{number}", "intent")
        journal.conclude({**entry(f"cancel-{number}", "outcome"), "outcome": "accepted"})
        journal.conclude(end(f"{number}"))
    assert (used(journal), journal.dropped) == (0, 6)
    assert sum("further ones are only counted" in alarm for alarm in alarms) == 1
    heal(disk)
    await begin(journal, "after")
    await journal.settled()
    cancels = [f"cancel-{number}" for number in range(5)]
    assert ids(disk)[8:] == [
        name for number, cancel in enumerate(cancels) for name in (cancel, cancel, f"{number}")
    ] + [*("5", "6", "7", "after")]
    assert [record["count"] for record in all_records(disk) if record["kind"] == "dropped"] == [6]
    assert await is_saved(journal, "cancel-8")


async def test_a_try_costs_the_same_however_much_is_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more records are encoded than one flush takes, though a cancel is to be saved behind all that is owed."""
    disk, sizes = WorseDisk(), list[int]()
    journal = await opened(disk)
    append = Appender.append

    async def counted(self: Appender, entries: Sequence[Entry], *, urgent: bool = False) -> Sequence[Entry]:
        sizes.append(len(entries))
        return await append(self, entries, urgent=urgent)

    monkeypatch.setattr(Appender, "append", counted)
    fail_steps(disk, "append")
    for number in range(1_000):
        journal.conclude(entry(f"{number}", "lane"))
    assert not await is_saved(journal, "cancel")
    assert max(sizes) <= AT_ONCE
    heal(disk)
    assert await is_saved(journal, "another")
    assert ids(disk) == [*(f"{number}" for number in range(1_000)), "cancel", "another"]


@pytest.mark.parametrize("kind", ["note", "fact"])
async def test_a_dead_disk_refuses_at_once_however_much_is_owed(kind: str) -> None:
    """A begin is refused by one failed write, though more records wait than one flush takes."""
    disk = WorseDisk()
    journal = await opened(disk)
    fail_steps(disk, "append")
    for number in range(1_000):
        if kind == "note":
            journal.note(entry(f"{number}"))
        else:
            journal.conclude(entry(f"{number}", "lane"))
    for _ in range(2):
        with pytest.raises(AuditError):
            await begin(journal, "refused")
    assert journal.counters.failures <= 4
    heal(disk)
    await begin(journal, "after")
    while not await journal.settled() or len(ids(disk)) <= 1_000:
        pass
    owed = [name for name in ids(disk) if name != "after"]
    assert owed == [f"{number}" for number in range(1_000)]
