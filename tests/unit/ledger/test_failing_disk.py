"""A disk that fails: nothing is held, nothing is lost, and the ledger recovers by itself."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from signer.errors import LedgerError, NotReserved
from signer.ledger import writer
from signer.ledger.sqlite import SqliteLedger
from signer.ledger.writer import LedgerWriter, Room
from signer.model import Halt
from tests.unit.ledger.calls import START_US, Breakable, InlineWorker, StillClock, charge, intent, used


@pytest.fixture(name="disk")
def _disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Breakable:
    disk = Breakable(tmp_path / "ledger.db")
    monkeypatch.setattr(writer, "connect", lambda _: disk)
    return disk


@pytest_asyncio.fixture(name="ledger")
async def _ledger(tmp_path: Path, disk: Breakable) -> AsyncIterator[SqliteLedger]:
    ledger = SqliteLedger(tmp_path / "ledger.db", StillClock(), InlineWorker(), patience_s=0)
    await ledger.open()
    yield ledger
    await ledger.close()


@pytest.mark.parametrize("broken", ["COMMIT", "BEGIN IMMEDIATE", "UPDATE state SET seen_us = ?"])
async def test_a_batch_that_cannot_be_stored_holds_nothing(ledger: SqliteLedger, disk: Breakable, broken: str) -> None:
    """Every caller of the batch is told, memory forgets what was counted, and the whole cap is there afterwards."""
    await ledger.reserve(intent(charge("10")))
    disk.broken = broken
    answers = await asyncio.gather(*(ledger.reserve(intent(charge("40"))) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LedgerError] * 3
    disk.broken = ""
    assert len(await ledger.open_intents()) == 1
    await ledger.reserve(intent(charge("90")))
    with pytest.raises(NotReserved):
        await ledger.reserve(intent(charge("1")))


async def test_a_release_that_fails_gives_nothing_back(ledger: SqliteLedger, disk: Breakable) -> None:
    """What could not be released is still held, until it is released again."""
    reservation = await ledger.reserve(intent(charge("100")))
    disk.broken = "COMMIT"
    with pytest.raises(LedgerError, match=r"ledger\.db: the ledger failed: disk I/O error; check"):
        await ledger.release(reservation)
    disk.broken = ""
    with pytest.raises(NotReserved):
        await ledger.reserve(intent(charge("1")))
    await ledger.release(reservation)
    assert await used(ledger) == 0


async def test_a_halt_that_fails_is_not_in_force(ledger: SqliteLedger, disk: Breakable) -> None:
    """Neither a halt nor a resume that could not be stored is believed."""
    disk.broken = "COMMIT"
    with pytest.raises(LedgerError):
        await ledger.halt(Halt("bot", "", "drill", "op", START_US))
    assert ledger.halted("bot", "main") is None
    disk.broken = ""
    await ledger.halt(Halt("bot", "", "drill", "op", START_US))
    disk.broken = "COMMIT"
    with pytest.raises(LedgerError):
        await ledger.resume("bot", "")
    assert ledger.halted("bot", "main") is not None


async def test_what_cannot_be_read_counts_as_halted(tmp_path: Path, disk: Breakable) -> None:
    """An operator's halt might be in a store that does not answer; once it answers, it is believed again."""
    written = LedgerWriter(tmp_path / "ledger.db", StillClock())
    disk.broken = "PRAGMA data_version"
    written.refresh()
    assert [halt.reason for halt in written.halts.values()] == ["the ledger cannot be read"]
    disk.broken = ""
    written.refresh()
    assert written.halts == {}
    written.close()


async def test_a_job_that_fails_halfway_is_undone_alone(tmp_path: Path, disk: Breakable) -> None:
    """What a refused caller wrote and counted is taken back; its neighbours' work stays."""
    written = LedgerWriter(tmp_path / "ledger.db", StillClock())

    def half(open_books: LedgerWriter) -> object:
        open_books.reserve(intent(charge("50")), None)
        raise LedgerError("halfway")

    first, refusal = written.serve([lambda books: books.reserve(intent(charge("50")), None), half])
    assert (first, type(refusal)) == (1, LedgerError)
    (second,) = written.serve([lambda books: books.reserve(intent(charge("50")), None)])
    assert isinstance(second, int)
    written.close()


async def test_a_full_disk(tmp_path: Path) -> None:
    """When nothing can be written, reserves fail with the hint; what was answered stays; with space it goes on."""
    ledger = SqliteLedger(tmp_path / "ledger.db", StillClock(), InlineWorker(), patience_s=0)
    await ledger.open()
    await ledger.reserve(intent(charge("10")))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(LedgerError, match="free space"):
            await ledger.reserve(intent(charge("10")))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await used(ledger) == 10
    await ledger.reserve(intent(charge("90")))
    assert len(await ledger.open_intents()) == 2
    await ledger.close()


async def test_what_uses_up_room_is_refused_before_nonces_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With few free pages and no room for more, orders are refused; marks and outcomes are stored; with room all is."""
    ledger = SqliteLedger(tmp_path / "ledger.db", StillClock(), InlineWorker(), patience_s=0)
    await ledger.open()
    before = await ledger.reserve(intent(charge("10")))
    monkeypatch.setattr(Room, "_disk_has", lambda _room, _size: False)
    monkeypatch.setattr(writer, "LOOK_EVERY", 1)
    monkeypatch.setattr(writer, "LEAST_PAGES", 10_000)
    await ledger.raise_mark("credential/x", 1)
    with pytest.raises(LedgerError, match="the disk is full; free some space"):
        await ledger.reserve(intent(charge("10")))
    await ledger.settle(before, ["OAAAAA-AAAAA-AAAAAA"])
    await ledger.raise_mark("credential/x", 7)
    assert (await ledger.marks())["credential/x"] == 7
    monkeypatch.setattr(writer, "LEAST_PAGES", 1)
    await ledger.raise_mark("credential/x", 8)
    await ledger.reserve(intent(charge("10")))
    await ledger.close()


async def test_the_database_keeps_free_pages_and_its_log_room(tmp_path: Path) -> None:
    """An open ledger has both, a closed one has spare room for the next start, and what it holds is not touched."""
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path, StillClock(), InlineWorker(), patience_s=0)
    await ledger.open()
    assert (tmp_path / "ledger.db-wal").stat().st_blocks * 512 >= writer.LOG_BYTES
    await ledger.reserve(intent(charge("10")))
    await ledger.close()
    assert (tmp_path / "ledger.db-spare").stat().st_blocks * 512 >= writer.SPARE_BYTES
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA freelist_count").fetchone()[0] >= writer.LEAST_PAGES
        assert db.execute("SELECT count(*) FROM ballast").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM reservations").fetchone() == (1,)
