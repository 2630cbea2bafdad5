"""Starts everything that is measured, side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calls import Credential, new_credential
from benchmarks.gateway import gateway, make_home, unlock_seconds
from benchmarks.measuring import with_children
from benchmarks.processes import ended, free_port, wait_until_open
from benchmarks.upstream import nginx

CACHE = Path(".cache/bench")
GO_PEER = CACHE / "go-peer"
MITMDUMP = CACHE / "mitmproxy/bin/mitmdump"
GATEWAY = "signer"
NO_DISK = "signer, home in memory"
WIDE_LANE = "signer, lane_depth 16"
GO = "Go ReverseProxy"
MITMPROXY = "mitmproxy add-on"
FLASK = "Flask + requests"
DIRECT = "direct (nginx)"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a random name is made in it


@dataclass(frozen=True, slots=True)
class Field:
    """What runs: the contenders' URLs and processes by name, the client's credential, and the gateway's start."""

    origin: str
    urls: dict[str, str]
    processes: dict[str, list[int]]
    client: Credential
    home: Path
    ready_s: float
    unlock_s: float


@contextmanager
def started(folder: Path, memory: Path | None) -> Iterator[Field]:
    """Start all contenders that this machine has, on one upstream. ``folder`` is on the disk to measure.

    With ``memory`` (a folder on tmpfs) a second gateway has its home there, where a flush costs nothing.
    """
    client, real = new_credential(), new_credential()
    accounts = {"bench": ("main", client, real)}
    with ExitStack() as stack:
        origin = stack.enter_context(nginx(folder))
        urls, pids = {DIRECT: origin}, dict[str, int]()
        environment = {
            **os.environ,
            "CLIENT_KEY": client.api_key,
            "CLIENT_SECRET": client.api_secret,
            "REAL_KEY": real.api_key,
            "REAL_SECRET": real.api_secret,
            "ORIGIN": origin,
            "GOMAXPROCS": "1",  # as much processor time as a gateway process gets
        }
        for name, command in _peers(origin):
            port = free_port()
            here = {**environment, "LISTEN": f"127.0.0.1:{port}", "AUDIT": str(folder / f"{name.split()[0]}.audit")}
            words = [word.replace("PORT", str(port)) for word in command]
            quiet = subprocess.Popen(words, env=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.enter_context(ended(quiet))
            wait_until_open(port)
            urls[name], pids[name] = f"http://127.0.0.1:{port}", quiet.pid
        home = folder / "home"
        make_home(home, origin, accounts)
        make_home(folder / "wide", origin, accounts, "lane_depth = 16")
        homes = {GATEWAY: home, WIDE_LANE: folder / "wide"}
        if memory is not None:
            homes[NO_DISK] = memory / "home"
            make_home(homes[NO_DISK], origin, accounts)
        ready_s: list[float] = []
        for name, each in homes.items():
            running = stack.enter_context(gateway(each))
            urls[name], pids[name] = running.url, running.pid
            ready_s.append(running.ready_s)
        processes = {name: with_children(pid) for name, pid in pids.items()}
        yield Field(origin, urls, processes, client, home, ready_s[0], unlock_seconds(home))


def _peers(origin: str) -> Iterator[tuple[str, Sequence[str]]]:
    if GO_PEER.exists():
        yield GO, [str(GO_PEER)]
    else:
        print("bench: the Go peer is not built, it is left out")
    if MITMDUMP.exists():
        addon = "benchmarks/peers/mitmproxy_addon.py"
        mode = ["--mode", f"reverse:{origin}", "--listen-host", "127.0.0.1", "--listen-port", "PORT"]
        yield MITMPROXY, [str(MITMDUMP), "-q", *mode, "-s", addon]
    else:
        print("bench: mitmproxy is not installed, its add-on is left out")
    worker = ["--worker-class", "gthread", "--workers", "1", "--threads", "16", "--keep-alive", "75"]
    where = ["--bind", "127.0.0.1:PORT", "--no-control-socket"]
    yield FLASK, [sys.executable, "-m", "gunicorn", *worker, *where, "benchmarks.peers.flask_peer:app"]
