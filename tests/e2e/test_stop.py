"""How a gateway ends: by `signer stop`, and with its terminal; without a terminal SIGHUP reloads."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from signer.home.lock import holder, read_load
from signer.sandbox.server import RunningSandbox
from tests.harness.homes import MadeHome
from tests.harness.waiting import PATIENCE_S, until

TAKE_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes standard input the terminal that this process belongs to, as a shell in a terminal window is started."""


@pytest.fixture(name="made")
def _made(tmp_path: Path, shared_sandbox: RunningSandbox) -> MadeHome:
    made = MadeHome(tmp_path / "home", shared_sandbox)
    made.add_account(f"ends-{tmp_path.name[-20:].replace('_', '-')}"[:40].strip("-"))
    return made


@pytest.fixture(name="in_terminal")
def _in_terminal(made: MadeHome) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A gateway that is ready, and our end of the terminal that it belongs to."""
    ours, its = pty.openpty()
    command = [made.command()[0], "-c", TAKE_TERMINAL, *made.command("serve", "--json")]
    with subprocess.Popen(command, stdin=its, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        os.close(its)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"]
        yield process, ours
        process.kill()


def test_a_gateway_ends_with_its_terminal(made: MadeHome, in_terminal: tuple[subprocess.Popen[str], int]) -> None:
    """Closing the window stops it cleanly: it does not go on unseen, and the log says that it stopped."""
    process, ours = in_terminal
    os.close(ours)
    assert process.wait(PATIENCE_S) == 0
    assert holder(made.home.lock) is None
    assert made.records()[-1]["kind"] == "stop"


def test_a_reload_does_not_end_a_gateway_in_a_terminal(
    made: MadeHome, in_terminal: tuple[subprocess.Popen[str], int]
) -> None:
    """`signer reload` is taken up there as everywhere."""
    process, ours = in_terminal
    done = made.signer("reload")
    assert done.returncode == 0, done.stderr
    assert process.poll() is None
    os.close(ours)


def test_sighup_reloads_where_there_is_no_terminal(made: MadeHome) -> None:
    """The gateway reloads at a SIGHUP from a service manager, and goes on."""
    with subprocess.Popen(
        made.command("serve", "--json"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"]
        before = read_load(made.home.state)
        process.send_signal(signal.SIGHUP)
        until(lambda: read_load(made.home.state) != before, "the reload")
        assert process.poll() is None

        done = made.signer("stop", "--reason", "new hardware")
        assert (done.returncode, done.stdout.split()[:3]) == (0, ["The", "gateway", "on"]), done.stderr
        assert process.wait(PATIENCE_S) == 0
    (told,) = made.records(kind="operator", act="stop")
    assert (told["stage"], told["reason"]) == ("begun", "new hardware")
    assert holder(made.home.lock) is None
    again = made.signer("stop")
    assert again.returncode == 3
    assert "no gateway runs on this home" in again.stderr
