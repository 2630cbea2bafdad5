"""Threat: a halt or a revocation waits for a disk or a log that hangs or fails, and the bot trades on.

*Must hold* 11. `tests/e2e/test_brakes.py` has the same with processes that are stopped and disks that take nothing.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from signer.audit import waiting
from signer.audit.disk import LocalFile
from signer.errors import HomeError
from signer.home.brakes import Brake, file_brake, new_id
from signer.home.layout import Home
from signer.operator import braking
from signer.operator.reading_book import read_book
from signer.serving.admin import ask
from signer.serving.clock import SystemClock
from tests.harness.bots import AHEAD_NS, LIMIT, Bot, Nonces
from tests.harness.inside import Inside, inside
from tests.harness.rig import ACCOUNT, Rig
from tests.harness.waiting import PATIENCE_S

REVOKED = ["EAPI:Invalid key"]
SMALL = {**LIMIT, "price": "20000", "volume": "0.001"}


def halted(reason: str) -> list[str]:
    """The answer to an order that a halt refuses."""
    return ["EGeneral:Permission denied", f"EGeneral:Policy halt: {reason}"]


def brake_of(act: str, client: str) -> Brake:
    """A brake of somebody's."""
    now_us = SystemClock().now_us()
    halt = Brake(new_id(now_us), "halt", client, "", "drill", "somebody", 4711, now_us)
    return halt if act == "halt" else replace(halt, act="revoke")


@asynccontextmanager
async def gateway(rig: Rig, folder: Path, bot: Bot) -> AsyncIterator[Inside]:
    """A gateway of its own that has answered the bot."""
    async with inside(rig.copied(folder)[0].home) as made:
        assert await made.call(bot, "Balance") == []
        yield made


async def until(seen: Callable[[], object]) -> None:
    """Wait for what the gateway in this process does by itself."""

    async def look() -> None:
        while not seen():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(look(), PATIENCE_S)


def acts(home: Home) -> list[dict[str, object]]:
    """The records of what operators did, oldest first."""
    lines = b"".join(path.read_bytes() for path in sorted(home.audit.glob("audit-*.jsonl"))).split(b"\n")[:-1]
    return [record for record in map(json.loads, lines) if record["kind"] == "operator"]


def no_files(home: Home) -> bool:
    """Whether no brake waits to be recorded."""
    return not list(home.brakes.glob("*.json"))


@contextmanager
def nothing_can_be_written(number: int = errno.EROFS) -> Iterator[None]:
    """No file of a brake and no record: as on a disk that has become read-only, unless it fails by another number."""

    def unfiled(*_: object) -> None:
        raise HomeError("it cannot be written (Read-only file system)")

    def unrecorded(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(braking, "file_brake", unfiled)
        patch.setattr(LocalFile, "append", unrecorded)
        yield


ACTS = pytest.mark.parametrize("act", ["halt", "revoke"])


def refused(act: str) -> list[str]:
    """The answer to an order after the brake."""
    return halted("drill") if act == "halt" else REVOKED


def on_record(made: Inside, act: str) -> list[str]:
    """The clients that are halted or revoked by the log."""
    with read_book(made.home) as book:
        return [halt.scope.client for halt in book.halts()] if act == "halt" else list(book.revoked())


@ACTS
async def test_a_brake_on_a_disk_that_takes_nothing_acts_and_says_what_it_lacks(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str], act: str
) -> None:
    """It is in force in memory; the command fails and says that a restart ends it; it is recorded once that can be."""
    bot = rig.bot("wide")
    async with gateway(rig, tmp_path, bot) as made:
        with nothing_can_be_written():
            if act == "halt":
                assert await made.signer("halt", "--client", bot.name, "--reason", "drill") == 5
            else:
                made.home.passphrase.write_text("not the passphrase of this store")
                assert await made.signer("clients", "revoke", bot.name, "--reason", "drill") == 4
            said = capfd.readouterr().err
            assert "in effect in memory only, so a restart of the gateway ends it: " in said
            with rig.nothing_arrives():
                assert await made.call(bot, "AddOrder", SMALL) == refused(act)
            assert on_record(made, act) == []
        await until(lambda: any(one.get("reason") == "drill" for one in acts(made.home)))
        await until(lambda: not made.wiring.brakes._owed)
        assert on_record(made, act) == [bot.name]
        assert await made.call(bot, "AddOrder", SMALL) == refused(act)


@contextmanager
def hung() -> Iterator[tuple[threading.Event, threading.Event]]:
    """A flush of the log hangs until the second event; the first says that it does."""
    begun, go, sync = threading.Event(), threading.Event(), LocalFile.sync

    def hanging_sync(file: LocalFile) -> None:
        begun.set()
        go.wait()
        sync(file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalFile, "sync", hanging_sync)
        patch.setattr(waiting, "LATE_S", 3600.0)  # however long the command takes, the order is not given up
        try:
            yield begun, go
        finally:
            go.set()


