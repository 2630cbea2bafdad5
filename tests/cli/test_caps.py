"""`signer caps reset` and `signer clock accept` as an operator uses them, with no gateway on the home."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from signer.audit import close_journal, open_journal
from signer.audit.journal import FileJournal
from signer.cli.main import main
from signer.contracts import Clock
from signer.errors import NotServed
from signer.home.layout import Home
from signer.ledger import open_marks
from signer.ledger.checkpoint import BookFile
from signer.serving.clock import SystemClock
from tests.harness.journals import begin, in_journal, place
from tests.unit.ledger.calls import charge, intent, used

DAY_US = 86_400_000_000


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.config.write_text("[accounts.main]\n")
    return home


class EarlierClock:
    """A clock that is a day behind."""

    def now_us(self) -> int:
        """Return the time a day ago."""
        return SystemClock().now_us() - DAY_US

    def monotonic(self) -> float:
        """Return the seconds that passed."""
        return SystemClock().monotonic()


def signer(home: Home, *arguments: str) -> int:
    """The exit status of a command on this home."""
    return main(["--home", str(home.folder), *arguments])


def spend(home: Home, clock: Clock | None = None) -> None:
    """Put an order on record that took 30 USD and one order, by this clock."""

    async def run() -> None:
        marks = await open_marks(home)
        journal = await open_journal(home, marks, BookFile(home.book), clock or SystemClock(), print)
        call = intent(charge("30"), charge("1", cap="orders", unit="orders"))
        await place(journal, call, "OAAAAA-BBBBB-CCCCCC")
        await close_journal(journal, marks)
        await marks.close()

    asyncio.run(run())


def told(home: Home, seen: Callable[[FileJournal], object]) -> object:
    """What the home's journal says."""

    async def ask(journal: FileJournal) -> object:
        return seen(journal)

    return in_journal(home, ask)


def test_a_reset_gives_a_client_its_caps_back_on_record(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """The command names what it reset, the next start counts from nothing, and the log says who did it and why."""
    spend(home)
    assert signer(home, "caps", "reset", "bot", "--reason", "a wrong price") == 0
    assert capsys.readouterr().err == "Reset notional, orders.\n"
    assert told(home, used) == 0
    assert signer(home, "audit", "search", "--kind", "operator", "--json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["act"], one["stage"], one.get("reason")) for one in records] == [
        ("caps reset", "begun", "a wrong price"),
        ("caps reset", "done", None),
    ]


def test_a_reset_of_one_unit_leaves_the_other_caps(home: Home) -> None:
    """Orders are given back, and what they cost is not."""
    spend(home)
    assert signer(home, "caps", "reset", "bot", "--unit", "orders", "--reason", "r") == 0
    assert told(home, lambda journal: (used(journal), used(journal, "orders"))) == (30, 0)


@pytest.mark.parametrize("whom", [("nobody",), ("bot", "--unit", "EUR")], ids=" ".join)
def test_a_reset_of_nothing_says_so_and_records_nothing(
    home: Home, capsys: pytest.CaptureFixture[str], whom: tuple[str, ...]
) -> None:
    """A client that spent nothing of such a cap is named, with exit status 1."""
    spend(home)
    before = told(home, lambda journal: journal.head())
    assert signer(home, "caps", "reset", *whom, "--reason", "r") == 1
    assert capsys.readouterr().err == f"{whom[0]} has spent nothing of any such cap.\n"
    assert told(home, lambda journal: journal.head()) == before


def test_a_clock_a_day_ahead_of_the_log_needs_a_persons_word(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing begins before, and everything after the clock is accepted."""
    spend(home, EarlierClock())
    call = replace(intent(charge("1")), record="r2")
    with pytest.raises(NotServed, match="clock may be wrong"):
        in_journal(home, lambda journal: begin(journal, call))
    assert signer(home, "clock", "accept", "--reason", "it was off for a day") == 0
    assert "The clock is accepted: it is 20" in capsys.readouterr().err
    assert in_journal(home, lambda journal: begin(journal, call)) == 2


@pytest.mark.parametrize("command", [("caps", "reset", "bot"), ("clock", "accept")], ids=" ".join)
def test_an_act_without_a_reason_or_a_home_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """Usage and a missing home are told apart, and no home is made."""
    nowhere = Home(tmp_path / "nowhere")
    assert signer(nowhere, *command) == 2
    assert "Missing option '--reason'" in capsys.readouterr().err
    assert signer(nowhere, *command, "--reason", "r") == 3
    assert "there is no home here" in capsys.readouterr().err
    assert not nowhere.folder.exists()
