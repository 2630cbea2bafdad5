"""A world in which api.kraken.com is this machine, for bots that know no other address. Run as a program of its own.

In a mount and network namespace of its own (``python -m tests.e2e.hard_coded namespace``) /etc/hosts says so and
port 443 is free. Where there are no namespaces (``hook``), Python's own resolver is told in the bot's process.
Prints what each bot saw as one JSON object.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from signer.sandbox.server import RunningSandbox, Settings
from tests.harness.bots import Bot
from tests.harness.gateways import running
from tests.harness.homes import MadeHome
from tests.unit.upstream.certificates import Authority

NAME = "api.kraken.com"
ORIGIN = f"https://{NAME}"
NODE = Path.home() / ".cache" / "signer" / "node" / "node_modules"
MS_BIND = 4096
SIOCSIFFLAGS, IFF_UP_AND_RUNNING = 0x8914, 0x41

SDK = """
import json, os
from kraken.exceptions import KrakenPermissionDeniedError
from kraken.spot import Funding, Market, Trade, User
keys = {"key": os.environ["KRAKEN_API_KEY"], "secret": os.environ["KRAKEN_API_SECRET"]}
try:
    Funding(**keys).withdraw_funds(asset="XBT", key="cold", amount=1)
    withdrawal = "sent"
except KrakenPermissionDeniedError:
    withdrawal = "refused"
txids = Trade(**keys).create_order("limit", side="buy", volume=0.01, pair="XBTUSD", price=20000)["txid"]
print(json.dumps({"balance": User(**keys).get_account_balance()["ZUSD"], "txids": txids, "withdrawal": withdrawal,
                  "ticker": list(Market().get_ticker("XBTUSD"))}))
"""
AIOHTTP = """
import aiohttp, asyncio, json
async def ask():
    async with aiohttp.ClientSession() as session, session.get("https://api.kraken.com/0/public/Time") as answer:
        return await answer.json()
print(json.dumps({"time": asyncio.run(ask())["result"]["unixtime"]}))
"""
NODE_BOT = """
const { Kraken } = require("node-kraken-api");
const kraken = new Kraken({ key: process.env.KRAKEN_API_KEY, secret: process.env.KRAKEN_API_SECRET });
kraken.balance().then(balance => console.log(JSON.stringify({ balance: balance.ZUSD })));
"""
REFUSED = """
import json, os
from kraken.spot import User
try:
    User(key=os.environ["KRAKEN_API_KEY"], secret=os.environ["KRAKEN_API_SECRET"]).get_account_balance()
except Exception as error:
    print(json.dumps({"raised": type(error).__name__}))
"""
HOOK = """
import socket
real = socket.getaddrinfo
def getaddrinfo(host, port, *more, **named):
    if (host, port) == ("api.kraken.com", 443):
        host, port = "127.0.0.1", PORT
    return real(host, port, *more, **named)
