"""The contract of the marks, for every backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from signer.contracts import Marks
from signer.ledger.marks import SqliteMarks
from signer.model import ChainHead
from tests.unit.ledger.calls import InlineWorker

MOST = 2**64 - 1
"""The largest nonce."""


@pytest_asyncio.fixture(name="marks")
async def _marks(tmp_path: Path) -> AsyncIterator[Marks]:
    marks = SqliteMarks(tmp_path / "marks.db", InlineWorker(), patience_s=0)
    await marks.open()
    yield marks
    await marks.close()


async def test_there_are_none_at_first(marks: Marks) -> None:
    """A new store knows no mark and no record of a log."""
    assert await marks.marks() == {}
    assert await marks.head() is None


async def test_a_mark_is_raised_and_never_lowered(marks: Marks) -> None:
    """Marks are numbers of 64 bits, and each name has its own. They are compared as numbers, not as texts."""
    for at_least in (9, 10, 3):
        await marks.raise_mark("credential/main", at_least)
    await marks.raise_mark("client/bot", MOST)
    await marks.raise_mark("client/bot", MOST - 1)
    assert await marks.marks() == {"credential/main": 10, "client/bot": MOST}


async def test_marks_that_are_raised_at_once_are_all_kept(marks: Marks) -> None:
    """Many callers at the same time each find their own mark stored, in whatever order they come."""
    names = [f"client/bot-{number}" for number in range(50)]
    await asyncio.gather(*(marks.raise_mark(name, number) for number, name in enumerate(names, 1)))
    await asyncio.gather(*(marks.raise_mark("credential/main", number) for number in (5, 40, 7)))
    assert await marks.marks() == {name: number for number, name in enumerate(names, 1)} | {"credential/main": 40}


async def test_the_latest_head_of_the_log_is_kept(marks: Marks) -> None:
    """An older record does not take the place of a newer one, nor does another of the same number."""
    for head in (ChainHead(7, "aa"), ChainHead(9, "bb"), ChainHead(8, "cc"), ChainHead(9, "dd")):
        await marks.keep_head(head)
    assert await marks.head() == ChainHead(9, "bb")


async def test_what_was_stored_is_there_after_a_start(tmp_path: Path) -> None:
    """Marks and head outlive the process that stored them."""
    for started in range(2):
        marks = SqliteMarks(tmp_path / "marks.db", InlineWorker(), patience_s=0)
        await marks.open()
        if not started:
            await marks.raise_mark("credential/main", MOST)
            await marks.keep_head(ChainHead(7, "aa"))
        assert (await marks.marks(), await marks.head()) == ({"credential/main": MOST}, ChainHead(7, "aa"))
        await marks.close()
