"""`signer audit archive` and `verify --book` beside a running gateway."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from pathlib import Path

from signer.audit import close_journal, open_journal
from signer.audit.disk import LocalDisk, segments
from signer.home.layout import Home
from signer.ledger import open_marks
from signer.ledger.checkpoint import BookFile
from signer.sandbox.server import RunningSandbox
from tests.harness.bots import order
from tests.harness.gateways import running
from tests.harness.homes import MadeHome
from tests.unit.audit.archives import ended
from tests.unit.ledger.calls import START_US, StillClock


async def old_days(home: Home, days: int) -> None:
    """Runs of earlier days, each with a segment of its own."""
    for day in range(days):
        clock, marks = StillClock(), await open_marks(home)
        clock.us = START_US + day * 86_400_000_000
        journal = await open_journal(home, marks, BookFile(home.book), clock, print)
        await journal.record({**ended(f"old{day}", clock.us, "rejected"), "kind": "reconciled", "part": False})
        await close_journal(journal, marks)
        await marks.close()


def test_segments_are_archived_while_orders_pass(tmp_path: Path, shared_sandbox: RunningSandbox) -> None:
    """The gateway goes on, its book is the one of the log that is left, and a later start has the same caps."""
    made = MadeHome(tmp_path / "home", shared_sandbox)
    made.add_account("main")
    asyncio.run(old_days(made.home, 3))
    archive = ["audit", "archive", "--before", "2024-01-01", "--to", str(tmp_path / "archive")]
    with running(made) as gateway:
        bot = gateway.client("main")
        assert bot.post("AddOrder", order(), time.time_ns()).json()["error"] == []
        done = made.signer(*archive)
        assert done.returncode == 0, done.stderr
        assert bot.post("AddOrder", order(), time.time_ns()).json()["error"] == []
        book = compared(made)
        assert book["gateway"], book
        used = made.used(bot.name)
        assert used["orders"] == Decimal(2)
    assert [segment.number for segment in segments(LocalDisk(), tmp_path / "archive")] == [1, 2, 3]
    made.home.book.unlink()
    with running(made):
        assert made.used(bot.name) == used
        assert compared(made)["gateway"]


def compared(made: MadeHome) -> dict[str, object]:
    """What `verify --book` says of the book, which must find nothing."""
    done = made.signer("audit", "verify", "--book", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    book: dict[str, object] = json.loads(done.stdout)["book"]
    return book
