"""The gateway lives under the systemd unit's filter of system calls, without capabilities or executable memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.units import DROP_INS, UNIT, confinement, settings
from tests.harness.bots import order
from tests.harness.exchanges import small_exchange
from tests.harness.homes import MadeHome

KERNEL = tuple(int(number) for number in os.uname().release.split(".")[:2])
UNIX_SOCKET = next(path for path in DROP_INS if path.stem == "unix-socket")


def test_an_order_goes_through_a_confined_gateway(tmp_path: Path) -> None:
    """TLS and plain listeners, the admin socket, a reload, an order, a clean stop: none needs more than is allowed."""
    confine = confinement(settings(UNIT)["Service"])
    with small_exchange() as sandbox:
        made = MadeHome(tmp_path / "home", sandbox)
        made.use_real_argon2id()
        made.add_account("confined")
        assert made.signer("tls", "init").returncode == 0
        made.listen("127.0.0.1:0", "tls://127.0.0.1:0")
        bot = made.add_client("bot", "confined", "trader")
        with subprocess.Popen(made.command("serve", "--json"), preexec_fn=confine, stdout=subprocess.PIPE) as gateway:  # noqa: PLW1509 - the child starts no thread
            assert gateway.stdout is not None
            try:
                url = json.loads(gateway.stdout.readline())["url"]
                assert bot.at(url).post("AddOrder", order(), 1).json()["error"] == []
                assert made.signer("reload").returncode == 0
                state = Path(f"/proc/{gateway.pid}/status").read_text()
                assert {"Seccomp:\t2", "NoNewPrivs:\t1", f"CapEff:\t{0:016x}"} <= set(state.splitlines())
            finally:
                gateway.terminate()
        assert gateway.returncode == 0
        assert len(made.orders("confined")) == 1


@pytest.mark.parametrize(
    ("forbidden", "command"),
    [
        ("to be traced", "import ctypes; assert ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0"),
        ("another owner of a file", "import os; os.chown('.', -1, os.getegid())"),
        ("another family of sockets", "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)"),
        ("code made as it runs", "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)"),
    ],
)
def test_the_confinement_of_these_tests_confines(forbidden: str, command: str, tmp_path: Path) -> None:
    """A program that asks for ``forbidden`` gets it outside, and is refused inside."""
    confine, program = confinement(settings(UNIT)["Service"]), [sys.executable, "-c", command]
    outside, inside = (
        subprocess.run(program, cwd=tmp_path, preexec_fn=each, capture_output=True, check=False)
        for each in (None, confine)
    )
    assert outside.returncode == 0, outside.stderr
    only_systemd = KERNEL < (6, 3) and "PROT_EXEC" in command  # before, nobody else can forbid it
    assert inside.returncode != 0 or only_systemd, f"{forbidden} was given"


@pytest.mark.parametrize(("files", "says"), [((UNIT,), UNIX_SOCKET.name), ((UNIT, UNIX_SOCKET), "")])
def test_unix_sockets_need_their_drop_in(files: tuple[Path, ...], says: str, tmp_path: Path) -> None:
    """The unit alone lets no socket be given to its group; a gateway that is told to names what does."""
    program = (
        "from pathlib import Path; from signer.serving.binding import require_bindable;"
        "from signer.home.listener import Listener;"
        f"require_bindable(Listener('unix', path='{tmp_path}/bots'), Path('signer.toml'))"
    )
    confine = confinement(settings(*files)["Service"])
    done = subprocess.run(
        [sys.executable, "-c", program], preexec_fn=confine, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == (not says), done.stderr
    assert says in done.stderr
