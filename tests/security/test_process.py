"""Threat: a process is looked into. What dumps, tracers, profilers and readers of ``/proc`` and of memory find there.

*Must hold* 2: no secret in an error, repr, traceback, core dump or process list. A thief of memory (a root, a swap, a
cold boot) is searched for too: pieces of each secret are looked for in every page that its processes can read, which
asks more than a whole secret in one place.
"""

from __future__ import annotations

import base64
import cProfile
import ctypes
import faulthandler
import io
import os
import pstats
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from signer.home.lock import RELOAD, read_load
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import from_file
from signer.model import Algorithm
from tests.harness.bots import AHEAD_NS, LIMIT, Bot, Nonces
from tests.harness.gateways import RunningGateway
from tests.harness.rig import Rig
from tests.harness.stores import MESSAGE
from tests.harness.waiting import until
from tests.harness.wire import ask

NOBODY = 65534
PIECE = 16
"""Bytes of a secret, or of its text, that must not be found: many a freed copy is half overwritten."""
EMPTY = re.compile(rb"\0{4096,}")
CANARY_VARIABLE = "PIPELINE_DEPLOY_TOKEN"
CANARY = "glpat-a-token-that-only-a-pipeline-needs"
READABLE_BY_ROOT_ALONE = ("environ", "mem", "maps", "fd")
MIB = 2**20


@dataclass(frozen=True)
class Hidden:
    """Secrets in pieces, by name."""

    pieces: Mapping[str, frozenset[bytes]]

    @classmethod
    def of(cls, secrets: Mapping[str, bytes]) -> Hidden:
        """Each secret as it is, in base64 and in hex, cut into pieces: in 31 bytes of one there is a whole one."""
        return cls({name: frozenset(_cut(raw)) for name, raw in secrets.items()})

    def seen(self, text: bytes) -> list[str]:
        """The names of those of which a piece is in ``text``."""
        return [name for name, pieces in self.pieces.items() if any(piece in text for piece in pieces)]


def _cut(raw: bytes) -> Iterator[bytes]:
    for text in (raw, base64.b64encode(raw), raw.hex().encode()):
        for start in range(0, len(text) - PIECE + 1, PIECE):
            yield text[start : start + PIECE]


def memory_of(pid: int) -> bytes:
    """All that a process has in memory, but for what it maps of files and cannot write. For who may trace it: root."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, _, _, inode, *name = line.split(maxsplit=5)
            of_a_file = inode != "0" and "w" not in rights
            if "r" not in rights or of_a_file or name[:1] in (["[vvar]"], ["[vvar_vclock]"], ["[vsyscall]"]):
                continue
            begin, end = (int(one, 16) for one in place.split("-"))
            memory.seek(begin)
            found.append(EMPTY.sub(bytes(PIECE), memory.read(end - begin) or b""))
    return b"".join(found)


def may_trace(pid: int) -> bool:
    """Whether we are somebody from whom nothing of a process can be kept."""
    try:
        Path(f"/proc/{pid}/mem").open("rb", 0).close()
    except PermissionError:
        return False
    return True


@dataclass
class Watched:
    """A gateway of its own with secrets of its own, one of its bots, and what must not be seen of them."""

    rig: Rig
    gateway: RunningGateway
    bot: Bot
    hidden: Hidden

    @property
    def processes(self) -> dict[str, int]:
        """Master and worker."""
        (worker,) = self.gateway.workers()
        return {"master": self.gateway.process.pid, "worker": worker}

    def place_orders(self) -> None:
        """Good ones, refused ones, and a failed login."""
        for fields in ({}, {"volume": "9"}, {"pair": "NONE"}):
            answer = ask(self.gateway.url, self.bot.request("AddOrder", {**LIMIT, **fields}))
            assert answer is not None
            assert bool(answer.errors) == bool(fields)
        stranger = Bot("stranger", self.bot.api_key, base64.b64encode(bytes(64)).decode())
        answer = ask(self.gateway.url, stranger.request("Balance"))
        assert answer is not None
        assert answer.errors == ["EAPI:Invalid signature"]


@pytest.fixture(scope="module")
def watched(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Start a gateway with its passphrase in the environment, beside a variable of somebody else's."""
    bot = rig.bot("narrow")
    own, made = rig.copied(tmp_path_factory.mktemp("process"))
    own.use_real_argon2id()  # its memory is searched too
    home = own.home
    text = home.passphrase.read_bytes().strip()
    real, virtual = (base64.b64decode(one.api_secret) for one in (made, bot))
    hidden = Hidden.of({"real secret": real, "virtual secret": virtual, "passphrase": text, "a token": CANARY.encode()})
    aside = home.passphrase.rename(home.folder.parent / "passphrase")
    given = {"SIGNER_PASSPHRASE": text.decode(), CANARY_VARIABLE: CANARY, "HTTPS_PROXY": "http://x:1"}
    gateway = RunningGateway(own, environment=given)
    watched = Watched(rig, gateway, bot, hidden)
    watched.place_orders()
    yield watched
    gateway.stop()
    aside.unlink()


