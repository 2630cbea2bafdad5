"""`signer audit archive` on a home on which no gateway runs, and what it says to bad input."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from signer.audit import close_journal, open_journal
from signer.audit.disk import LocalDisk, segments
from signer.cli.main import main
from signer.home.layout import Home
from signer.ledger import open_marks
from signer.ledger.checkpoint import BookFile
from signer.model import Intent
from tests.harness.clocks import NOON_US
from tests.unit.audit.archives import DAY_US, day_of_calls
from tests.unit.ledger.calls import StillClock

DAYS = 3


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Home:
    """A home with a log of three days, on each of which a call is accepted and one stays open."""
    home = Home(tmp_path / "home")
    home.folder.mkdir(0o700)
    home.config.write_text("version = 1\n")
    for day in range(DAYS):
        asyncio.run(write_day(home, day))
    return home


async def write_day(home: Home, day: int) -> None:
    """One day's run."""
    clock, marks = StillClock(), await open_marks(home)
    clock.us = NOON_US + day * DAY_US
    journal = await open_journal(home, marks, BookFile(home.book), clock, print)
    journal.trust_clock()
    for record in day_of_calls(day):
        if record["kind"] == "intent":
            call = Intent("grid-bot", "main", "AddOrder", (), (), (), str(record["id"]), clock.us)
            del record["reservation"], record["at"]
            await journal.begin(call, record)
        else:
            journal.conclude(record)
    await close_journal(journal, marks)
    await marks.close()


