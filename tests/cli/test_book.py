"""`signer audit verify --book` on a home on which no gateway runs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from signer.audit import close_journal, open_journal
from signer.cli.main import main
from signer.gateway.trace import held_fields, reconciled_record
from signer.home.layout import Home
from signer.ledger import open_marks
from signer.ledger.checkpoint import BookFile
from signer.model import ChainHead, Halt, HaltScope, Json, Outcome
from tests.unit.ledger.calls import START_US, StillClock, charge, intent, order


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Home:
    """A home with one call that was accepted, and one that is open."""
    home = Home(tmp_path)

    async def make() -> None:
        marks = await open_marks(home)
        journal = await open_journal(home, marks, BookFile(home.book), StillClock(), print)
        for name in ("r1", "r2"):
            call = replace(intent(charge("10"), orders=(order(),)), record=name)
            entry: dict[str, Json] = {"kind": "intent", "time": START_US, "id": name, "client": "bot"}
            await journal.begin(call, {**entry, "account": "main", **held_fields(call)})
        await journal.record(reconciled_record(intent(orders=(order(),)), Outcome.ACCEPTED, ["OA"], START_US))
        await close_journal(journal, marks)
        await marks.close()

    asyncio.run(make())
    return home


def verify(home: Home, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    """Exit status and output of the command."""
    status = main(["--home", str(home.folder), "audit", "verify", *options])
    return status, capsys.readouterr().out


def test_log_and_checkpoint_say_the_same(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0, and the digest, what was compared and what was not are told."""
    status, out = verify(home, capsys, "--book")
    assert status == 0
    told = json.loads(verify(home, capsys, "--book", "--json")[1])["book"]
    assert out.splitlines()[-2:] == [
        "note: no gateway was asked, because none runs on this home",
        f"book {told['digest']}: log and checkpoint (record 4) say the same",
    ]
    assert (told["ok"], told["seq"], told["begins_after"], told["checkpoint"]) == (True, 4, 0, 4)
    assert (told["gateway"], told["differences"]) == (None, [])
    assert "book" not in json.loads(verify(home, capsys, "--json")[1])


def test_a_checkpoint_that_was_changed_is_found_out(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Each difference is one plain line, and the status is 1, though the log itself is sound."""
    file = BookFile(home.book)
    loaded = file.load()
    assert loaded is not None
    book, head = loaded
    key = ("client/bot", "USD", 86_400)
    (slot,) = book.windows[key].slots
    book.windows[key].add(slot, -book.windows[key].slots[slot])
    book.halts[HaltScope("bot")] = Halt(HaltScope("bot"), "r", "ann", 1)
    book.placed.close(("main", "OA"))
    file.begin(book.take_changes(head, whole=True))
    while not file.step():
        pass
    file.close()
    status, out = verify(home, capsys, "--book")
    assert status == 1
    assert verify(home, capsys)[0] == 0
    lines = out.splitlines()
    assert lines[-5:-2] == [
        "client/bot, USD in 86400 s: the log has it, and the checkpoint does not",
        "order OA of account main: the log has it, and the checkpoint does not",
        "halt of client bot: the checkpoint has it, and the log does not",
    ]
    assert lines[-1].endswith("THE LOG DOES NOT MAKE THE BOOK")


def test_a_checkpoint_of_another_log_is_named(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """A checkpoint whose record is another one than the log's is a difference, whatever it holds."""
    file = BookFile(home.book)
    loaded = file.load()
    assert loaded is not None
    file.begin(loaded[0].take_changes(ChainHead(loaded[1].seq, "ab" * 32), whole=True))
    while not file.step():
        pass
    file.close()
    status, out = verify(home, capsys, "--book")
    assert (status, "the checkpoint is of another log at record 4" in out) == (1, True)


def test_a_log_without_its_beginning_is_named(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Its first record is told, and it proves no book."""
    (path,) = home.audit.iterdir()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    status, out = verify(home, capsys, "--book")
    assert status == 1
    assert "the log begins at record 2, and no record in it says that those before were archived" in out
    assert "book (none): THE LOG DOES NOT MAKE THE BOOK" in out


def test_a_copy_has_no_checkpoint(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder and --book exclude each other; without a checkpoint the log makes the book all the same."""
    assert verify(home, capsys, str(home.audit), "--book")[0] == 2
    home.book.unlink()
    status, out = verify(home, capsys, "--book")
    assert status == 0
    assert "note: there is no checkpoint to compare with; the gateway makes it" in out
    assert out.endswith(": the log makes this book, and there was nothing to compare it with\n")
    assert not home.book.exists()


def test_a_damaged_checkpoint_leaves_what_the_log_proves(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """A checkpoint that does not read is named, is left as it is, and the log is folded all the same."""
    digest = json.loads(verify(home, capsys, "--book", "--json")[1])["book"]["digest"]
    with sqlite3.connect(home.book) as db:
        db.execute("UPDATE rows SET crc = crc + 1")
    db.close()
    before = home.book.read_bytes()
    status, out = verify(home, capsys, "--book")
    assert (status, home.book.read_bytes() == before) == (1, True)
    *_, unread, note, verdict = out.splitlines()
    assert unread.startswith(f"the checkpoint was not compared: {home.book}: the checkpoint is damaged")
    assert note == "note: no gateway was asked, because none runs on this home"
    assert verdict == f"book {digest}: the log makes this book, and the checkpoint was not compared"
    assert "damaged" in json.loads(verify(home, capsys, "--book", "--json")[1])["book"]["unread"]
