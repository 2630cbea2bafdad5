"""Which log a checkpoint is of, what the marks know beyond it, and which segments are missing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from signer.audit.chain import START
from signer.audit.disk import lines, segments
from signer.audit.identity import log_of, lost_gap, missing_segments, unknown_gap, why_unusable
from signer.audit.log_reader import LogReader
from signer.audit.reading import Link
from signer.audit.tail import links_after
from signer.book.book import Book
from signer.book.folding import MOST_GAPS, LogFold
from signer.model import ChainHead, Gap
from tests.unit.audit.given import FOLDER, new_journal, write_log
from tests.unit.audit.worse_disk import WorseDisk

OTHER = "ab" * 32


def made(*names: str) -> WorseDisk:
    """A log with a segment for each two of these names or so."""
    disk = WorseDisk()
    write_log(FOLDER, disk, [[name] for name in names], segment_bytes=700)
    return disk


def links(disk: WorseDisk) -> Sequence[Link]:
    """All records."""
    return list(links_after(disk, FOLDER, 0))


def head(disk: WorseDisk, seq: int) -> ChainHead:
    """A record of the log."""
    return next(ChainHead(link.seq, link.digest) for link in links(disk) if link.seq == seq)


def remove(disk: WorseDisk, *numbers: int) -> None:
    """Remove segments."""
    for segment in segments(disk, FOLDER):
        if segment.number in numbers:
            disk.remove(FOLDER / segment.name)


def test_a_logs_name_is_the_digest_of_its_first_record() -> None:
    """Each later header repeats it, so it is known without the first segments; another log has another name."""
    disk = made("a", "b", "c", "d", "e")
    name, count = head(disk, 1).digest, len(segments(disk, FOLDER))
    assert count >= 3
    headers = [json.loads(next(lines(disk, FOLDER / segment.name))) for segment in segments(disk, FOLDER)]
    assert [header.get("log") for header in headers] == [None] + [name] * (count - 1)
    for number in range(1, count):
        remove(disk, number)
        assert log_of(disk, FOLDER) == name
    assert log_of(WorseDisk(), FOLDER) == ""


def test_a_checkpoint_is_used_with_its_own_log_alone() -> None:
    """One of a record that the log has, or behind its end if the name is the same."""
    disk = made("a", "b", "c", "d", "e")
    ours, other, nameless = Book(), Book(), Book()
    ours.log, other.log = log_of(disk, FOLDER), OTHER
    for seq in range(1, links(disk)[-1].seq + 1):
        assert why_unusable(disk, FOLDER, head(disk, seq), ours) == ""
        assert "another log" in why_unusable(disk, FOLDER, ChainHead(seq, OTHER), ours)
    assert why_unusable(disk, FOLDER, ChainHead(99, OTHER), ours) == ""
    assert "another log at record 99" in why_unusable(disk, FOLDER, ChainHead(99, OTHER), other)
    assert "another log" in why_unusable(disk, FOLDER, ChainHead(99, OTHER), nameless)


def test_a_checkpoint_of_another_course_of_the_log_is_not_its_witness() -> None:
    """Of the records of earlier checkpoints the newest that the log has room for must be there."""
    disk, book, ahead = made("a", "b", "c", "d", "e"), Book(), ChainHead(99, OTHER)
    book.log = log_of(disk, FOLDER)
    for course, is_ours in (
        ([ahead, ChainHead(90, OTHER), head(disk, 6), head(disk, 3)], True),
        ([ahead, ChainHead(6, OTHER), head(disk, 3)], False),
        ([ahead, ChainHead(90, OTHER)], True),
    ):
        book.course = course
        assert (why_unusable(disk, FOLDER, ahead, book) == "") is is_ours
        assert (lost_gap(disk, FOLDER, ahead, book) is None) is is_ours
    assert lost_gap(disk, FOLDER, ahead, book) is None
    book.log, book.course = OTHER, [ChainHead(6, OTHER)]
    assert lost_gap(disk, FOLDER, ahead, book) is None


@pytest.mark.parametrize(
    ("kept", "gap"),
    [
        (None, None),
        ((7, "same"), None),
        ((5, "same"), None),
        ((7, OTHER), Gap(7, 7)),
        ((5, OTHER), Gap(5, 5)),
        ((8, OTHER), Gap(8, 8)),
        ((20, OTHER), Gap(8, 20)),
    ],
)
def test_what_the_marks_know_and_the_book_lacks(kept: tuple[int, str] | None, gap: Gap | None) -> None:
    """The records behind the book's last one, and one in whose place another stands."""
    disk = made("a", "b", "c", "d", "e")
    known = None if kept is None else ChainHead(kept[0], head(disk, kept[0]).digest if kept[1] == "same" else kept[1])
    assert unknown_gap(disk, FOLDER, head(disk, 7), known, None) == gap
    assert unknown_gap(disk, FOLDER, head(disk, 7), known, head(disk, 7)) == gap


