"""A gateway and its exchange, each a real process, and bots that sign by a few lines of their own.

What these tests ask is what an attacker can do from outside: so they speak to sockets, read files and processes, and
share no code with the gateway but the commands that set it up.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from signer.cli.main import main
from signer.cli.reload import reload_running
from signer.home.layout import Home
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import from_file
from signer.sandbox.arrivals import Arrival
from signer.sandbox.control_client import MadeKey
from signer.sandbox.server import RunningSandbox, Settings
from signer.secret import Secret

FORM = "application/x-www-form-urlencoded"
ACCOUNT = "main"
CREDENTIAL = "real-key"
OWN_KEY = "own-key"
ANSWER_S = 20.0
LIMIT = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "20000", "volume": "0.01"}
ASKED_BY_US = {"OpenOrders", "ClosedOrders", "QueryOrders", "OrderAmends", "GetApiKeyInfo"}
PUBLIC_OF_OURS = {"/0/public/Time", "/0/public/AssetPairs", "/0/public/AssetPairs?aclass_base=tokenized_asset"}
"""What a gateway asks by itself, at any moment: its clock and the pairs."""
PERMISSIONS = (
    "query-funds", "add-funds", "query-open-trades", "query-closed-trades", "modify-trades", "close-trades",
    "query-ledger", "export-data",
)  # fmt: skip
"""Of the real key: what the widest policy grants. Waived, since clients come and go."""
AHEAD_NS = 3_000_000_000
"""After a restart the gateway refuses what is less than two seconds above the last nonce (docs/ledger.md)."""

WIDE = """\
version = 1
permissions = [
  "query-funds", "add-funds", "query-open-trades", "query-closed-trades", "modify-trades", "close-trades",
  "query-ledger", "export-data",
]
pairs = ["XBT/USD", "ETH/USD", "XBT/EUR"]
sides = ["buy", "sell"]
order_types = [
  "market", "limit", "iceberg", "stop-loss", "take-profit", "stop-loss-limit", "take-profit-limit", "trailing-stop",
  "trailing-stop-limit", "settle-position",
]
time_in_force = ["GTC", "IOC", "GTD", "FOK"]
oflags = ["post", "fcib", "fciq", "nompp", "viqc"]
leverage = 5
close_orders = true
relative_prices = true
order_scope = "account"
uncapped = "the widest policy there can be, to see what even it does not open"
"""
NARROW = """\
version = 1
permissions = ["query-funds", "query-open-trades", "modify-trades", "close-trades"]
pairs = ["XBT/USD"]
sides = ["buy"]
order_types = ["market", "limit", "iceberg", "stop-loss", "stop-loss-limit", "trailing-stop"]
oflags = ["post", "viqc"]
close_orders = true
max_order_size = ["0.05 XBT"]
max_order_notional = ["1000 USD"]