def test_the_search_finds_what_it_looks_for(watched: Watched) -> None:
    """Half of a secret in each spelling, and one in a process's memory: the tests below can fail."""
    raw = os.urandom(64)
    hidden = Hidden.of({"it": raw})
    for spelled in (raw, base64.b64encode(raw), raw.hex().encode()):
        assert hidden.seen(b"x" + spelled[17:48] + b"y") == ["it"]
    assert hidden.seen(os.urandom(4096)) == []
    if not may_trace(watched.gateway.process.pid):
        return
    code = "import sys; kept = sys.stdin.buffer.readline(); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(base64.b64encode(raw) + b"\n")
        child.stdin.flush()
        assert child.stdout.readline()
        assert hidden.seen(memory_of(child.pid)) == ["it"]


@pytest.mark.parametrize("who", ["master", "worker"])
def test_no_file_of_proc_shows_a_secret(watched: Watched, who: str) -> None:
    """A reader whom the kernel lets in finds neither the passphrase nor variables of no use to the gateway."""
    folder = Path(f"/proc/{watched.processes[who]}")
    names = ["cmdline", "comm", "status", "limits"]
    if may_trace(watched.processes[who]):
        names += ["environ", "maps", "stack", "auxv"]
    for name in names:
        assert watched.hidden.seen((folder / name).read_bytes()) == []


@pytest.mark.parametrize("who", ["master", "worker"])
def test_the_environment_is_forgotten(watched: Watched, who: str) -> None:
    """What is not on the short list is blank, a proxy as well as a token; what is on it is as it was."""
    pid = watched.processes[who]
    if not may_trace(pid):
        return
    shown = dict(
        part.split("=", 1) for part in Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0") if "=" in part
    )
    assert {shown[name] for name in ("SIGNER_PASSPHRASE", CANARY_VARIABLE, "HTTPS_PROXY")} == {""}
    assert shown["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("who", ["master", "worker"])
def test_nobody_else_looks_into_a_process(watched: Watched, who: str) -> None:
    """What ``/proc`` has of its memory belongs to root; another user is refused by the kernel, nor can he trace it."""
    pid = watched.processes[who]
    for name in READABLE_BY_ROOT_ALONE:
        assert Path(f"/proc/{pid}/{name}").stat().st_uid == 0, "not dumpable: root's, whoever runs it"
    refused = as_another_user(lambda: _refusals(pid))
    assert refused == " ".join((*READABLE_BY_ROOT_ALONE, "ptrace"))


def _refusals(pid: int) -> str:
    refused = []
    for name in READABLE_BY_ROOT_ALONE:
        path = Path(f"/proc/{pid}/{name}")
        try:
            any(path.iterdir()) if name == "fd" else path.open("rb", 0).read(1)
        except PermissionError:
            refused.append(name)
    if ctypes.CDLL(None, use_errno=True).ptrace(16, pid, 0, 0) == -1:  # PTRACE_ATTACH
        refused.append("ptrace")
    return " ".join(refused)


def as_another_user(what: Callable[[], str]) -> str:
    """What a child says that is nobody if we are root, else another process of our own user: not even that gets in."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        os.write(writing, what().encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        answer = told.read()
    os.waitpid(child, 0)
    return answer


@pytest.mark.parametrize("without", ["", "limit", "dumpable"])
def test_a_crash_leaves_no_core(watched: Watched, tmp_path: Path, without: str) -> None:
    """Killed where a core would be written, a process of ours writes none; each of the two guards is enough, but that
    only the second one stops a core that goes to a program's pipe (core(5))."""
    disabled = {"": "", "limit": "resource.setrlimit = nothing", "dumpable": "ctypes.CDLL = nothing"}[without]
    code = (
        "import ctypes, os, resource, sys; from unittest.mock import MagicMock as nothing; "
        f"from signer.serving.hardening import close_off; {disabled}\n"
        "close_off(); os.chdir(sys.argv[1]); os.kill(os.getpid(), 11)"
    )
    status = crashed([sys.executable, "-c", code, str(tmp_path)])
    assert os.WTERMSIG(status) == signal.SIGSEGV
    piped = Path("/proc/sys/kernel/core_pattern").read_text().startswith("|")
    assert not os.WCOREDUMP(status) or (piped and without == "dumpable")
    assert list(tmp_path.iterdir()) == []
    for pid in watched.processes.values():
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]


