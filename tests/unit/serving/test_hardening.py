"""What a process does so that it cannot be looked into."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from signer.home.settings import Config
from signer.serving import dump
from signer.serving.hardening import forget_variable, has_swap, lock_memory

HSM = {"kind": "pkcs11", "module": "/lib/hsm.so", "token": "it", "pin_file": "/pin"}


@pytest.mark.parametrize(
    ("text", "swaps"), [("Filename Type Size\n", False), ("Filename Type Size\n/dev/sda2 partition 1\n", True)]
)
def test_swap_is_found(tmp_path: Path, text: str, swaps: bool) -> None:
    """The kernel's table tells of swap below its head line; a table that cannot be read counts as swap."""
    (tmp_path / "swaps").write_text(text)
    assert has_swap(tmp_path / "swaps") == swaps
    assert has_swap(tmp_path / "none")


@pytest.mark.parametrize(("hard", "asked_under"), [(2**28, 0), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)])
def test_memory_is_not_locked_under_a_limit(monkeypatch: pytest.MonkeyPatch, hard: int, asked_under: int) -> None:
    """The soft limit is lowered while the kernel is asked, so that it agrees only where no later allocation can
    fail."""
    limits, asked = [(2**20, hard)], []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mlockall=lambda _: asked.append(limits[-1])))
    assert lock_memory()
    assert asked == [(asked_under, hard)]
    assert limits[-1] == (asked_under or 2**20, hard)


def test_a_variable_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is gone for Python and for the C library; a missing one is no error."""
    monkeypatch.setenv("SOME_TOKEN", "some token")
    forget_variable("SOME_TOKEN")
    forget_variable("SOME_TOKEN")
    assert "SOME_TOKEN" not in os.environ
    assert subprocess.run(["/usr/bin/env"], capture_output=True, check=True).stdout.count(b"SOME_TOKEN") == 0


def test_a_variable_that_stands_twice_is_forgotten_twice() -> None:
    """Both values of a variable that was given twice are gone from /proc."""
    code = (
        "from pathlib import Path; from signer.serving.hardening import forget_environment; forget_environment()\n"
        "print(Path('/proc/self/environ').read_bytes().count(b'a-token'))"
    )
    twice = (
        "import ctypes, os, sys; start, text = os.fsencode(sys.executable), ctypes.c_char_p * 4\n"
        "given = text(start, b'-c', os.fsencode(sys.argv[1]), None)\n"
        "ctypes.CDLL(None).execve(start, given, text(b'PATH=/bin', b'TOKEN=a-token', b'TOKEN=a-token', None))"
    )
    done = subprocess.run([sys.executable, "-c", twice, code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_what_is_needed_stays() -> None:
    """The list's variables and those named; nothing else, empty ones and those of one letter included."""
    code = (
        "import os; from signer.serving.hardening import forget_environment;"
        "forget_environment({'HSM'}); print({**os.environ})"
    )
    given = {"HSM": "1", "TZ": "UTC", "PATH": "/bin", "A": "", "B": "b", "TOKEN": "x=y", "LC_CTYPE": "C.UTF-8"}
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
    assert eval(done.stdout) == {"HSM": "1", "TZ": "UTC", "PATH": "/bin", "LC_CTYPE": "C.UTF-8"}  # noqa: S307


def test_an_hsm_names_its_variables() -> None:
    """The settings of a module that finds its own by the environment are kept, by default those of well-known ones."""
    named = {"stores": {"it": {**HSM, "environment": ["OURS"]}, "usual": HSM}, "accounts": {"main": {}}}
    assert Config.model_validate(named).variables >= {"OURS", "SOFTHSM2_CONF"}
    assert Config.model_validate({"accounts": {"main": {}}}).variables == frozenset()


async def test_tasks_that_wait_alike_are_one_line() -> None:
    """A thousand idle connections do not fill a dump; where each waits is told from the outside in, without values."""

    async def outer(secret: str) -> None:
        await inner(secret)

    async def inner(secret: str) -> None:
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(outer(f"canary {number}")) for number in range(1000)]
    await asyncio.sleep(0)
    (line,) = dump.waiting(tasks)
    assert line.startswith("1000 x ")
    places = [place.rpartition(":")[0].rpartition(".")[2] for place in line.split(" > ")]
    assert places == ["outer", "inner", "wait"]
    assert "canary" not in line
    for task in tasks:
        task.cancel()


def test_a_dump_is_bounded(capfd: pytest.CaptureFixture[str]) -> None:
    """A dump has a bound, however much there is to tell."""
    dump.say([f"line {number}" for number in range(10 * dump.MOST_LINES)])
    assert len(capfd.readouterr().err.splitlines()) == dump.MOST_LINES


def test_a_gateway_that_starts_survives_a_dump() -> None:
    """A gateway without an event loop yet shows its stacks and goes on."""
    code = (
        "import os; from signer.serving.dump import show_threads_on_signal; show_threads_on_signal()\n"
        f"def asking(secret): os.kill(os.getpid(), {int(signal.SIGUSR1)})\n"
        "asking('canary'); print('goes on')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "goes on\n"
    assert "in asking" in done.stderr
    assert "canary" not in done.stderr
