"""Any tampering with a log is found, and the record that was touched is the one that is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.audit.chain import link
from signer.audit.disk import segments
from signer.audit.reading import unlink
from signer.audit.report import from_marks
from signer.audit.verify import verify
from signer.model import ChainHead
from tests.unit.audit.given import FOLDER, write_log
from tests.unit.audit.worse_disk import WorseDisk

SIZES = st.lists(st.integers(1, 4), min_size=3, max_size=8)
Line = tuple[str, bytes]
"""The segment's name and one of its lines."""


def new_log(sizes: list[int]) -> tuple[WorseDisk, ChainHead]:
    """A log of that many batches, over several segments."""
    disk = WorseDisk()
    batches = [[f"{batch}-{index}" for index in range(size)] for batch, size in enumerate(sizes)]
    return disk, write_log(FOLDER, disk, batches, segment_bytes=1200)


def read(disk: WorseDisk) -> list[Line]:
    """All lines, in order: line number i is record i + 1."""
    names = [segment.name for segment in segments(disk, FOLDER)]
    return [(name, line) for name in names for line in bytes(disk.files[FOLDER / name].seen).splitlines(keepends=True)]


def write(disk: WorseDisk, lines: list[Line]) -> None:
    """Put other lines in their place."""
    for name in {name for name, _ in read(disk)}:
        disk.files[FOLDER / name].seen = bytearray(b"".join(line for of, line in lines if of == name))


def rehashed(line: bytes, **changes: str | int) -> bytes:
    """The record with members changed and its digest made right again; a line that is none stays."""
    if unlink(line) is None:
        return line
    fields = {name: value for name, value in json.loads(line).items() if name not in {"digest", "v"}} | changes
    return link(ChainHead(fields.pop("seq") - 1, fields.pop("prev")), fields)[0]


def edit_byte(lines: list[Line], at: int) -> None:
    """Change the content and leave the digest."""
    name, line = lines[at]
    lines[at] = (name, line.replace(b'"time":1', b'"time":2'))


def edit_digest(lines: list[Line], at: int) -> None:
    """Change the digest alone."""
    name, line = lines[at]
    lines[at] = (name, line[:-4] + (b"0" if line[-4:-3] != b"0" else b"1") + line[-3:])


def edit_and_rehash(lines: list[Line], at: int) -> None:
    """Change the content and make the digest right again."""
    name, line = lines[at]
    lines[at] = (name, rehashed(line, time=7))


def renumber(lines: list[Line], at: int) -> None:
    """Give the record another number, with a right digest."""
    name, line = lines[at]
    lines[at] = (name, rehashed(line, seq=at + 900))


def remove(lines: list[Line], at: int) -> None:
    """Take the line out."""
    del lines[at]


def repeat(lines: list[Line], at: int) -> None:
    """Put the line in twice."""
    lines.insert(at, lines[at])


def insert_forged(lines: list[Line], at: int) -> None:
    """Put another record of the same number, with a right digest, before it."""
    name, line = lines[at]
    lines.insert(at, (name, rehashed(line, id="forged")))


def insert_garbage(lines: list[Line], at: int) -> None:
    """Put a line before it that is no record."""
    lines.insert(at, (lines[at][0], b"garbage\n"))


def swap(lines: list[Line], at: int) -> None:
    """Trade places with the line before."""
    (one, first), (other, second) = lines[at], lines[at - 1]
    lines[at], lines[at - 1] = (one, second), (other, first)


def move_to_front(lines: list[Line], at: int) -> None:
    """Move the line to the log's beginning."""
    lines.insert(0, (lines[0][0], lines.pop(at)[1]))


def add_space(lines: list[Line], at: int) -> None:
    """Change nothing that JSON would see."""
    name, line = lines[at]
    lines[at] = (name, line[:-1] + b" \n")


TAMPERINGS = [
    edit_byte,
    edit_digest,
    edit_and_rehash,
    renumber,
    remove,
    repeat,
    insert_forged,
    insert_garbage,
    swap,
    move_to_front,
    add_space,
]


@given(SIZES)
def test_an_untouched_log_passes(sizes: list[int]) -> None:
    """With the newest head, an older one or none, an untouched log has no finding."""
    disk, head = new_log(sizes)
    early = unlink(read(disk)[1][1])
    assert early is not None
    for kept in (head, ChainHead(early.seq, early.digest), None):
        report = verify(FOLDER, from_marks(kept), disk)
        assert (report.findings, report.head, report.records) == ((), head, head.seq)


