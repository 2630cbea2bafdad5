"""Archived segments: what the log begins with afterwards, and that a crash at any step loses nothing."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path

import pytest

from signer.audit.archive import archived_start, state_seqs
from signer.audit.chain import START
from signer.audit.disk import segments
from signer.audit.identity import log_of
from signer.audit.moving import SegmentMove, plan_move
from signer.audit.tail import found
from signer.audit.verify import verify
from signer.book.book import Book
from signer.errors import AuditError
from signer.model import ChainHead
from tests.harness.clocks import NOON_US
from tests.unit.audit.archives import DAY_US, MIDNIGHT_US, NEVER, append, archive, begun, folded, write_days
from tests.unit.audit.checkpoints import KeptCheckpoint
from tests.unit.audit.given import FOLDER
from tests.unit.audit.opened import opened
from tests.unit.audit.worse_disk import Crashed, WorseDisk

TO = Path("/archive")
DAYS = 4
LAST_US = NOON_US + DAYS * DAY_US


async def made(before_day: int = 2) -> WorseDisk:
    """A log of four days whose first ones were archived to a folder."""
    disk = WorseDisk()
    await write_days(disk, FOLDER, DAYS)
    assert isinstance(await archive(disk, FOLDER, TO, midnight(before_day), LAST_US), SegmentMove)
    return disk


def midnight(day: int) -> int:
    """When that day of the log begins."""
    return MIDNIGHT_US + (day - 1) * DAY_US


def numbers(disk: WorseDisk, folder: Path) -> list[int]:
    """The numbers of the segments in a folder."""
    return [segment.number for segment in segments(disk, folder)]


async def test_the_log_goes_on_at_the_state_file() -> None:
    """The moved segments lie in the folder, log and folder verify, and the book is that of the whole log."""
    whole = WorseDisk()
    head = await write_days(whole, FOLDER, DAYS)
    disk = await made()
    assert (numbers(disk, TO), numbers(disk, FOLDER)) == ([1, 2], [3, 4, 5])
    report, archived = verify(FOLDER, (), disk), verify(TO, (), disk, may_be_archive=True)
    assert (report.findings, archived.findings, archived.begins) == ((), (), None)
    assert report.head is not None
    assert report.head.seq == head.seq + 2, "a header and the record of the act"
    assert folded(disk, FOLDER).digest() == folded(whole, FOLDER).digest()
    assert folded(disk, FOLDER).last == folded(whole, FOLDER).last
    begins = archived_start(disk, FOLDER)
    assert begins is not None
    assert (begins[1], begins[0].digest()) == (archived.head, folded(disk, TO).digest())
    assert report.begins is not None
    assert report.begins.archived.head == archived.head


async def test_a_whole_log_has_no_start() -> None:
    """A log that begins with record 1, and an empty one, begin with an empty book."""
    disk = WorseDisk()
    assert archived_start(disk, FOLDER) is None
    await write_days(disk, FOLDER, 1)
    assert archived_start(disk, FOLDER) is None


@pytest.mark.parametrize(
    ("before_us", "known_seq", "moved", "rest"),
    [
        (midnight(1), NEVER, [1], "audit-000002-20261124.jsonl has records of that day or later"),
        (midnight(3) - 1, NEVER, [1, 2, 3], "the newest segment always stays"),
        (midnight(99), NEVER, [1, 2, 3], "the newest segment always stays"),
        (midnight(99), 17, [1, 2], "audit-000003-20261125.jsonl has records that the checkpoint does not have yet"),
    ],
)
async def test_only_whole_segments_before_the_day_are_moved(
    before_us: int, known_seq: int, moved: list[int], rest: str
) -> None:
    """Neither the newest segment is moved, nor one with later records, nor one that the checkpoint lacks."""
    disk = WorseDisk()
    await write_days(disk, FOLDER, DAYS)
    move = plan_move(disk, FOLDER, before_us, known_seq)
    assert isinstance(move, SegmentMove)
    assert ([segment.number for segment in move.segments], move.rest) == (moved, rest)


async def test_nothing_to_move_has_a_reason() -> None:
    """An empty log, one segment, and segments that are all too young: the reason is told, and nothing is done."""
    disk = WorseDisk()
    assert plan_move(disk, FOLDER, NEVER, NEVER) == "the newest segment always stays"
    await write_days(disk, FOLDER, 1)
    assert plan_move(disk, FOLDER, NEVER, NEVER) == "the newest segment always stays"
    await append(disk, FOLDER, [], NOON_US + DAY_US)
    assert plan_move(disk, FOLDER, midnight(0), NEVER) == "the newest segment always stays"
    await append(disk, FOLDER, [begun("x", 9, LAST_US)], NOON_US + DAY_US)
    assert plan_move(disk, FOLDER, midnight(0), NEVER) == "audit-000001-20261123.jsonl has records of that day or later"


async def test_an_empty_newest_segment_is_passed_over() -> None:
    """The segment that is written stays, also where a newer one was begun and has no record."""
    disk = WorseDisk()
    await write_days(disk, FOLDER, 2)
    disk.open(FOLDER / "audit-000003-20261125.jsonl")
    move = plan_move(disk, FOLDER, NEVER, NEVER)
    assert isinstance(move, SegmentMove)
    assert [segment.number for segment in move.segments] == [1]


async def test_a_second_archive_goes_to_the_same_folder_or_another() -> None:
    """Each folder verifies by itself, and one that begins later has the state file that it begins with."""
    for to in (TO, Path("/other")):
        disk = await made()
        await archive(disk, FOLDER, to, midnight(3), LAST_US)
        assert numbers(disk, FOLDER) == [4, 5]
        assert verify(FOLDER, (), disk).ok
        assert verify(TO, (), disk, may_be_archive=True).ok
        report = verify(to, (), disk, may_be_archive=True)
        assert (report.ok, report.begins is None) == (True, to == TO)
        assert len(state_seqs(disk, FOLDER)) == 1, "the log keeps no state file that nobody needs"
    assert report.begins is not None
    assert report.begins.by == f"book-{state_seqs(disk, FOLDER)[0]}.json"
    assert not verify(to, (), disk).ok, "only a record vouches for the beginning of a log that is no archive"


@pytest.mark.parametrize("seed", range(3))
async def test_a_crash_at_any_step_loses_nothing(seed: int) -> None:
    """After a crash at each step log and folder hold every record, the log verifies, and the act can be done again."""
    chance, whole = random.Random(seed), await made()  # noqa: S311 - repeatable
    expected = folded(whole, FOLDER).digest()
    for step in range(1, 10_000):
        disk = WorseDisk()
        await write_days(disk, FOLDER, DAYS)
        lines = records(disk, FOLDER)
        disk.trouble = partial(crashing_at, disk.steps + step)
        try:
            await archive(disk, FOLDER, TO, midnight(2), LAST_US)
            break
        except Crashed:
            disk.crash(chance)
        assert lines <= records(disk, FOLDER) | records(disk, TO)
        assert verify(FOLDER, (), disk).findings == ()
        assert folded(disk, FOLDER).digest() == expected
        await archive(disk, FOLDER, TO, midnight(2), LAST_US)
        assert (numbers(disk, TO), numbers(disk, FOLDER)[0]) == ([1, 2], 3)
        assert verify(FOLDER, (), disk).findings == verify(TO, (), disk, may_be_archive=True).findings == ()
        assert folded(disk, FOLDER).digest() == expected
    assert step > 40


def crashing_at(step: int, number: int, _: str) -> type[Crashed] | None:
    """Crash at that step."""
    return Crashed if number == step else None


def records(disk: WorseDisk, folder: Path) -> set[bytes]:
    """All whole lines in a folder, as the disk itself has them."""
    found = [disk.files[folder / segment.name].durable for segment in segments(disk, folder)]
    return {line for data in found for line in data.splitlines(keepends=True) if line.endswith(b"\n")}


async def cut_off(disk: WorseDisk) -> None:
    """Archive the first two days, and crash after the first segment is removed."""
    removed = 0

    def trouble(_: int, name: str) -> type[Crashed] | None:
        nonlocal removed
        removed += name == "removed"
        return Crashed if name == "removed" and removed == 1 else None

    disk.trouble = trouble
    with pytest.raises(Crashed):
        await archive(disk, FOLDER, TO, midnight(2), LAST_US)
    disk.crash(random.Random(1))  # noqa: S311 - repeatable


async def test_what_was_cut_off_goes_on_to_the_same_folder() -> None:
    """The rest of what was archived may go to no other folder; with a later day more goes along."""
    disk = WorseDisk()
    await write_days(disk, FOLDER, DAYS)
    await cut_off(disk)
    with pytest.raises(AuditError, match="were archived to another folder"):
        await archive(disk, FOLDER, Path("/other"), midnight(2), LAST_US)
    await archive(disk, FOLDER, TO, midnight(3), LAST_US)
    assert (numbers(disk, TO), numbers(disk, FOLDER)) == ([1, 2, 3], [4, 5])
    assert verify(FOLDER, (), disk).ok
    assert verify(TO, (), disk, may_be_archive=True).ok


async def test_what_was_cut_off_goes_on_whatever_the_day() -> None:
    """What a record vouches for is moved even if the day that is given now is earlier."""
    disk = WorseDisk()
    await write_days(disk, FOLDER, DAYS)
    await cut_off(disk)
    move = await archive(disk, FOLDER, TO, midnight(0), LAST_US)
    assert isinstance(move, SegmentMove)
    assert move.is_recorded
    assert numbers(disk, FOLDER) == [3, 4, 5]


async def test_a_missing_or_changed_state_file_is_named() -> None:
    """`verify` and every reader name the file, and nothing more is archived."""
    for change, what in ((None, "missing"), (b" ", "changed"), (b"{}", "changed")):
        disk = await made()
        (seq,) = state_seqs(disk, FOLDER)
        path = FOLDER / f"book-{seq}.json"
        if change is None:
            disk.remove(path)
        else:
            disk.files[path].seen[1:2] = change
        (finding,) = verify(FOLDER, (), disk).findings
        assert (finding.segment, what in finding.what) == (path.name, True)
        for read in (lambda: archived_start(disk, FOLDER), lambda: plan_move(disk, FOLDER, NEVER, NEVER)):  # noqa: B023
            with pytest.raises(AuditError, match=what) as raised:
                read()
            assert path.name in str(raised.value)


async def test_a_beginning_that_no_record_vouches_for_is_missing() -> None:
    """A state file alone stands for nothing: removed segments are found out, and no book is made without them."""
    disk = await made(before_day=3)
    forged = dict(disk.files)
    whole = WorseDisk()
    await write_days(whole, FOLDER, DAYS)
    for segment in segments(whole, FOLDER)[:3]:
        del whole.files[FOLDER / segment.name]
    state = next(path for path in forged if path.parent == FOLDER and path.name.startswith("book-"))
    whole.files[state] = forged[state]
    (finding,) = verify(FOLDER, (), whole).findings
    assert finding.what == "records 1 to 18 are missing, and segment 1, 2, 3 with them"
    assert str(finding) == f"audit-000004-20261126.jsonl line 1: {finding.what}"
    with pytest.raises(AuditError, match="the log begins at record 19, and no record in it says"):
        archived_start(whole, FOLDER)


async def test_a_segment_that_is_missing_after_the_archived_ones_is_found() -> None:
    """A state file stands for the records up to its own, and for no later one."""
    disk = await made()
    del disk.files[FOLDER / segments(disk, FOLDER)[0].name]
    (finding,) = verify(FOLDER, (), disk).findings
    assert "records 1 to 18 are missing" in finding.what
    with pytest.raises(AuditError, match="the log begins at record 19"):
        archived_start(disk, FOLDER)


async def test_a_log_with_a_gap_is_not_archived() -> None:
    """What is moved, and the record after it, must follow record by record; the first place that does not is named."""
    for number, line in ((1, 4), (2, 1), (3, 1)):
        disk = WorseDisk()
        await write_days(disk, FOLDER, DAYS)
        path = FOLDER / segments(disk, FOLDER)[number - 1].name
        lines = bytes(disk.files[path].seen).splitlines(keepends=True)
        disk.files[path].seen = bytearray(b"".join([*lines[: line - 1], *lines[line:]]))
        before = dict(disk.files)
        with pytest.raises(AuditError, match=f"{path.name} line {line}"):
            await archive(disk, FOLDER, TO, midnight(2), LAST_US)
        assert disk.files == before


async def test_a_folder_with_other_files_is_refused() -> None:
    """A file of another content under one of the names stays as it is, and the log loses nothing."""
    for name in ("audit-000002-20261124.jsonl", "book-12.json"):
        disk = WorseDisk()
        await write_days(disk, FOLDER, DAYS)
        lines = records(disk, FOLDER)
        disk.open(TO / name).append(b"mine")
        with pytest.raises(AuditError, match="another file of this name is there"):
            await archive(disk, FOLDER, TO, midnight(2), LAST_US)
        assert (records(disk, FOLDER), disk.files[TO / name].seen) == (lines, bytearray(b"mine"))


async def test_a_folder_with_another_log_is_refused() -> None:
    """Segments that do not come right before those that are moved keep them out."""
    disk = WorseDisk()
    await write_days(disk, TO, 1)
    await append(disk, FOLDER, [begun("x", 1, NOON_US - DAY_US)], NOON_US - DAY_US)
    await append(disk, FOLDER, [begun("y", 2, NOON_US)], NOON_US)
    with pytest.raises(AuditError, match="it holds another log, or another part of this one"):
        await archive(disk, FOLDER, TO, midnight(1), LAST_US)
    assert numbers(disk, TO) == [1]


async def test_an_edited_archive_is_found_out() -> None:
    """A change in the moved segments, a cut end and another state file are found in the folder alone."""
    disk = await made()
    first, last = [TO / segment.name for segment in segments(disk, TO)]
    state = TO / f"book-{state_seqs(disk, TO)[0]}.json"
    for path, old, new in (
        (first, b"grid-bot", b"Grid-bot"),
        (last, b"\n", b""),
        (state, b'"digest":"', b'"digest":"0'),
    ):
        kept = bytes(disk.files[path].seen)
        at = kept.rfind(old)
        disk.files[path].seen = bytearray(kept[:at] + new + kept[at + len(old) :])
        assert not verify(TO, (), disk, may_be_archive=True).ok, path.name
        disk.files[path].seen = bytearray(kept)
    assert verify(TO, (), disk, may_be_archive=True).ok


def test_a_full_disk_leaves_no_part_behind() -> None:
    """A copy that finds no room leaves the log whole and no half file in the folder."""
    disk = WorseDisk()

    async def run() -> None:
        await write_days(disk, FOLDER, DAYS)
        disk.room = disk.used() + 100
        with pytest.raises(OSError, match="No space"):
            await archive(disk, FOLDER, TO, midnight(2), LAST_US)

    asyncio.run(run())
    assert not [path for path in disk.files if path.parent == TO]
    assert numbers(disk, FOLDER) == [1, 2, 3, 4]


async def test_the_last_archived_record_is_still_known() -> None:
    """A checkpoint that stands for just that record is one of this log, and one with another digest is not."""
    disk = await made()
    start = archived_start(disk, FOLDER)
    assert start is not None
    head = start[1]
    assert found(disk, FOLDER, head) is True
    assert found(disk, FOLDER, ChainHead(head.seq, "ab" * 32)) is False
    assert found(disk, FOLDER, ChainHead(head.seq - 1, "ab" * 32)) is None


@pytest.mark.parametrize("stands", [None, 3, 12])
async def test_a_start_goes_on_from_the_state_file(stands: int | None) -> None:
    """A lost checkpoint and one from before the archive give way to the state file; a newer one serves."""
    disk, alarms, checkpoint = await made(), list[str](), KeptCheckpoint()
    expected = folded(disk, FOLDER).digest()
    if stands is not None:
        book, head = archived_start(disk, FOLDER) or (Book(), START)
        assert head.seq == 12
        book.log = log_of(disk, FOLDER)
        checkpoint.begin(book.take_changes(ChainHead(stands, head.digest), whole=True))
        assert checkpoint.step()
    journal = await opened(disk, alarms, checkpoint=checkpoint)
    assert folded(disk, FOLDER).digest() == expected
    journal.conclude({"kind": "opened", "time": LAST_US, "at": LAST_US})
    assert await journal.settled()
    found_now = journal.digest_at_rest()
    assert found_now is not None
    assert found_now[1] == folded(disk, FOLDER).digest()
    old = ["the checkpoint stands for record 3, and the records after it were archived: the book is made anew"]
    assert (alarms, checkpoint.discarded) == ((old, 1) if stands == 3 else ([], 0))


async def test_no_start_without_the_state_file() -> None:
    """If neither checkpoint nor state file says what was spent, nothing starts."""
    disk = await made()
    for seq in state_seqs(disk, FOLDER):
        disk.remove(FOLDER / f"book-{seq}.json")
    with pytest.raises(AuditError, match="the state file of record 12 is missing"):
        await opened(disk)
