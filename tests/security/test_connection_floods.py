"""Threat: whoever can reach a listener takes all connections, with or without a TLS handshake (*Must hold* 10).

Connections are counted as they are accepted; what is over a share is closed at once and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import pytest
import uvloop

from signer.errors import ConfigError
from signer.home.settings import Config
from signer.serving.accepting import Acceptor
from signer.serving.descriptors import descriptors_needed, require_descriptors
from signer.serving.edge import Sources
from signer.serving.shares import ConnectionPlace, ConnectionShares
from signer.tls.authority import server_name
from signer.tls.authority import utc_now as utc
from signer.tls.folder import TlsFolder

SHARE = 6
CONFIG = Config.model_validate({"accounts": {"main": {}}})


class Kept(asyncio.Protocol):
    """A connection that says hello, and stays until the other side ends it."""

    def __init__(self, place: ConnectionPlace) -> None:
        self._place = place

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(b"hello")  # uvloop's is one in all but its class

    def connection_lost(self, exc: Exception | None) -> None:
        self._place.leave()


class Door:
    """A listener with its shares, as the worker makes it."""

    def __init__(self, shares: ConnectionShares, number: int, tls: ssl.SSLContext | None, *proxies: str) -> None:
        self.shares = shares
        self.refused: Counter[str] = Counter()
        self._sock = socket.create_server(("127.0.0.1", 0))
        self._address = self._sock.getsockname()
        self._stack = ExitStack()
        self._acceptor = Acceptor(
            self._sock,
            number,
            shares,
            Kept,
            sources=Sources(proxies),
            on_refused=lambda bound, source: self.refused.update([f"{bound} {source}"]),
            tls=tls,
            handshake_s=0.2,
        )

    def knock(self, source: str = "127.0.0.1") -> socket.socket:
        """A new connection."""
        return self._stack.enter_context(socket.create_connection(self._address, 10, (source, 0)))

    async def hears(self, caller: socket.socket) -> bytes:
        """What the door says first; nothing if it closes."""
        caller.setblocking(False)
        try:
            return await asyncio.get_running_loop().sock_recv(caller, 64)
        except ConnectionError:
            return b""

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *raised: object) -> None:
        """Hang up, and listen no more."""
        self._stack.close()
        self._acceptor.stop()
        self._sock.close()


def on_uvloop(work: Callable[[], Awaitable[None]]) -> None:
    """Run ``work`` on the event loop that the gateway has."""

    async def run() -> None:
        await work()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def descriptors() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> ssl.SSLContext | None:
    """What the listener speaks."""
    if request.param == "plain":
        return None
    folder = TlsFolder(tmp_path / "tls")
    folder.create([server_name("gateway.test")], "test", utc(1_795_435_200_000_000), replace=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder.leaf)
    return context


def test_what_is_over_a_share_is_closed_at_once_and_leaks_nothing(tls: ssl.SSLContext | None) -> None:
    """Connections over a share are closed before a handshake, from any address of loopback, and each is counted."""

    async def flood() -> None:
        with Door(ConnectionShares(100, SHARE, 1), 0, tls) as door:
            within = [door.knock(f"127.0.{number}.1") for number in range(SHARE)]
            while door.shares.total < SHARE:
                await asyncio.sleep(0)
            for caller in within if tls is None else ():
                assert await door.hears(caller) == b"hello"
            assert await door.hears(door.knock()) == b""  # by now all have what they need
            before = descriptors()
            for number in range(50):
                caller = door.knock(f"127.1.{number}.1")
                assert await door.hears(caller) == b""
                caller.close()
            assert door.refused == {"connections_per_source loopback": 51}
            assert descriptors() == before

    on_uvloop(flood)


def test_a_handshake_that_does_not_come_gives_its_place_back(tmp_path: Path) -> None:
    """A handshake that is late or rubbish ends at its deadline, and its place and descriptor are free again."""
    folder = TlsFolder(tmp_path / "tls")
    folder.create([server_name("gateway.test")], "test", utc(1_795_435_200_000_000), replace=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder.leaf)

    async def slow() -> None:
        with Door(ConnectionShares(100, SHARE, 1), 0, context) as door:
            left = []
            for _ in range(3):
                silent = [door.knock() for _ in range(SHARE - 1)]
                rubbish = door.knock()
                rubbish.sendall(b"GET / HTTP/1.1\r\n\r\n")
                for caller in [rubbish, *silent]:
                    while await door.hears(caller):  # an alert of TLS may come first
                        pass
                    caller.close()
                while door.shares.total:
                    await asyncio.sleep(0)
                left.append(descriptors())
            assert left[1] == left[2]  # the event loop took one of its own in the first round
            assert not door.refused

    on_uvloop(slow)


def test_a_proxys_connections_are_of_many() -> None:
    """A reverse proxy that is named in the settings has no share of a source: only the total bounds it."""

    async def proxied() -> None:
        with Door(ConnectionShares(2 * SHARE, 1, 1), 0, None, "127.0.0.9/32") as door:
            for _ in range(2 * SHARE):
                assert await door.hears(door.knock("127.0.0.9")) == b"hello"
            assert await door.hears(door.knock("127.0.0.9")) == b""
            assert door.refused == {"max_connections a proxy": 1}

    on_uvloop(proxied)


@pytest.mark.parametrize("listeners", [2, 3, 5])
def test_a_listener_that_is_flooded_leaves_the_others_their_part(listeners: int) -> None:
    """Whatever all others take first, each gets its part of the half that is kept."""
    limit = 60
    shares = ConnectionShares(limit, limit, listeners)
    taken = 0
    for flooded in range(listeners - 1):
        while not shares.refusal(flooded, f"10.0.0.{flooded}"):
            shares.enter(flooded, f"10.0.0.{flooded}")
            taken += 1
    for _ in range(limit // 2 // listeners):
        assert shares.refusal(listeners - 1, "10.9.9.9") == ""
        shares.enter(listeners - 1, "10.9.9.9")
        taken += 1
    assert shares.refusal(listeners - 1, "10.9.9.9") == "max_connections"
    assert taken == shares.total <= limit


def test_a_place_is_given_back_once() -> None:
    """A second end of the same connection frees nothing, and callers who have gone are forgotten."""
    shares = ConnectionShares(2, 1, 1)
    place = shares.enter(0, "10.0.0.1")
    assert shares.refusal(0, "10.0.0.1") == "connections_per_source"
    place.leave()
    place.leave()
    assert shares.total == 0
    assert not shares._sources


@contextmanager
def limited(soft: int) -> Iterator[None]:
    """A soft limit of descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_start_raises_the_soft_limit_to_what_it_needs() -> None:
    """The start raises a soft limit that is too low to what it needs, and leaves a higher one."""
    needed = descriptors_needed(CONFIG)
    assert needed > CONFIG.gateway.max_connections
    for soft in (256, needed + 1):
        with limited(soft):
            require_descriptors(CONFIG, Path("signer.toml"))
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == max(soft, needed)


def test_a_system_that_grants_too_few_is_refused_by_name(tmp_path: Path) -> None:
    """The start says how many it needs, and what to set; it does not begin to serve."""
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))\n"
        "from pathlib import Path\nfrom signer.serving.descriptors import require_descriptors\n"
        "from signer.home.settings import Config\n"
        "require_descriptors(Config.model_validate({'accounts': {'main': {}}}), Path('signer.toml'))"
    )
    # Root may raise its hard limit; whoever may not is refused.
    drop = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*drop, sys.executable, "-c", program], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    needed = descriptors_needed(CONFIG)
    assert ConfigError.__name__ in done.stderr
    assert f"signer.toml: these settings need {needed} file descriptors, and the system grants 300" in done.stderr
    assert f"LimitNOFILE={needed}" in done.stderr
