"""Brakes on a gateway in a process of its own that is stopped, or whose disk takes nothing, and after a restart."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from signer.cli.main import main
from signer.errors import HomeError
from signer.operator import braking
from signer.sandbox.server import RunningSandbox
from tests.harness.bots import AHEAD_NS, LIMIT, Bot, Nonces
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import MadeHome
from tests.harness.waiting import until
from tests.harness.wire import Wire

HALTED = ["EGeneral:Permission denied", "EGeneral:Policy halt: drill"]
REVOKED = ["EAPI:Invalid key"]
SMALL = {**LIMIT, "price": "20000", "volume": "0.001"}
CANCEL_ONLY = ["EService:Market in cancel_only mode", "EService:Policy cancel-only: drill"]
BRAKES = {
    "halt": (("halt", "--client", "BOT"), HALTED, "client BOT"),
    "halt of a pair": (("halt", "--pair", "xbt/usd"), HALTED, "pair XXBTZUSD"),
    "cancels only": (("halt", "--client", "BOT", "--cancel-only"), CANCEL_ONLY, "client BOT"),
    "revoke": (("clients", "revoke", "BOT"), REVOKED, ""),
}
"""The command, with BOT for the client's name, what an order is answered after it, and the halt in `status`."""


def command_of(brake: str, bot: Bot) -> list[str]:
    """The words of the command that makes the brake."""
    return [bot.name if word == "BOT" else word for word in BRAKES[brake][0]] + ["--reason", "drill"]


@pytest.fixture(name="made")
def _made(tmp_path: Path, shared_sandbox: RunningSandbox) -> MadeHome:
    made = MadeHome(tmp_path / "home", shared_sandbox)
    made.add_account(account_of(tmp_path))
    return made


def account_of(folder: Path) -> str:
    """An account of the test's own, at a sandbox that is others' too."""
    return f"b-{folder.name[-20:].replace('_', '-')}".strip("-")


def asked(bot: Bot) -> list[str]:
    """The errors that the bot's next order is answered with."""
    return list(bot.post("AddOrder", SMALL, int(Nonces.fresh())).json()["error"])


@contextmanager
def stopped(gateway: RunningGateway) -> Iterator[int]:
    """The worker's process is stopped, and goes on when the block ends, if it still is there."""
    (worker,) = gateway.workers()
    os.kill(worker, signal.SIGSTOP)
    until(lambda: " T " in Path(f"/proc/{worker}/stat").read_text(), "a stopped worker")
    try:
        yield worker
    finally:
        if worker in gateway.workers():
            os.kill(worker, signal.SIGCONT)


def filed(made: MadeHome) -> list[str]:
    """The brakes that wait to be recorded."""
    return [path.stem for path in made.home.brakes.glob("*.json")]


@pytest.mark.parametrize("brake", BRAKES)
def test_a_gateway_that_was_stopped_sends_nothing_when_it_goes_on(made: MadeHome, tmp_path: Path, brake: str) -> None:
    """The command says that the bot may still trade. The order that waited for the gateway is refused all the same."""
    (_, refused, _), account = BRAKES[brake], account_of(tmp_path)
    with running(made) as gateway:
        bot = gateway.client(account)
        assert asked(bot) == []
        before = len(made.arrivals(account))
        with stopped(gateway):
            wire = Wire(gateway.url)
            wire.send(bot.request("AddOrder", SMALL))
            done = made.process(*command_of(brake, bot))
            assert done.returncode == 5
            assert "THE BOT MAY STILL TRADE" in done.stderr
            assert "has not confirmed within 3 s" in done.stderr
            assert "it takes the brake up when it runs again" in done.stderr
        answer = wire.answer()
        wire.close()
        assert answer is not None
        assert answer.errors == refused
        assert len(made.arrivals(account)) == before
        until(lambda: not filed(made), "the brake on record")
        assert asked(bot) == refused
    (begun,) = (one for one in made.records(kind="operator", stage="begun") if "acted" in one)
    assert (begun["reason"], begun["uid"]) == ("drill", os.getuid())
    made.verify()


@pytest.mark.parametrize("brake", [name for name, (_, _, halt) in BRAKES.items() if halt])
def test_a_worker_that_is_born_again_honours_the_brake_of_a_dead_one(
    made: MadeHome, tmp_path: Path, brake: str
) -> None:
    """The worker is killed between the brake's file and its record: the next one refuses from its first call on."""
    (_, refused, shown), account = BRAKES[brake], account_of(tmp_path)
    with running(made) as gateway:
        bot = gateway.client(account)
        assert asked(bot) == []
        with stopped(gateway) as worker:
            assert made.process(*command_of(brake, bot)).returncode == 5
            os.kill(worker, signal.SIGKILL)
            until(lambda: gateway.workers() not in ([], [worker]) and gateway.get("/-/health"), "a worker reborn")
        Nonces.ahead += AHEAD_NS
        assert asked(bot) == refused
        until(lambda: not filed(made), "the brake on record")
    assert [halt["whom"] for halt in made.status()["halts"]] == [shown.replace("BOT", bot.name)]


@contextmanager
def no_bytes(pid: int) -> Iterator[None]:
    """The process can write to no file: each write fails with EFBIG."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def command_that_writes_nothing(made: MadeHome, *arguments: str) -> int:
    """The exit status of a command, in this process, to which the disk is read-only."""

    def unfiled(*_: object) -> None:
        raise HomeError("it cannot be written (Read-only file system)")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(braking, "file_brake", unfiled)
        return main(["--home", str(made.home.folder), *arguments])


def test_a_disk_that_takes_nothing_keeps_no_brake_from_acting(
    made: MadeHome, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A halt is in memory only, which is said; it is recorded once the disk takes it, and holds after a restart."""
    account = account_of(tmp_path)
    with running(made) as gateway:
        bot = gateway.client(account)
        assert asked(bot) == []
        before = len(made.arrivals(account))
        (worker,) = gateway.workers()
        with no_bytes(worker):
            assert command_that_writes_nothing(made, "halt", "--client", bot.name, "--reason", "drill") == 5
            said = capfd.readouterr().err
            assert "in effect in memory only, so a restart of the gateway ends it" in said
            assert "MAY STILL TRADE" not in said
            assert asked(bot) != []  # by the halt, or because its nonce cannot be stored
        assert len(made.arrivals(account)) == before
        until(lambda: made.records(kind="operator", act="halt", stage="done"), "the halt on record")
        assert asked(bot) == HALTED
    assert filed(made) == []
    Nonces.ahead += AHEAD_NS
    with running(made) as gateway:
        assert asked(bot.at(gateway.url)) == HALTED
        assert made.signer("resume", "--client", bot.name).returncode == 0
        assert asked(bot.at(gateway.url)) == []
    made.verify()


def test_a_halt_without_a_gateway_that_can_be_written_nowhere_fails(made: MadeHome) -> None:
    """It says so, and leaves nothing behind."""
    limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *made.command("halt", "--reason", "drill")]
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert done.stderr.count("\n") == 1
    assert "Halted" not in done.stderr
    assert filed(made) == []
    assert json.loads(made.signer("status", "--json").stdout)["halts"] == []
