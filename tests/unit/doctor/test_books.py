"""Ledger and audit log: that they agree, and what in them waits for a person."""

from __future__ import annotations

from pathlib import Path

import pytest
from signer.ledger.writer import LedgerWriter

from signer.audit.disk import LocalDisk
from signer.doctor.books import examine
from signer.home.layout import Home
from signer.model import ChainHead, Halt
from tests.harness.clocks import SetClock
from tests.unit.audit.given import write_log
from tests.unit.doctor.looking import said
from tests.unit.ledger.calls import charge, intent


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Three records in the log, and a ledger that remembers the last."""
    home = Home(tmp_path)
    head = write_log(home.audit, LocalDisk(), [["one", "two"]])
    books = LedgerWriter(home.ledger, SetClock())
    books.keep_head(head)
    books.close()
    return home


def test_before_the_first_start_there_is_neither(tmp_path: Path) -> None:
    """Before the first start there is neither ledger nor log, and the check makes none."""
    assert said(examine(Home(tmp_path), running=False)) == []
    assert list(tmp_path.iterdir()) == []


def test_books_that_agree(home: Home) -> None:
    """A ledger and a log that agree give no finding."""
    assert said(examine(home, running=False)) == []


def test_a_log_that_was_cut(home: Home) -> None:
    """The ledger knows a record that is not there."""
    segment = next(home.audit.iterdir())
    segment.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[:-1]))
    found = examine(home, running=False)
    assert said(found) == [("error", "audit")]
    assert "records are missing" in found[-1].what


def test_a_log_that_was_written_anew(home: Home) -> None:
    """A log of the same length that was written anew is found."""
    books = LedgerWriter(home.ledger, SetClock())
    books.keep_head(ChainHead(4, "f" * 64))
    books.close()
    write_log(home.audit, LocalDisk(), [["three"]])
    found = examine(home, running=False)
    assert (said(found), "not the one that the ledger knows" in found[-1].what) == ([("error", "audit")], True)


def test_a_last_line_that_was_edited(home: Home) -> None:
    """An edited last line is no record."""
    segment = next(home.audit.iterdir())
    segment.write_bytes(segment.read_bytes().replace(b"two", b"owt"))
    assert said(examine(home, running=False)) == [("error", "audit")]


def test_a_ledger_that_is_none(home: Home) -> None:
    """A file that is no ledger gives a finding of its own, and no crash."""
    home.ledger.write_text("nonsense")
    assert said(examine(home, running=False)) == [("error", "ledger")]


def test_halts_and_calls_without_an_outcome(home: Home) -> None:
    """Each halt with the command that ends it; a call that may be under way is none while a gateway runs."""
    books = LedgerWriter(home.ledger, SetClock())
    held = books.reserve(intent(charge("1")), None)
    books.halt(Halt("bot", "", "drawdown", "me", 1))
    books.close()
    halts = examine(home, running=True)
    assert said(halts) == [("warning", "halt")]
    assert any("signer resume --client bot" in finding.hint for finding in halts)
    assert said(examine(home, running=False)) == [("warning", "halt"), ("warning", "unknown-outcome")]
    books = LedgerWriter(home.ledger, SetClock())
    books.hold(held)
    books.close()
    assert ("warning", "unknown-outcome") in said(examine(home, running=True))