async def test_a_halt_does_not_wait_for_a_flush_that_hangs(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An order that waits in the flush is not sent when the flush ends; the halt is recorded then."""
    bot = rig.bot("wide")
    async with gateway(rig, tmp_path, bot) as made:
        with hung() as (begun, go):
            order = asyncio.create_task(made.call(bot, "AddOrder", SMALL))
            await until(begun.is_set)
            assert await made.signer("halt", "--client", bot.name, "--reason", "drill") == 0
            assert "in effect, not on record: " in capfd.readouterr().err
            with rig.nothing_arrives():
                go.set()
                assert await order == halted("drill")
        await until(lambda: no_files(made.home))
        assert [(one["act"], one["stage"]) for one in acts(made.home)] == [("halt", "begun"), ("halt", "done")]
        assert on_record(made, "halt") == [bot.name]


@ACTS
async def test_a_start_honours_a_brake_that_is_not_on_record(rig: Rig, tmp_path: Path, act: str) -> None:
    """It is in force at the first call, though the log takes no record; then it is recorded: who, when and why."""
    bot = rig.bot("wide")
    home = rig.copied(tmp_path)[0].home
    brake = brake_of(act, bot.name)
    file_brake(home.brakes, brake)
    with nothing_can_be_written(errno.ENOSPC):
        async with inside(home) as made:
            with rig.nothing_arrives():
                assert await made.call(bot, "AddOrder", SMALL) == refused(act)
    assert not no_files(home)
    Nonces.ahead += AHEAD_NS
    async with inside(home) as made:
        assert await made.call(bot, "AddOrder", SMALL) == refused(act)
        await until(lambda: no_files(home))
        first = acts(home)[0]
        told = {key: first[key] for key in ("id", "by", "uid", "client", "reason", "acted")}
        assert told == {
            "id": brake.id,
            "by": "somebody",
            "uid": 4711,
            "client": bot.name,
            "reason": "drill",
            "acted": brake.at_us,
        }
        assert on_record(made, act) == [bot.name]


async def test_a_file_is_seen_by_a_gateway_that_runs(rig: Rig, tmp_path: Path) -> None:
    """Within a moment, without a record and without an answer; from then on the halt needs no file."""
    bot = rig.bot("wide")
    async with gateway(rig, tmp_path, bot) as made:
        with nothing_can_be_written():
            brake = brake_of("halt", bot.name)
            file_brake(made.home.brakes, brake)
            await until(lambda: made.wiring.journal.halted(bot.name, ACCOUNT))
            (made.home.brakes / f"{brake.id}.json").unlink()
            made.wiring.brakes.look()
            assert made.wiring.journal.halted(bot.name, ACCOUNT)


async def test_a_damaged_file_halts_everybody_and_says_so(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """At the start, and while it runs; cancels pass; `resume --all` leaves it; to remove the file ends it."""
    bot = rig.bot("wide")
    home = rig.copied(tmp_path)[0].home
    home.brakes.mkdir(mode=0o700)
    damaged = home.brakes / f"{new_id(1)}.json"
    damaged.touch(0o600)
    async with inside(home) as made:
        named = f"brakes/{damaged.name} does not read"
        assert await made.call(bot, "AddOrder", SMALL) == halted(named)
        assert await made.call(bot, "CancelAll") == []
        assert [text for text in made.watch.heard if named in text and "remove it to end this" in text]
        assert await made.signer("status") == 0
        shown = capfd.readouterr().out
        assert f"{named}; remove what does not read" in shown
        assert "resume" not in shown
        await made.signer("resume", "--all")
        assert f"Still halted: everybody ({named})." in capfd.readouterr().err
        damaged.unlink()
        await until(lambda: not made.wiring.journal.halted(bot.name, ACCOUNT))
        damaged.write_text("garbage")
        await until(lambda: made.wiring.journal.halted(bot.name, ACCOUNT))


async def test_a_halt_that_has_ended_stays_so(rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It does not end while no record can be made; a file that a slow disk brings later brings nothing back."""
    bot = rig.bot("wide")
    async with gateway(rig, tmp_path, bot) as made:
        brake = brake_of("halt", bot.name)
        with nothing_can_be_written():
            told = await asyncio.to_thread(ask, made.home.admin, "brake", brake=asdict(brake))
            assert told == {"recorded": False}
            assert await made.signer("resume", "--client", bot.name) == 5
            assert made.wiring.journal.halted(bot.name, ACCOUNT) is not None
        capfd.readouterr()
        await until(lambda: not made.wiring.brakes._owed)
        assert await made.signer("resume", "--client", bot.name) == 0
        assert made.wiring.journal.halted(bot.name, ACCOUNT) is None
        file_brake(made.home.brakes, brake)
        await until(lambda: no_files(made.home))
        assert made.wiring.journal.halted(bot.name, ACCOUNT) is None
        assert on_record(made, "halt") == []


async def test_a_restored_key_store_does_not_bring_a_client_back(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor does a rotation; only a client that is added anew under the name passes."""
    bot, saved = rig.bot("wide"), tmp_path / "saved.json"
    async with gateway(rig, tmp_path / "home", bot) as made:
        assert await made.signer("keyfile", "backup", str(saved)) == 0
        assert await made.signer("clients", "revoke", bot.name) == 0
        assert await made.signer("keyfile", "restore", str(saved), "--older-than-now") == 0
        assert await made.call(bot, "Balance") == REVOKED
    async with inside(made.home) as again:
        assert await again.call(bot, "Balance") == REVOKED
        capfd.readouterr()
        assert await again.signer("clients", "list", "--json") == 0
        listed = {row["name"]: row["revoked"] for row in json.loads(capfd.readouterr().out)}
        assert listed[bot.name] is True
        assert await again.signer("clients", "rotate", bot.name) == 4
        assert await again.signer("clients", "revoke", bot.name) == 0
        add = ("clients", "add", bot.name, "--account", ACCOUNT, "--policy", "wide")
        assert await again.signer(*add) == 0
        clients = again.wiring.gateway.snapshot.clients.values()
        assert [client.info.revoked for client in clients if client.info.name == bot.name] == [False]
        assert await again.signer("clients", "rotate", bot.name, "--overlap", "1h") == 0
        clients = again.wiring.gateway.snapshot.clients.values()
        assert [client.info.revoked for client in clients if client.info.name == bot.name] == [False, False]