def run(home: Home, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a `signer audit` command."""
    status = main(["--home", str(home.folder), "audit", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def numbers(folder: Path) -> list[int]:
    """The numbers of the segments in a folder."""
    return [segment.number for segment in segments(LocalDisk(), folder)]


def verified(home: Home, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """What `verify` says, which must find nothing."""
    status, out, err = run(home, capsys, "verify", *options, "--json")
    assert status == 0, out + err
    told: dict[str, Any] = json.loads(out)
    return told


def test_old_segments_go_and_all_is_proven(home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Log, book and archive verify, with and without a checkpoint, and the act is on record."""
    to = tmp_path / "archive"
    status, out, _ = run(home, capsys, "archive", "--before", "2026-11-25", "--to", str(to), "--reason", "space")
    assert status == 0
    assert numbers(to) == [1, 2]
    said = out.splitlines()
    assert said[0].startswith("Archived audit-000001-20261123.jsonl to audit-000002-20261124.jsonl (records 1 to ")
    told = verified(home, capsys, "--book")
    begins, book = told["begins_after"], told["book"]
    assert said[2] == f"head {begins['seq']}:{verified(home, capsys, str(to))['head']['digest']}"
    assert (book["begins_after"], book["checkpoint"]) == (begins["seq"], book["seq"])
    assert f"book-{begins['seq']}.json stands for them" in run(home, capsys, "verify")[1]
    home.book.unlink()
    missing = "there is no checkpoint to compare with; the gateway makes it"
    told = verified(home, capsys, "--book")["book"]
    assert told == {**book, "checkpoint": None, "notes": [missing, *book["notes"]]}
    acts = [json.loads(line) for line in run(home, capsys, "search", "--kind", "operator", "--json")[1].splitlines()]
    assert [(act["act"], act["stage"]) for act in acts] == [("audit archive", "begun"), ("audit archive", "done")]
    assert acts[0]["reason"] == "space"
    (archived,) = run(home, capsys, "search", "--kind", "archived", "--json")[1].splitlines()
    assert json.loads(archived)["state_digest"] == begins["digest"]


def test_a_start_without_a_checkpoint_goes_on_from_the_state_file(
    home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The next run has the same book, whether `book.db` is there or lost."""
    run(home, capsys, "archive", "--before", "2026-11-25", "--to", str(tmp_path / "archive"))
    digest = verified(home, capsys, "--book")["book"]["digest"]
    home.book.unlink()

    async def start() -> str:
        marks = await open_marks(home)
        journal = await open_journal(home, marks, BookFile(home.book), StillClock(), print)
        await journal.settled()
        found = journal.digest_at_rest()
        await close_journal(journal, marks)
        await marks.close()
        assert found is not None
        return found[1]

    assert asyncio.run(start()) == digest
    assert verified(home, capsys, "--book")["book"]["digest"] == digest


def test_nothing_to_archive_is_said(home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The reason is one line, the status 0, and neither log nor folder is touched."""
    before = verified(home, capsys)
    status, out, _ = run(home, capsys, "archive", "--before", "2026-11-23", "--to", str(tmp_path / "archive"))
    assert (status, out) == (0, "Nothing is archived: audit-000001-20261123.jsonl has records of that day or later.\n")
    assert (verified(home, capsys), (tmp_path / "archive").exists()) == (before, False)


def test_a_log_without_a_checkpoint_is_not_archived(
    home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What the checkpoint lacks stays, so all of it stays if there is none."""
    home.book.unlink()
    _, out, _ = run(home, capsys, "archive", "--before", "2026-11-25", "--to", str(tmp_path / "archive"))
    assert out == (
        "Nothing is archived: audit-000001-20261123.jsonl has records that the checkpoint does not have yet.\n"
    )


@pytest.mark.parametrize("date", ["yesterday", "2026-13-01", "2026-11-1", "30d", ""])
def test_a_date_that_is_none_is_a_usage_error(
    home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path, date: str
) -> None:
    """The message shows the form."""
    status, _, err = run(home, capsys, "archive", "--before", date, "--to", str(tmp_path / "archive"))
    assert (status, "write a date such as 2026-11-01" in err) == (2, True)


@pytest.mark.parametrize(
    ("to", "what"),
    [
        ("home/archive", "an archive must not lie in the home"),
        ("home", "an archive must not lie in the home"),
        ("home/audit", "an archive must not lie in the home"),
        ("link", "an archive must not lie in the home"),
        ("file", "this is no folder"),
        ("file/below", "cannot be written: Not a directory"),
        ("open", "others can enter the audit folder"),
        ("full", "another file of this name is there"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(
    home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path, to: str, what: str
) -> None:
    """One line, and the log stays whole."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(home.folder)
    (tmp_path / "open").mkdir(0o755)
    (tmp_path / "full").mkdir(0o700)
    (tmp_path / "full" / "audit-000001-20261123.jsonl").write_text("mine")
    status, out, err = run(home, capsys, "archive", "--before", "2026-11-25", "--to", str(tmp_path / to))
    assert (status, out, err.count("\n")) == (5, "", 1)
    assert what in err
    assert numbers(home.audit)[:DAYS] == [1, 2, 3]
    assert (tmp_path / "full" / "audit-000001-20261123.jsonl").read_text() == "mine"
    verified(home, capsys, "--book")


def test_a_damaged_beginning_is_named(home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A missing or changed state file, and a gap, get one line each, and nothing is moved."""
    archive = ["archive", "--before", "2026-11-25", "--to", str(tmp_path / "archive")]
    path = home.audit / segments(LocalDisk(), home.audit)[1].name
    kept = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(b"".join(kept.splitlines(keepends=True)[:2] + kept.splitlines(keepends=True)[3:]))
    status, _, err = run(home, capsys, *archive)
    assert (status, err.count("\n"), f"{path.name} line 3" in err) == (5, 1, True)
    path.write_bytes(kept)
    assert run(home, capsys, *archive)[0] == 0
    (state,) = home.audit.glob("book-*.json")
    written = state.read_bytes()
    for data in (None, written + b" "):
        state.unlink(missing_ok=True)
        if data is not None:
            state.write_bytes(data)
        status, out, err = run(home, capsys, *archive)
        assert (status, out, err.count("\n"), state.name in err) == (5, "", 1, True)
        assert "put it back from the folder to which the segments were archived" in err
        assert run(home, capsys, "verify")[0] == 1
        assert run(home, capsys, "verify", "--book")[0] == 1
    state.write_bytes(written)
    verified(home, capsys, "--book")


def test_a_home_without_a_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One line that says so."""
    status, _, err = run(Home(tmp_path), capsys, "archive", "--before", "2026-11-25", "--to", str(tmp_path / "x"))
    assert status == 5
    assert err == f"signer: {tmp_path / 'audit'}: there is no audit log; `signer serve` makes it\n"
