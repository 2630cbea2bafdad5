"""`signer audit verify --book` on a home on which no gateway runs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from signer.audit import close_audit, open_audit
from signer.cli.main import main
from signer.gateway.trace import held_fields, reconciled_record
from signer.home.layout import Home
from signer.ledger import open_ledger
from signer.model import Json, Outcome
from tests.unit.ledger.calls import START_US, StillClock, charge, intent, order


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Home:
    """A home with one call that was accepted and one that is held and not on record."""
    home = Home(tmp_path)

    async def make() -> None:
        ledger = await open_ledger(home, StillClock())
        log = await open_audit(home, ledger, StillClock(), print)
        call = replace(intent(charge("10"), orders=(order(),)), held_us=START_US)
        number = await ledger.reserve(call)
        entry: dict[str, Json] = {
            "kind": "intent",
            "time": START_US,
            "id": call.record,
            "client": "bot",
            "account": "main",
        }
        await log.record({**entry, **held_fields(call, number)})
        await log.record(reconciled_record(call, Outcome.ACCEPTED, ["OA"], START_US))
        await ledger.settle(number, ["OA"], START_US)
        await ledger.reserve(replace(call, record="r2"))
        await close_audit(log, ledger)
        await ledger.close()

    asyncio.run(make())
    return home


def verify(home: Home, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    """Exit status and output of the command."""
    status = main(["--home", str(home.folder), "audit", "verify", *options])
    return status, capsys.readouterr().out


def alter(home: Home, *statements: str) -> None:
    """Change the ledger behind our back."""
    db = sqlite3.connect(home.ledger)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def test_log_and_ledger_say_the_same(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0, what a crash cut off is named, and the book's digest is printed."""
    status, out = verify(home, capsys, "--book")
    assert status == 0
    *_, unfinished, verdict = out.splitlines()
    assert unfinished == "unfinished: call 2 (r2) of bot is held by the ledger; the log has no intent of it"
    told = json.loads(verify(home, capsys, "--book", "--json")[1])["book"]
    assert verdict == f"book {told['digest']}: log and ledger say the same"
    assert (told["ok"], told["records"], told["first"], told["differences"]) == (True, 3, 1, [])
    assert "book" not in json.loads(verify(home, capsys, "--json")[1])


@pytest.mark.parametrize(
    ("statements", "lines"),
    [
        (
            ["UPDATE spent SET amount = '3'"],
            ["client/bot, USD in 86400 s: 10 are used by the log, and -7 by the ledger"],
        ),
        (["UPDATE orders SET closed = 1"], ["order OA of account main may be open by the log, and not by the ledger"]),
        (
            ["INSERT INTO halts VALUES ('bot', '', 'r', 'ann', 1)"],
            ["client bot is halted by the ledger, and not by the log"],
        ),
    ],
    ids=["spent", "closed", "halted"],
)
def test_a_ledger_that_was_changed_is_found_out(
    home: Home, capsys: pytest.CaptureFixture[str], statements: Sequence[str], lines: Sequence[str]
) -> None:
    """Each difference is one plain line, and the status is 1, though the log itself is sound."""
    alter(home, *statements)
    status, out = verify(home, capsys, "--book")
    assert status == 1
    assert verify(home, capsys)[0] == 0
    assert [line for line in out.splitlines() if " by the " in line and not line.startswith("unfinished")] == lines
    assert out.splitlines()[-1].endswith("LOG AND LEDGER DIFFER")


def test_a_log_without_its_beginning_is_named(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Its first record is told, and it proves no book."""
    (path,) = home.audit.iterdir()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    status, out = verify(home, capsys, "--book")
    assert status == 1
    assert "the log begins at record 2: what was spent before is missing, so it proves no book" in out


def test_a_copy_has_no_ledger(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder and --book exclude each other; a home without a ledger gets one line, and no ledger."""
    assert verify(home, capsys, str(home.audit), "--book")[0] == 2
    for path in home.folder.glob("ledger.db*"):
        path.unlink()
    assert verify(home, capsys, "--book")[0] not in {0, 1}
    assert not home.ledger.exists()