@pytest.mark.parametrize("tamper", TAMPERINGS)
@given(sizes=SIZES, data=st.data())
def test_tampering_is_found_and_named(
    tamper: Callable[[list[Line], int], None], sizes: list[int], data: st.DataObject
) -> None:
    """Whatever was done to record N, a finding names N (or its neighbour, where both could be the changed one)."""
    disk, head = new_log(sizes)
    lines = read(disk)
    at = data.draw(st.integers(1, len(lines) - 1))
    tamper(lines, at)
    write(disk, lines)
    report = verify(FOLDER, from_marks(head), disk)
    assert not report.ok
    assert report.findings[0].seq in {at, at + 1}
    assert any(finding.seq == at + 1 for finding in report.findings) or tamper in {insert_garbage, swap}
    assert len(report.findings) <= 3


@given(sizes=SIZES, data=st.data())
def test_several_changes_are_found_too(sizes: list[int], data: st.DataObject) -> None:
    """Any mixture of changes leaves at least one finding, unless they undo each other."""
    disk, head = new_log(sizes)
    lines = read(disk)
    before = list(lines)
    for tamper in data.draw(st.lists(st.sampled_from(TAMPERINGS), min_size=1, max_size=3)):
        tamper(lines, data.draw(st.integers(1, len(lines) - 1)))
    write(disk, lines)
    assert verify(FOLDER, from_marks(head), disk).ok == (read(disk) == before)


@given(sizes=SIZES, data=st.data())
def test_a_cut_end_is_found_by_the_kept_head(sizes: list[int], data: st.DataObject) -> None:
    """Whatever is cut off the end, by line or by byte, the first missing record is named; nothing is without a head."""
    disk, head = new_log(sizes)
    lines = read(disk)
    keep = data.draw(st.integers(1, len(lines) - 1))
    torn = data.draw(st.integers(0, len(lines[keep][1]) - 1))
    write(disk, [*lines[:keep], (lines[keep][0], lines[keep][1][:torn])])
    report = verify(FOLDER, from_marks(head), disk)
    assert [finding.seq for finding in report.findings] == [keep + 1]
    assert "cut off" in report.findings[0].what
    assert report.unfinished == torn
    assert verify(FOLDER, (), disk).ok


@given(sizes=SIZES)
def test_a_log_written_anew_is_found_by_the_kept_head(sizes: list[int]) -> None:
    """A whole other log, sound in itself and long enough, is not the one that the marks know."""
    _, head = new_log(sizes)
    other, _ = new_log([*sizes[::-1], 1, 1])
    report = verify(FOLDER, from_marks(ChainHead(head.seq, "ab" * 32)), other)
    assert [finding.seq for finding in report.findings] == [head.seq]
    assert "replaced" in report.findings[0].what


@given(sizes=SIZES, data=st.data())
def test_a_removed_segment_is_named(sizes: list[int], data: st.DataObject) -> None:
    """A missing segment is named with the records that were in it; the last is found by the kept head."""
    disk, head = new_log([4, *sizes, 4])
    found = segments(disk, FOLDER)
    gone = data.draw(st.sampled_from(found))
    first = next(json.loads(line)["seq"] for name, line in read(disk) if name == gone.name)
    del disk.files[FOLDER / gone.name]
    (finding,) = verify(FOLDER, from_marks(head), disk).findings
    assert finding.seq == first
    assert gone == found[-1] or f"segment {gone.number} with them" in finding.what


def test_swapped_and_renamed_segments_are_found() -> None:
    """Files that trade names, or take another number, are found out by their headers."""
    disk, head = new_log([4, 4, 4])
    one, two, *_ = [FOLDER / segment.name for segment in segments(disk, FOLDER)]
    disk.files[one], disk.files[two] = disk.files[two], disk.files[one]
    assert not verify(FOLDER, from_marks(head), disk).ok
    disk.files[one], disk.files[two] = disk.files[two], disk.files[one]
    last = FOLDER / segments(disk, FOLDER)[-1].name
    disk.files[Path(str(last).replace("00000", "00001"))] = disk.files.pop(last)
    (finding,) = verify(FOLDER, from_marks(head), disk).findings
    assert "renamed" in finding.what


def test_joined_segments_are_found() -> None:
    """Two segments put into one file are found, though the chain of their records is whole."""
    disk, head = new_log([4, 4, 4])
    one, two, *_ = [FOLDER / segment.name for segment in segments(disk, FOLDER)]
    disk.files[one].seen += disk.files.pop(two).seen
    (finding,) = verify(FOLDER, from_marks(head), disk).findings
    assert "joined" in finding.what


def test_findings_are_bounded() -> None:
    """A log of nothing but damage is read to its end, and the findings beyond a hundred only counted."""
    disk, head = new_log([150])
    name = segments(disk, FOLDER)[0].name
    disk.files[FOLDER / name].seen = bytearray(b"garbage\n" * 150)
    report = verify(FOLDER, from_marks(head), disk)
    assert (len(report.findings), report.more, report.records) == (100, 51, 150)  # the cut end is the last