[[cap]]
max_notional = "1500 USD"
window = "24h"
"""


class Nonces:
    """Nanoseconds that only rise."""

    last = 0
    ahead = 0

    @classmethod
    def fresh(cls) -> str:
        """The next one."""
        cls.last = max(cls.last + 1, time.time_ns() + cls.ahead)
        return str(cls.last)


@dataclass(frozen=True, slots=True)
class Bot:
    """A client: what it was given, and how it signs (docs/kraken.md §2a)."""

    name: str
    api_key: str
    api_secret: str = field(repr=False)

    def sign(self, path: str, nonce: str, body: bytes) -> str:
        """The API-Sign of ``body``."""
        message = path.encode() + hashlib.sha256(nonce.encode() + body).digest()
        return base64.b64encode(hmac.digest(base64.b64decode(self.api_secret), message, "sha512")).decode()

    def signed(self, path: str, fields: Mapping[str, str] | None = None, nonce: str = "") -> tuple[bytes, list[str]]:
        """A form body and the three header lines that go with it; a fresh nonce unless one is given."""
        nonce = nonce or Nonces.fresh()
        body = urlencode({"nonce": nonce, **(fields or {})}).encode()
        lines = [f"API-Key: {self.api_key}", f"API-Sign: {self.sign(path, nonce, body)}", f"Content-Type: {FORM}"]
        return body, lines

    def request(self, endpoint: str, fields: Mapping[str, str] | None = None, *lines: str, nonce: str = "") -> bytes:
        """A whole HTTP request for a private endpoint, with more header ``lines`` if given."""
        path = f"/0/private/{endpoint}"
        body, own = self.signed(path, fields, nonce)
        return http("POST", path, body, *own, *lines)


def http(method: str, target: str, body: bytes = b"", *lines: str) -> bytes:
    """A request's bytes, with a Content-Length that is true."""
    head = [f"{method} {target} HTTP/1.1", "Host: gateway", *lines, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode("latin-1") + body


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer as it came off the socket."""

    status: int
    head: bytes
    body: bytes

    @property
    def errors(self) -> list[str]:
        """Kraken's ``error`` array."""
        return list(json.loads(self.body)["error"])


class Wire:
    """A raw connection to the gateway."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), ANSWER_S)
        self._held = b""

    def send(self, data: bytes) -> None:
        """Put bytes on the wire. A peer that has closed already is what many of these tests expect."""
        with suppress(OSError):
            self.socket.sendall(data)

    def answer(self) -> Answer | None:
        """The next answer, or None if the gateway closed instead."""
        while b"\r\n\r\n" not in self._held:
            if not self._more():
                return None
        head, _, rest = self._held.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        self._held = rest
        while len(self._held) < length and self._more():
            pass
        body, self._held = self._held[:length], self._held[length:]
        return Answer(int(head.split()[1]), head, body)

    def closed(self) -> bool:
        """Whether the gateway ends the connection without another byte; waits for it."""
        return not self._held and not self._more()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            return False
        self._held += data
        return bool(data)


def ask(url: str, data: bytes) -> Answer | None:
    """What the gateway answers to these bytes on a connection of their own; None if it closes."""
    wire = Wire(url)
    try:
        wire.send(data)
        return wire.answer()
    finally:
        wire.close()


class Serving:
    """`signer serve` on a home, as a person would start it."""

    def __init__(self, home: Home, environment: Mapping[str, str] | None = None, *arguments: str) -> None:
        self.home = home
        self.log = home.folder.parent / "gateway.log"
        self._environment = {**os.environ, **(environment or {})}
        self._arguments = arguments
        self.url = ""

    def start(self) -> None:
        """Start it and wait until it is ready."""
        command = [sys.executable, "-m", "signer", "--home", str(self.home.folder), "serve", "--json"]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*command, *self._arguments], stdout=subprocess.PIPE, stderr=log, env=self._environment
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.url = json.loads(line)["url"]

    def stop(self) -> None:
        """Stop it cleanly."""
        self.process.terminate()
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def restart(self) -> None:
        """Stop and start again on the same home."""
        self.stop()
        Nonces.ahead += AHEAD_NS
        self.start()

    def workers(self) -> list[int]:
        """The processes that the gateway's master has started."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]


class Rig:
    """Exchange, gateway and bots."""

    def __init__(self, folder: Path, sandbox: RunningSandbox, settings: str = "") -> None:
        self.sandbox = sandbox
        self.home = Home(folder / "home")
        where = ("--origin", sandbox.url, "--listen", "127.0.0.1:0")
        assert main(["--home", str(self.home.folder), "init", "--no-input", *where]) == 0
        config = self.home.config.read_text().replace("[gateway]\n", f"[gateway]\n{settings}\n")
        config += 'tier = "unlimited"\n'
        waived = "".join(f'{word} = "for tests"\n' for word in PERMISSIONS)
        config += f"\n[waivers.{CREDENTIAL}]\n{waived}\n[waivers.{OWN_KEY}]\n{waived}"
        self.home.config.write_text(config)
        (self.home.policies / "wide.toml").write_text(WIDE)
        (self.home.policies / "narrow.toml").write_text(NARROW)
        self._store = FileKeyStore.open(self.home.keys, from_file(self.home.passphrase))
        real = Secret.from_base64(sandbox.api_secret, where="sandbox")
        self._store.add_credential(CREDENTIAL, ACCOUNT, sandbox.api_key, real, created_us=1)
        self.serving = Serving(self.home)

    @property
    def url(self) -> str:
        """Where bots connect."""
        return self.serving.url

    def policy(self, text: str) -> str:
        """The name of a new policy file with this text."""
        name = f"policy-{secrets.token_hex(4)}"
        (self.home.policies / f"{name}.toml").write_text(text)
        return name

    def bot(self, policy: str, name: str = "", **options: Any) -> Bot:
        """A new client under ``policy``, known to the gateway if it runs."""
        name = name or f"bot-{secrets.token_hex(4)}"
        api_key = base64.b64encode(secrets.token_bytes(42)).decode()
        raw = secrets.token_bytes(64)
        self._store.add_client(name, ACCOUNT, policy, api_key, Secret(raw), created_us=1, **options)
        reload_running(self.home)
        return Bot(name, api_key, base64.b64encode(raw).decode())

    def update(self, bot: Bot, **change: Any) -> None:
        """Change what is said of a client."""
        self._store.update_client(bot.name, **change)
        reload_running(self.home)

    def call(self, bot: Bot, endpoint: str, fields: Mapping[str, str] | None = None) -> list[str]:
        """One call on a connection of its own; the ``error`` array that answers it."""
        answer = ask(self.url, bot.request(endpoint, fields))
        assert answer is not None
        assert answer.status == 200
        return answer.errors

    def place(self, bot: Bot, **fields: str) -> str:
        """Place an order that must be accepted; its txid."""
        return str(self.result(bot, "AddOrder", {**LIMIT, **fields})["txid"][0])

    def result(self, bot: Bot, endpoint: str, fields: Mapping[str, str] | None = None) -> Any:
        """The ``result`` of a call that must be accepted."""
        answer = ask(self.url, bot.request(endpoint, fields))
        assert answer is not None
        assert not answer.errors, answer.errors
        return json.loads(answer.body)["result"]

    def place_by_hand(self, **fields: str) -> str:
        """An order of the account's owner, which signer never saw; its txid."""
        return str(self.sandbox.control.ask(self.sandbox.account, "AddOrder", **{**LIMIT, **fields})["txid"][0])

    def is_open(self, txid: str) -> bool:
        """Whether the exchange has it open."""
        return txid in self.sandbox.control.ask(self.sandbox.account, "OpenOrders")["open"]

    @contextmanager
    def nothing_arrives(self) -> Iterator[None]:
        """The block must not cause one private request at the exchange."""
        before = len(self.arrivals())
        yield
        assert [(a.path, a.body) for a in self.arrivals()[before:]] == []

    def arrivals_of_callers(self) -> Sequence[Arrival]:
        """Every request at the exchange, public ones too, in order, but for what the gateway asks for itself."""
        arrived = self.sandbox.control.arrivals()
        return [a for a in arrived if a.path not in PUBLIC_OF_OURS and a.endpoint not in ASKED_BY_US]

    def arrivals(self) -> Sequence[Arrival]:
        """Every request at the exchange, in order, but for public data and what the gateway asks for itself."""
        arrived = self.sandbox.control.arrivals()
        return [a for a in arrived if not a.path.startswith("/0/public/") and a.endpoint not in ASKED_BY_US]


def copied(rig: Rig, folder: Path) -> tuple[Home, MadeKey]:
    """A home like the rig's, with a real key of its own: with one key two gateways get in each other's nonces' way."""
    sockets = shutil.ignore_patterns("*.sock")
    home = Home(Path(shutil.copytree(rig.home.folder, folder / "home", ignore=sockets)))
    made = rig.sandbox.control.make_key(rig.sandbox.account, permissions=PERMISSIONS)
    store = FileKeyStore.open(home.keys, from_file(home.passphrase))
    store.remove_credential(CREDENTIAL)
    real = Secret.from_base64(made.api_secret, where="sandbox")
    store.add_credential(OWN_KEY, ACCOUNT, made.api_key, real, created_us=1)
    return home, made


@contextmanager
def running(folder: Path, settings: str = "") -> Iterator[Rig]:
    """A rig that serves, and is ended when the block ends."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(RunningSandbox(Settings(tier="unlimited", permissions=PERMISSIONS)))
        rig = Rig(folder, sandbox, settings)
        rig.serving.start()
        stack.callback(rig.serving.stop)
        yield rig