def crashed(command: list[str]) -> int:
    """How a command ended that may dump as large a core as this machine allows: its wait status."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        child = subprocess.Popen(command)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    _, status = os.waitpid(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return status


@pytest.mark.parametrize("who", ["master", "worker"])
def test_no_piece_of_a_secret_is_left_in_memory(watched: Watched, who: str) -> None:
    """A root reads all of it, after a start, orders, and a reload, which opens every secret again: the handles sign,
    and of no secret a piece of 16 bytes is there."""
    if not may_trace(watched.processes[who]):
        return
    before = read_load(watched.gateway.made.home.state)
    watched.gateway.process.send_signal(RELOAD)
    until(lambda: read_load(watched.gateway.made.home.state) != before, "the reload")
    watched.place_orders()
    assert watched.hidden.seen(memory_of(watched.processes[who])) == []


def test_a_reborn_worker_is_as_closed(watched: Watched) -> None:
    """The new worker's memory is locked, and its environment and secrets are forgotten."""
    before = watched.processes["worker"]
    os.kill(before, signal.SIGKILL)
    until(lambda: watched.gateway.workers() not in ([], [before]), "another worker")
    until(lambda: ask_ready(watched), "an answer")
    Nonces.ahead += AHEAD_NS
    watched.place_orders()
    pid = watched.processes["worker"]
    assert (_locked_kib(pid) > 0) == (_locked_kib(watched.processes["master"]) > 0)
    if may_trace(pid):
        assert watched.hidden.seen(Path(f"/proc/{pid}/environ").read_bytes() + memory_of(pid)) == []


def ask_ready(watched: Watched) -> bool:
    """Whether the gateway would take an order."""
    try:
        answer = ask(watched.gateway.url, b"GET /-/ready HTTP/1.1\r\nHost: gateway\r\n\r\n")
    except OSError:
        return False
    return answer is not None and answer.status == 200


def _locked_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmLck:")).split()[1])


def test_commands_that_need_no_secret_have_none(watched: Watched) -> None:
    """The memory of `status`, `audit verify` and `reload`, each stopped at its end beside a gateway: the key store is
    not opened, though the passphrase lies where it would be found."""
    if not may_trace(watched.gateway.process.pid):
        return
    home = watched.gateway.made.home
    found = Path(shutil.copy2(home.folder.parent / "passphrase", home.passphrase))
    try:
        for command in (["status"], ["audit", "verify"], ["reload"]):
            assert watched.hidden.seen(_memory_at_end(home.folder, command)) == []
    finally:
        found.unlink()


def _memory_at_end(home: Path, arguments: list[str]) -> bytes:
    """The memory of a command that has done all it does, and waits to be looked at."""
    code = (
        "import sys\nfrom signer.cli import main\nfrom signer.serving.hardening import close_off\n"
        "close_off(); main.main(sys.argv[1:]); print('done', file=sys.stderr, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, "--home", str(home), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe) as child:
        assert child.stderr is not None
        while (line := child.stderr.readline()) != b"done\n":
            assert line, arguments
        return memory_of(child.pid)


def test_the_sandbox_has_its_own_secrets_alone(watched: Watched) -> None:
    """The exchange's process knows the real key, which it made; never the virtual one, nor the passphrase."""
    pid = watched.rig.sandbox._process.pid
    if may_trace(pid):
        assert set(watched.hidden.seen(memory_of(pid))) <= {"real secret"}
        sandbox = Hidden.of({"its own": watched.rig.sandbox.api_secret.encode()})
        assert sandbox.seen(memory_of(pid)) == ["its own"], "the search does not reach it"


def test_a_debug_dump_shows_work_and_no_secret(watched: Watched) -> None:
    """SIGUSR1 shows the stacks of threads and tasks, lanes and versions, of master and worker; both go on."""
    before, processes = len(watched.gateway.log()), watched.processes
    watched.gateway.process.send_signal(signal.SIGUSR1)
    lines = [
        "dump: master ",
        "in handle_usr1",
        "dump: worker ",
        "in _work",
        "lane own-key: 0 under way",
        "Recovery.run:",
        "LifespanManager",
    ]
    until(lambda: all(line in watched.gateway.log()[before:] for line in lines), "the dumps of both")
    shown = watched.gateway.log()[before:]
    assert len(shown) < 64 * 1024
    assert watched.hidden.seen(shown.encode()) == []
    assert watched.processes == processes
    watched.place_orders()


async def test_a_profile_and_a_stack_of_a_run_that_signs_show_no_secret(watched: Watched) -> None:
    """What cProfile and faulthandler write down while a store is opened and a key signs."""
    home = watched.rig.home
    hidden = Hidden.of(
        {"real": base64.b64decode(watched.rig.sandbox.api_secret), "passphrase": home.passphrase.read_bytes().strip()}
    )
    with cProfile.Profile() as profile, tempfile.TemporaryFile() as stacks:
        key = FileKeyStore.open(home.keys, from_file(home.passphrase)).signing_key("real-key", Algorithm.HMAC_SHA512)
        assert len(await key.sign(MESSAGE)) == 64
        faulthandler.dump_traceback(stacks)
        stacks.seek(0)
        shown = stacks.read()
    text = io.StringIO()
    pstats.Stats(profile, stream=text).print_stats().print_callers()
    assert "signing_key" in text.getvalue()
    assert b"test_a_profile" in shown
    assert hidden.seen(shown + text.getvalue().encode()) == []
