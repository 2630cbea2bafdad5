"""Reading the end of the log: the records after a known one, and whether a known one is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from signer.audit.disk import LocalDisk
from signer.audit.tail import found, records_after
from signer.model import ChainHead
from tests.unit.audit.given import write_log


@pytest.fixture
def head(tmp_path: Path) -> ChainHead:
    """The head of a log of fifteen records in five segments."""
    return write_log(tmp_path, LocalDisk(), [["a", "b"]] * 5, segment_bytes=1)


def seqs(folder: Path, after: int) -> list[object]:
    """The numbers of the records after that one."""
    return [record["seq"] for record in records_after(LocalDisk(), folder, after)]


@pytest.fixture(params=["as it is", "in small steps"])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go back through a segment in steps of less than a record, too."""
    if request.param == "in small steps":
        monkeypatch.setattr("signer.audit.tail.STEP", 100)


@pytest.mark.usefixtures("steps")
@pytest.mark.parametrize("segment_bytes", [1, 1_500, 1 << 20])
def test_the_records_after_each_one(tmp_path: Path, segment_bytes: int) -> None:
    """After whichever record, just the later ones are read, in order."""
    last = write_log(tmp_path, LocalDisk(), [["a", "b", "c"]] * 5, segment_bytes).seq
    for seq in range(last + 2):
        assert seqs(tmp_path, seq) == list(range(seq + 1, last + 1))


@pytest.mark.usefixtures("steps")
def test_each_record_is_found_by_its_digest(tmp_path: Path, head: ChainHead) -> None:
    """A record is found if its number and digest are right; another digest of that number is told apart."""
    records = [*records_after(LocalDisk(), tmp_path, 1), {"seq": head.seq + 1, "prev": head.digest}]
    for record in records:
        known = ChainHead(int(str(record["seq"])) - 1, str(record["prev"]))
        assert found(LocalDisk(), tmp_path, known) is True
        assert found(LocalDisk(), tmp_path, ChainHead(known.seq, "0" * 64)) is False
    assert found(LocalDisk(), tmp_path, ChainHead(0, "0" * 64)) is True


def test_a_record_beyond_the_log_is_not_found(tmp_path: Path, head: ChainHead) -> None:
    """A log that ends before a known record does not say that the record is another."""
    assert found(LocalDisk(), tmp_path, ChainHead(head.seq + 1, "0" * 64)) is None
    assert found(LocalDisk(), tmp_path / "nothing", head) is None


def test_a_record_of_a_missing_segment_is_not_found(tmp_path: Path, head: ChainHead) -> None:
    """A record in a segment that was moved away is not there; those before and after are."""
    (record,) = [one for one in records_after(LocalDisk(), tmp_path, 0) if one["seq"] == 8]
    gone = sorted(tmp_path.iterdir())[2]
    kept = gone.read_bytes()
    gone.unlink()
    assert found(LocalDisk(), tmp_path, ChainHead(7, str(record["prev"]))) is None
    assert found(LocalDisk(), tmp_path, head) is True
    assert seqs(tmp_path, 5) == [6, 10, 11, 12, 13, 14, 15]
    gone.write_bytes(kept)
    assert found(LocalDisk(), tmp_path, ChainHead(7, str(record["prev"]))) is True


def test_a_line_that_is_no_record_is_left_out(tmp_path: Path, head: ChainHead) -> None:
    """An edited line and an unfinished one are no records, and the others are read."""
    last = sorted(tmp_path.iterdir())[-1]
    last.write_bytes(last.read_bytes().replace(b'"b"', b'"x"') + b'{"kind":')
    assert seqs(tmp_path, head.seq - 2) == [head.seq - 1]


@pytest.mark.usefixtures("head")
def test_only_later_segments_are_read(tmp_path: Path) -> None:
    """Reading begins with the segment that can hold the next record."""
    sorted(tmp_path.iterdir())[0].write_bytes(b"")
    assert seqs(tmp_path, 3) == list(range(4, 16))