socket.getaddrinfo = getaddrinfo
"""


class Exchange:
    """The sandbox behind TLS, as the exchange is: proves by a certificate of ``authority`` that it has the name."""

    def __init__(self, authority: Authority, sandbox: RunningSandbox, address: str, port: int) -> None:
        self._context = authority.server(NAME)
        self._behind = sandbox.url.removeprefix("http://").split(":")
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._relay, address, port, ssl=self._context)
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*self._behind)
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer), return_exceptions=True)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.close()


class World:
    """The exchange, the way to it, and the homes and bots in between."""

    def __init__(self, folder: Path, kind: Literal["namespace", "hook"], stack: ExitStack) -> None:
        self.folder = folder
        self._hooked = kind == "hook"
        self._port = 0 if self._hooked else 443
        self.sandbox = stack.enter_context(RunningSandbox(Settings(tier="unlimited")))
        public, other = Authority(folder, "public"), Authority(folder, "other")
        self.exchange = Exchange(public, self.sandbox, "127.0.0.2", self._port)
        self.impostor = Exchange(other, self.sandbox, "127.0.0.3", self._port)
        os.environ["SSL_CERT_FILE"] = str(public.file)  # the public CAs, as far as the gateway knows

    def home(self, name: str, port: int, *resolve: str) -> MadeHome:
        """A home whose gateway bots reach by the exchange's name."""
        made = MadeHome(self.folder / name, self.sandbox)
        made.listen(f"tls://127.0.0.1:{self._port}")
        text = made.home.config.read_text()
        made.home.config.write_text(text.replace(f'public_origin = "{self.sandbox.url}"\n', ""))
        made.add_account(name, origin=f"{ORIGIN}:{port}" if self._hooked else ORIGIN, resolve=resolve)
        done = made.signer("tls", "init")
        assert done.returncode == 0, done.stderr
        return made

    @contextmanager
    def serving(self, made: MadeHome, policy: str = "trader") -> Iterator[Mapping[str, str]]:
        """Serve, and yield what a bot's environment must have."""
        with running(made) as gateway:
            bot: Bot = gateway.made.add_client("bot", made.store.credentials()[0].account, policy)
            gateway.reload()
            yield self._environment(bot, made, int(gateway.url.rpartition(":")[2]))

    def _environment(self, bot: Bot, made: MadeHome, port: int) -> Mapping[str, str]:
        own = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
        if self._hooked:
            hooks = self.folder / f"hook-{port}"
            hooks.mkdir(exist_ok=True)
            (hooks / "sitecustomize.py").write_text(HOOK.replace("PORT", str(port)))
            own["PYTHONPATH"] = str(hooks)
        return {
            **own,
            "KRAKEN_API_KEY": bot.api_key,
            "KRAKEN_API_SECRET": bot.api_secret,
            "CA": str(made.home.tls / "ca.pem"),
        }


def asked(program: list[str], trust: str, environment: Mapping[str, str]) -> Any:
    """What a bot printed, told by one variable which CA to trust, or how it failed."""
    own = {**environment, trust: environment["CA"]}
    done = subprocess.run(program, env=own, capture_output=True, text=True, check=False, timeout=60)
    return json.loads(done.stdout) if done.returncode == 0 else {"failed": done.stderr[-2000:]}


def seen(world: World, *, namespace: bool) -> dict[str, Any]:
    """What happens to each bot."""
    found: dict[str, Any] = {}
    made = world.home("pinned", world.exchange.port, "127.0.0.2")
    with world.serving(made) as environment:
        found["sdk"] = asked([sys.executable, "-c", SDK], "REQUESTS_CA_BUNDLE", environment)
        found["untrusting"] = asked([sys.executable, "-c", REFUSED], "NOTHING", environment)
        found["arrived"] = [arrival.path for arrival in made.arrivals("pinned", "")]
        found["orders"] = list(made.orders("pinned"))
        if namespace:
            found["aiohttp"] = asked([sys.executable, "-c", AIOHTTP], "SSL_CERT_FILE", environment)
            if (NODE / "node-kraken-api").is_dir() and shutil.which("node"):
                node = {**environment, "NODE_PATH": str(NODE)}
                found["node"] = asked(["node", "-e", NODE_BOT], "NODE_EXTRA_CA_CERTS", node)
    made = world.home("impostor", world.impostor.port, "127.0.0.3")
    with world.serving(made) as environment:
        found["impostor"] = asked([sys.executable, "-c", REFUSED], "REQUESTS_CA_BUNDLE", environment)
        found["arrived at the impostor"] = len(made.arrivals("impostor", ""))
    if namespace:
        done = world.home("unpinned", 443).process("serve")
        found["loop"] = {"status": done.returncode, "says": done.stderr}
    return found


def enter(folder: Path) -> None:
    """Inside fresh namespaces: loopback up, and our own /etc/hosts over the machine's."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_AND_RUNNING))
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {NAME}\n")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(str(hosts).encode(), b"/etc/hosts", None, MS_BIND, None):
        raise OSError(ctypes.get_errno(), "mount")


def main(kind: Literal["namespace", "hook"]) -> None:
    """Build the world, and print what was seen in it."""
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        if kind == "namespace":
            enter(folder)
        world = World(folder, kind, stack)
        print(json.dumps(seen(world, namespace=kind == "namespace")))  # noqa: T201


if __name__ == "__main__":
    main("namespace" if sys.argv[1] == "namespace" else "hook")