def test_a_checkpoint_without_a_log_is_proven_by_the_marks_alone() -> None:
    """If they know its record, the book is whole; if they know another one or none, all may be missing."""
    empty, stands = WorseDisk(), ChainHead(7, OTHER)
    assert unknown_gap(empty, FOLDER, stands, stands, stands) is None
    assert unknown_gap(empty, FOLDER, stands, None, stands) == Gap(1, 7)
    assert unknown_gap(empty, FOLDER, stands, ChainHead(5, OTHER), stands) == Gap(1, 7)
    assert unknown_gap(empty, FOLDER, stands, ChainHead(9, OTHER), stands) == Gap(1, 9)
    assert unknown_gap(empty, FOLDER, START, ChainHead(9, OTHER), None) == Gap(1, 9)
    assert unknown_gap(empty, FOLDER, START, None, None) is None
    assert unknown_gap(empty, FOLDER, START, None, START) is None  # stored at the stop of a gateway that did nothing


def test_missing_segments_are_named_by_the_headers() -> None:
    """Those between others and those before the first one, and one whose header does not read."""
    disk = made("a", "b", "c", "d", "e", "f", "g")
    assert missing_segments(disk, FOLDER) == []
    remove(disk, 2)
    assert missing_segments(disk, FOLDER) == [2]
    remove(disk, 1)
    assert missing_segments(disk, FOLDER) == [1, 2]
    content = disk.files[FOLDER / segments(disk, FOLDER)[0].name].seen
    content[10] ^= 1
    assert missing_segments(disk, FOLDER) == [1, 2, 3]


def fold(disk: WorseDisk, *left_out: int) -> LogFold:
    """The fold of a log without some records."""
    folded = LogFold(Book(), START)
    for link in links(disk):
        if link.seq not in left_out:
            folded.take(link.fields, link.digest)
    folded.end(None)
    return folded


def test_a_fold_finds_every_record_that_is_missing_or_replaced() -> None:
    """Each run of missing records is one gap, and a record to which the next is not linked counts as missing."""
    disk = made("a", "b", "c", "d", "e")
    assert fold(disk).gaps == []
    assert fold(disk, 2, 3, 6).gaps == [Gap(2, 3), Gap(6, 6)]
    assert sorted(fold(disk, 2, 3, 6).book.gaps) == [Gap(2, 3), Gap(6, 6)]
    replaced = LogFold(Book(), START)
    for link in links(disk):
        replaced.take(link.fields, OTHER if link.seq == 4 else link.digest)
    assert replaced.gaps == [Gap(4, 4)]


def test_a_record_that_comes_again_counts_as_a_gap() -> None:
    """A log that repeats an earlier record is not the one that was written."""
    disk = made("a", "b", "c")
    folded = LogFold(Book(), START)
    for link in [*links(disk)[:4], links(disk)[1], *links(disk)[4:]]:
        folded.take(link.fields, link.digest)
    assert (folded.gaps, folded.head.seq) == ([Gap(2, 2)], links(disk)[-1].seq)


def test_the_gaps_of_a_damaged_log_are_bounded() -> None:
    """The last one reaches over all that are not named."""
    folded = LogFold(Book(), START)
    for seq in range(2, 1002, 2):
        folded.take({"kind": "start", "seq": seq, "prev": OTHER}, OTHER)
    assert len(folded.gaps) == MOST_GAPS
    assert (folded.gaps[0], folded.gaps[-1].last) == (Gap(1, 1), 999)


def test_a_reader_says_what_a_start_says() -> None:
    """A reader names the same records as the start that comes after it."""
    disk, alarms = made("a", "b", "c", "d", "e"), list[str]()
    remove(disk, 2)
    reader, folded = LogReader(FOLDER, disk), LogFold(Book(), START)
    for record, digest in reader.records_after(0):
        folded.take(record, digest)
    folded.end(reader.unknown_gap(folded.head, ChainHead(50, OTHER), None))

    async def started() -> Sequence[Gap]:
        journal = new_journal(disk, alarms)
        await journal.open(ChainHead(50, OTHER))
        await journal.close()
        return journal.gaps()

    gaps = asyncio.run(started())
    assert (gaps, len(gaps)) == (sorted(folded.book.gaps), 2)
