"""What the writing end of the log does on a full or broken disk."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from signer.audit.chain import Appender
from signer.audit.disk import LocalDisk, segments
from signer.audit.report import from_marks
from signer.audit.verify import verify
from tests.harness.clocks import SetClock
from tests.unit.audit.given import FOLDER, ROOM, all_records, entry, ids, new_appender, opened_appender
from tests.unit.audit.opened import fail_steps, heal
from tests.unit.audit.worse_disk import WorseDisk


async def fill(disk: WorseDisk, log: Appender) -> None:
    """Let others fill the disk, and the log the slack that it has claimed."""
    disk.room = disk.used()
    assert await taken(log, "slack") < 1000


async def taken(log: Appender, name: str, limit: int = 1000, *, urgent: bool = False) -> int:
    """Append up to ``limit`` records, until one is refused; how many were taken."""
    for number in range(limit):
        try:
            await log.append([entry(f"{name}-{number}")], urgent=urgent)
        except OSError:
            return number
    return limit


async def saved(log: Appender, limit: int = 1000) -> int:
    """Append up to ``limit`` urgent records, until one is refused; how many were taken."""
    return await taken(log, "cancel", limit, urgent=True)


async def test_the_room_is_for_urgent_records_alone() -> None:
    """On a full disk others are refused, however often they try, and the room is there for the urgent ones."""
    disk = WorseDisk()
    log = await opened_appender(disk, segment_bytes=1 << 20)
    await fill(disk, log)
    assert await saved(log, 2) == 2
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            await log.append([entry("order")])
    assert 2 < await saved(log) < 20
    disk.room = 1 << 30
    await log.append([entry("after")])
    assert (ids(disk)[-1], "order" in ids(disk)) == ("after", False)
    (inode,) = disk.files.values()  # a full disk is no reason to begin a new segment
    assert inode.claimed >= len(inode.seen) + ROOM
    assert verify(FOLDER, from_marks(log.head), disk).ok


async def test_the_room_is_claimed_again_after_a_failed_write() -> None:
    """To cut off a failed write gives the claimed room back, so the next append claims it anew."""
    disk = WorseDisk()
    log = await opened_appender(disk)
    await log.append([entry("before")])
    fail_steps(disk, "append", errno.ENOSPC)
    with pytest.raises(OSError, match="simulated"):
        await log.append([entry("refused")])
    heal(disk)
    await log.append([entry("after")])
    (inode,) = disk.files.values()
    assert inode.claimed >= len(inode.seen) + ROOM


async def test_a_start_on_a_full_disk_goes_on_with_the_claimed_room() -> None:
    """What was claimed before needs no room anew, so that urgent records are taken after a restart too."""
    disk = WorseDisk()
    log = await opened_appender(disk)
    await log.append([entry("before")])
    await log.close()
    disk.room = disk.used()
    again = await opened_appender(disk)
    assert await saved(again, 1) == 1


async def test_a_full_disk_does_not_end_a_segment() -> None:
    """On a new day without room for a new segment the old one takes urgent records; the new one begins with room."""
    disk, clock = WorseDisk(), SetClock()
    log = await opened_appender(disk, clock=clock)
    await log.append([entry("before")])
    disk.room = disk.used()
    clock.us += 86_400_000_000
    await fill(disk, log)
    assert await saved(log, 1) == 1
    first, *later = segments(disk, FOLDER)
    assert b"cancel" in disk.files[FOLDER / first.name].durable
    assert not disk.files[FOLDER / first.name].sealed
    assert [disk.files[FOLDER / segment.name].durable for segment in later] == [b""]
    disk.room = 1 << 30
    await log.append([entry("after")])
    assert len(segments(disk, FOLDER)) == 2
    assert ids(disk)[-2:] == ["cancel-0", "after"]
    assert disk.files[FOLDER / first.name].sealed
    assert verify(FOLDER, from_marks(log.head), disk).ok


async def test_each_segment_says_that_its_file_system_keeps_no_room() -> None:
    """Where nothing can be claimed ahead, records are taken all the same, and each segment says so once."""
    disk, clock = WorseDisk(), SetClock()
    fail_steps(disk, "claim", errno.EOPNOTSUPP)
    log = await opened_appender(disk, clock=clock)
    for _ in range(2):
        for name in ("a", "b"):
            await log.append([entry(name)])
        clock.us += 86_400_000_000
    texts = [str(record["text"]) for record in all_records(disk) if record["kind"] == "recovered"]
    assert ["keeps no room" in text for text in texts] == [True, True]
    assert len(segments(disk, FOLDER)) == 2


async def test_a_failed_sync_is_not_believed_the_second_time() -> None:
    """After fdatasync failed the lost pages never count as written: what is acknowledged later survives a crash."""
    disk = WorseDisk()
    log = await opened_appender(disk)
    await log.append([entry("before")])
    fail_steps(disk, "sync")
    with pytest.raises(OSError, match="simulated"):
        await log.append([entry("refused")])
    heal(disk)
    await log.append([entry("after")])
    for inode in disk.files.values():
        inode.seen = bytearray(inode.durable)
    assert ids(disk) == ["before", "after"]
    assert [disk.files[FOLDER / segment.name].sealed for segment in segments(disk, FOLDER)] == [True, False]
    assert verify(FOLDER, from_marks(log.head), disk).ok


async def test_a_start_believes_nothing_that_a_failed_sync_has_left_in_the_cache() -> None:
    """A sync fails, the cut as well, and the process ends. The next one appends behind what is on the disk."""
    disk = WorseDisk()
    log = await opened_appender(disk)
    await log.append([entry("before")])
    disk.trouble = lambda _number, name: errno.EIO if name in {"sync", "truncate"} else None
    for _ in range(2):  # the second try repairs
        with pytest.raises(OSError, match="simulated"):
            await log.append([entry("lost")])
    await log.close()
    heal(disk)
    log = await opened_appender(disk)
    await log.append([entry("after")])
    for inode in disk.files.values():
        inode.seen = bytearray(inode.durable)
    assert ids(disk) == ["before", "after"]
    assert verify(FOLDER, from_marks(log.head), disk).ok


@pytest.mark.parametrize("step", ["open", "truncate", "sync", "append"])
async def test_a_disk_that_stays_broken_refuses_each_append(step: str) -> None:
    """A failure during the repair refuses the append as well, and the next one repairs again."""
    disk = WorseDisk()
    log = await opened_appender(disk)
    await log.append([entry("before")])
    fail_steps(disk, "append")
    with pytest.raises(OSError, match="simulated"):
        await log.append([entry("refused")])
    fail_steps(disk, step)
    for _ in range(3):
        with pytest.raises(OSError, match="simulated"):
            await log.append([entry("refused")])
    heal(disk)
    await log.append([entry("after")])
    assert ids(disk) == ["before", "after"]
    assert verify(FOLDER, from_marks(log.head), disk).ok


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
    """A segment removed, replaced, cut or moved under the log: refused once, then a new segment goes on."""
    folder = tmp_path / "audit"
    log = new_appender(LocalDisk(), folder=folder)
    await log.open(None)
    await log.append([entry("before")])
    (path,) = folder.glob("*.jsonl")
    whole = path.read_bytes()
    take_away(path, harm)
    with pytest.raises(OSError, match="removed, replaced or cut"):
        await log.append([entry("refused")])
    await log.append([entry("after")])
    await log.close()
    newest = sorted(folder.glob("*.jsonl"))[-1]
    assert [json.loads(line).get("id") for line in newest.read_bytes().splitlines()][-1] == "after"
    report = verify(folder, from_marks(log.head), LocalDisk())
    assert report.ok == (harm == "replace")  # an identical copy in its place is as good
    if harm == "move":
        assert (tmp_path / "taken").read_bytes() == whole


async def test_the_folder_taken_away_is_made_anew(tmp_path: Path) -> None:
    """Even without its folder the log recovers by itself, and `verify` says that a segment is gone."""
    folder = tmp_path / "audit"
    log = new_appender(LocalDisk(), folder=folder)
    await log.open(None)
    await log.append([entry("before")])
    folder.rename(tmp_path / "taken")
    with pytest.raises(OSError, match="removed, replaced or cut"):
        await log.append([entry("refused")])
    await log.append([entry("after")])
    (finding,) = verify(folder, from_marks(log.head), LocalDisk()).findings
    assert (finding.seq, "are missing" in finding.what) == (1, True)
    unlock = LocalDisk().lock(tmp_path / "taken")
    unlock()
    await log.close()


async def test_a_new_folder_that_another_process_holds_is_left_to_it(tmp_path: Path) -> None:
    """If the folder is another one that a second process has locked, nothing is written there until that ends."""
    folder = tmp_path / "audit"
    log = new_appender(LocalDisk(), folder=folder)
    await log.open(None)
    await log.append([entry("before")])
    folder.rename(tmp_path / "taken")
    folder.mkdir(mode=0o700)
    unlock = LocalDisk().lock(folder)
    for reason in ("removed, replaced or cut", "another process", "another process"):
        with pytest.raises(OSError, match=reason):
            await log.append([entry("refused")])
    assert list(folder.iterdir()) == []
    unlock()
    await log.append([entry("after")])
    await log.close()
