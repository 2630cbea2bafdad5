"""Log, checkpoint and marks: that they agree, and what in the book waits for a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from signer.audit.journal import FileJournal
from signer.doctor import books
from signer.findings import Finding
from signer.home.brakes import Brake
from signer.home.layout import Home
from signer.model import ChainHead, Outcome
from signer.operator.reading_book import with_marks
from signer.serving.brakes import record_brake
from tests.harness.clocks import NOON_US
from tests.harness.journals import begin, end, in_journal
from tests.unit.audit.given import entry
from tests.unit.doctor.looking import said
from tests.unit.ledger.calls import charge, intent


def examine(home: Home, *, running: bool = False) -> list[Finding]:
    """What is found at noon."""
    return books.examine(home, NOON_US, running=running)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Three records in the log, and marks and a checkpoint that know the last."""
    home = Home(tmp_path)

    async def record(journal: FileJournal) -> None:
        await journal.record(entry("one"))
        await journal.record(entry("two"))

    home.audit.mkdir(mode=0o700)
    in_journal(home, record)
    return home


def segment(home: Home) -> Path:
    """The only segment."""
    return next(home.audit.glob("*.jsonl"))


def test_before_the_first_start_there_is_nothing(tmp_path: Path) -> None:
    """Before the first start there is neither log nor database, and the check makes none."""
    assert said(examine(Home(tmp_path))) == []
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_is_whole(home: Home) -> None:
    """Log, checkpoint and marks that agree give no finding, and how far the checkpoint is behind is said."""
    found = examine(home)
    assert said(found) == []
    assert "stands for record 3, 0 records behind the log" in [finding.what for finding in found]


def test_a_log_that_was_cut(home: Home) -> None:
    """The marks know a record that is not there."""
    segment(home).chmod(0o600)
    segment(home).write_bytes(b"".join(segment(home).read_bytes().splitlines(keepends=True)[:-1]))
    found = examine(home)
    assert said(found) == [("error", "audit")]
    assert found[-1].what == "ends at record 2, and marks.db knows record 3: records are missing"


def test_a_log_that_was_cut_without_the_marks(home: Home) -> None:
    """The checkpoint stands for a record that is not there; that the marks are gone is a warning."""
    segment(home).write_bytes(b"".join(segment(home).read_bytes().splitlines(keepends=True)[:-1]))
    home.marks.unlink()
    found = examine(home)
    assert said(found) == [("warning", "marks"), ("error", "audit")]
    assert found[-1].what == "ends at record 2, and book.db stands for record 3: records are missing"


def test_a_log_that_was_written_anew(home: Home) -> None:
    """A log of the same length that was written anew is found, and so is the checkpoint of the one before."""
    with_marks(home, lambda marks: marks.keep_head(ChainHead(4, "f" * 64)))
    segment(home).unlink()
    book = home.book.read_bytes()
    home.book.unlink()
    home.marks.rename(home.folder / "saved")

    async def record(journal: FileJournal) -> None:
        for name in ("one", "three", "four"):
            await journal.record(entry(name))

    in_journal(home, record)
    home.book.write_bytes(book)
    (home.folder / "saved").rename(home.marks)
    found = examine(home)
    assert said(found) == [("warning", "checkpoint"), ("error", "gap"), ("error", "audit")]
    assert "is not the one that marks.db knows" in found[-1].what
    assert found[2].what == "no order is sent: the book lacks record 4"


def test_a_last_line_that_was_edited(home: Home) -> None:
    """An edited last line is no record."""
    segment(home).write_bytes(segment(home).read_bytes().replace(b"two", b"owt"))
    assert said(examine(home)) == [("error", "audit")]


def test_a_checkpoint_that_is_none(home: Home) -> None:
    """The log has it all: that is a warning with the remedy, and halts are found in the log."""
    halt = Brake("0" * 22, "halt", "bot", "", "drawdown", "me", 0, 1)
    in_journal(home, lambda journal: record_brake(halt, journal, NOON_US))
    home.book.write_text("nonsense")
    found = examine(home)
    assert said(found) == [("warning", "checkpoint"), ("warning", "halt")]
    assert "makes it anew from the log" in found[1].hint


def test_marks_that_are_none(home: Home) -> None:
    """A file that holds no marks gives a finding of its own, and no crash."""
    home.marks.write_text("nonsense")
    assert said(examine(home)) == [("error", "ledger")]


def test_halts_and_calls_without_an_outcome(home: Home) -> None:
    """Each halt with the command that ends it; a call that may be under way is none while a gateway runs."""
    call, halt = intent(charge("1")), Brake("0" * 22, "halt", "bot", "", "drawdown", "me", 0, 1)

    async def leave_open(journal: FileJournal) -> None:
        await begin(journal, call)
        await record_brake(halt, journal, NOON_US)

    in_journal(home, leave_open)
    halts = examine(home, running=True)
    assert said(halts) == [("warning", "halt")]
    assert any("signer resume --client bot" in finding.hint for finding in halts)
    assert said(examine(home)) == [("warning", "halt"), ("warning", "unknown-outcome")]
    in_journal(home, lambda journal: end(journal, call, Outcome.UNKNOWN))
    assert ("warning", "unknown-outcome") in said(examine(home, running=True))
