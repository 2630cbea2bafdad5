"""Gateways in processes of their own, before a sandbox in another, and all that can be seen of them from outside."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, final

import requests

from signer.cli.main import main
from signer.home.layout import Home
from signer.home.lock import RELOAD, read_load
from signer.home.private_file import write_private
from signer.keys.file import FileKeyStore
from signer.keys.issue import issue
from signer.keys.passphrase import Passphrase
from signer.keys.probes import Probe, keep_probe
from signer.model import KeyInfo, Role
from signer.sandbox.arrivals import Arrival
from signer.sandbox.permissions import PERMISSIONS, TRADING
from signer.sandbox.server import RunningSandbox
from signer.secret import Secret, fingerprint
from signer.serving.clock import SystemClock

Record = dict[str, Any]
PASSPHRASE = "a passphrase that the tests alone know"
PATIENCE_S = 60.0
"""Longer than anything that is waited for takes on a busy machine: it decides how a test fails, never whether."""

_READS = 'permissions = ["query-funds", "query-open-trades", "query-closed-trades"'
_TRADER = f"""\
version = 1
{_READS}, "modify-trades", "close-trades"]
pairs = ["XBT/USD", "ETH/USD"]
sides = ["buy", "sell"]
order_types = ["limit"]
oflags = ["post", "fciq", "fcib"]
max_order_size = ["1 XBT", "10 ETH"]
max_order_notional = ["5000 USD"]
"""
POLICIES = {
    "trader": _TRADER + '[[cap]]\nmax_notional = "10000000 USD"\nwindow = "24h"\nmax_orders = 100000\n',
    "thrifty": _TRADER + '[[cap]]\nmax_notional = "500 USD"\nwindow = "24h"\n',
    "slow": _TRADER + '[[cap]]\nmax_notional = "100000 USD"\nmax_orders = 1\nwindow = "24h"\n',
    "saver": _TRADER.replace('"sell"', "").replace('"buy", ', '"buy"')
    + '[[cap]]\nmax_notional = "1000 USD"\nwindow = "24h"\n',
    "tracker": f"version = 1\n{_READS}]\n",
}
"""By name. A trader with wide caps, one with 500 USD a day, one with one order a day, one that only buys, a reader."""


@dataclass(frozen=True, slots=True)
class Bot:
    """What a bot knows: its virtual credential, and where to call."""

    name: str
    account: str
    url: str
    api_key: str
    api_secret: str = field(repr=False)

    def at(self, url: str) -> Bot:
        """The same bot, calling there."""
        return replace(self, url=url)


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def until(seen: Callable[[], object], what: str) -> None:
    """Wait for what can only be observed by asking. Fails naming it."""
    end = time.monotonic() + PATIENCE_S
    while not seen():
        assert time.monotonic() < end, f"not seen within {PATIENCE_S} s: {what}"
        time.sleep(0.02)


@cache
def _empty_store() -> FileKeyStore:
    with TemporaryDirectory() as folder:
        return FileKeyStore.create(Path(folder) / "keys.json", Passphrase(PASSPHRASE.encode(), where="test"))


def _copied_store(path: Path) -> FileKeyStore:
    """An empty store, without the time that deriving its keys takes."""
    store = _empty_store()
    write_private(path, store._envelope.text(), replace=False)
    return FileKeyStore(path, store._keys, store._envelope, secrets.token_bytes)


@final
class MadeHome:
    """A home for a gateway, as `signer init`, `keys add` and `clients add` would make it, without their slow parts."""

    def __init__(self, folder: Path, sandbox: RunningSandbox, *, listen: str = "127.0.0.1:0") -> None:
        folder.mkdir(mode=0o700)
        self.home = Home(folder)
        self.sandbox = sandbox
        self.home.config.write_text(
            f'version = 1\n[gateway]\nlisten = "{listen}"\npublic_origin = "{sandbox.url}"\n'
            "public_calls_per_second = 1000\n"
        )
        self.home.policies.mkdir()
        for name, text in POLICIES.items():
            (self.home.policies / f"{name}.toml").write_text(text)
        self.home.passphrase.touch(0o600)
        self.home.passphrase.write_text(PASSPHRASE)
        self.store = _copied_store(self.home.keys)

    def listen(self, *addresses: str) -> None:
        """Have it listen there instead."""
        text = self.home.config.read_text()
        first, _, rest = text.partition("listen = ")
        self.home.config.write_text(f"{first}listen = {json.dumps(addresses)}\n{rest.partition(chr(10))[2]}")

    def add_account(
        self,
        name: str,
        *,
        origin: str = "",
        permissions: Collection[str] = TRADING,
        waived: bool = True,
        **settings: float | str | Sequence[str],
    ) -> None:
        """An account of the sandbox with a key of its own; ``settings`` as in signer.toml.

        ``waived``: whether the key may have its permissions whatever its clients can use, since those come and go.
        """
        lines = [f"[accounts.{name}]", f'origin = "{origin or self.sandbox.url}"']
        given = {"tier": "unlimited", **settings}
        lines += [f"{setting} = {json.dumps(value)}" for setting, value in given.items()]
        with self.home.config.open("a") as file:
            file.write("\n".join(["", *lines, ""]))
        self.add_key(f"{name}-key", name, Role.TRADE, permissions, waived=waived)

    def add_key(
        self, name: str, account: str, role: Role, permissions: Collection[str] = PERMISSIONS, *, waived: bool = True
    ) -> str:
        """Another key of an account, for what ``role`` says; its public half."""
        if waived:
            self.waive(name, permissions)
        key = self.sandbox.control.make_key(account, tier="unlimited", permissions=permissions)
        secret = Secret.from_base64(key.api_secret, where="test")
        self.store.add_credential(name, account, key.api_key, secret, created_us=1, role=role)
        tested = KeyInfo("", tuple(sorted(permissions)), None, 0, 0, ())
        probe = Probe(SystemClock().now_us(), tested)
        keep_probe(self.home.probes, fingerprint(key.api_key), probe)  # as `keys test` would, so that none need wait
        return key.api_key

    def waive(self, credential: str, permissions: Collection[str]) -> None:
        """Let a key have them, in signer.toml."""
        lines = [f"[waivers.{credential}]", *(f'{word} = "for tests"' for word in sorted(permissions))]
        with self.home.config.open("a") as file:
            file.write("\n".join(["", *lines, ""]))

    def add_client(
        self, name: str, account: str, policy: str, *, url: str = "", nonces: Literal["window", "strict"] = "window"
    ) -> Bot:
        """A client with a new virtual credential."""
        made = issue()
        now_us = SystemClock().now_us()
        self.store.add_client(name, account, policy, *made, created_us=now_us, nonces=nonces)
        return Bot(name, account, url, made.api_key, made.secret.expose_to(b64encode).decode())

    def signer(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command of the CLI on this home, run to its end."""
        return subprocess.run(self.command(*arguments), input=stdin, capture_output=True, text=True, check=False)

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "signer", "--home", str(self.home.folder), *arguments]

    def here(self, *arguments: str) -> str:
        """What a command prints that succeeds. Run in this process: to start another takes longer than most tests.

        And in a thread, so that a test may be inside an event loop.
        """
        with redirect_stdout(StringIO()) as told, ThreadPoolExecutor(1) as thread:
            assert thread.submit(main, ["--home", str(self.home.folder), *arguments]).result() == 0
        return told.getvalue()

    def status(self) -> dict[str, Any]:
        """What `signer status` tells a script."""
        return dict(json.loads(self.here("status", "--json")))

    def open_calls(self, account: str) -> dict[str, str]:
        """The calls of an account without a known outcome: their state by the id of their audit records."""
        return {row["record"]: row["state"] for row in self.status()["open"] if row["account"] == account}

    def used(self, client: str) -> dict[str, Decimal]:
        """How much a client has used of its caps, by unit."""
        rows = [row for row in self.status()["usage"] if row["scope"] == f"client/{client}"]
        return {row["unit"]: Decimal(row["used"]) for row in rows}

    def records(self, **equal: str) -> list[Record]:
        """The audit records whose members are ``equal``, oldest first."""
        segments = [path.read_bytes() for path in sorted(self.home.audit.glob("audit-*.jsonl"))]
        lines = b"".join(segments).split(b"\n")[:-1]  # the last may be being written
        whole = [json.loads(line) for line in lines]
        return [record for record in whole if equal.items() <= record.items()]

    def wait_for_record(self, **equal: str) -> Record:
        """The last such record, waiting until there is one: those nobody waits for are written within a moment."""
        until(lambda: self.records(**equal), f"an audit record with {equal}")
        return self.records(**equal)[-1]

    def orders(self, account: str) -> dict[str, dict[str, Any]]:
        """The truth: every order that the exchange has of an account."""
        return self.sandbox.control.orders(account)

    def arrivals(self, account: str, endpoint: str = "AddOrder") -> list[Arrival]:
        """The truth: every call to an endpoint that reached the exchange with the account's key. If empty, to any but
        the one by which the gateway asks about the key itself."""
        key = next(info.api_key for info in self.store.credentials() if info.account == account)
        return self.arrivals_of([key], endpoint)

    def arrivals_of(self, keys: Sequence[str], endpoint: str = "AddOrder") -> list[Arrival]:
        """The same of the account's ``keys``, whenever it had them."""
        every = self.sandbox.control.arrivals(endpoint=endpoint)
        listed = [one for one in every if endpoint or one.endpoint != "GetApiKeyInfo"]
        return [one for one in listed if any(name.lower() == "api-key" and key in keys for name, key in one.headers)]

    def verify(self) -> str:
        """What `signer audit verify` says, having found nothing changed."""
        done = self.signer("audit", "verify")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@final
class RunningGateway:
    """`signer serve` on a home, ready when the constructor returns."""

    def __init__(self, made: MadeHome, *options: str) -> None:
        self.made = made
        self._options = options
        self._names = itertools.count(1)
        self._log = made.home.folder / "gateway.log"
        self.process = self._started()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the gateway did not start: {self.log()}"
        self.ready: dict[str, Any] = json.loads(line)
        self.url: str = self.ready["url"]
        self.rest_of_output = ""
        """What it wrote to standard output behind the ready line, known when it has ended."""

    def _started(self) -> subprocess.Popen[str]:
        with self._log.open("a") as log:
            return subprocess.Popen(
                self.made.command("serve", "--json", *self._options), stdout=subprocess.PIPE, stderr=log, text=True
            )

    def log(self) -> str:
        """All that it wrote to standard error."""
        return self._log.read_text()

    def workers(self) -> list[int]:
        """Its worker processes."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def get(self, path: str) -> requests.Response | None:
        """The answer to a GET, or None if nobody answers."""
        try:
            return requests.get(self.url + path, timeout=PATIENCE_S)
        except requests.ConnectionError:
            return None

    def is_ready(self) -> bool:
        """Whether it says that it would take an order."""
        answer = self.get("/-/ready")
        return answer is not None and answer.status_code == 200

    def reload(self) -> str:
        """Have it read its home again, and wait until it has; why it did not take it up, or nothing."""
        before = read_load(self.made.home.state)
        self.process.send_signal(RELOAD)
        until(lambda: read_load(self.made.home.state) != before, "the reload")
        after = read_load(self.made.home.state)
        assert after is not None
        return after.error

    def client(self, account: str, policy: str = "trader", *, nonces: Literal["window", "strict"] = "window") -> Bot:
        """A new client of an account, at once in force."""
        name = f"{account}-{policy}-{next(self._names)}"
        bot = self.made.add_client(name, account, policy, url=self.url, nonces=nonces)
        assert self.reload() == ""
        return bot

    def account(self, name: str, *, origin: str = "", **settings: Any) -> str:
        """A new account, in force with its first client."""
        self.made.add_account(name, origin=origin, **settings)
        return name

    def kill_worker(self) -> None:
        """``kill -9`` of the one worker process."""
        (pid,) = self.workers()
        os.kill(pid, signal.SIGKILL)

    def kill_worker_and_wait(self) -> None:
        """The same, and wait until another answers."""
        before = self.workers()
        self.kill_worker()
        until(lambda: self.workers() not in ([], before) and self.is_ready(), "a worker reborn")

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        self.process.terminate()
        return self.ended()

    def ended(self, *, within_s: float = PATIENCE_S) -> int:
        """Its exit status, waiting for the end."""
        try:
            return self.process.wait(within_s)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            assert self.process.stdout is not None
            if not self.process.stdout.closed:
                self.rest_of_output = self.process.stdout.read()
            self.process.stdout.close()


@contextmanager
def running(made: MadeHome, *options: str) -> Iterator[RunningGateway]:
    """A gateway that is stopped at the end, if it still runs; ``options`` of `signer serve`."""
    gateway = RunningGateway(made, *options)
    try:
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.stop()


def order(price: str = "20000", volume: str = "0.01", **more: str) -> dict[str, str]:
    """A limit order that rests, as a bot sends it: 200 USD."""
    return {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": volume, "price": price, **more}


def errors_of(answer: Mapping[str, Any]) -> list[str]:
    """The error array of an answer that says no: there is no result beside it."""
    assert "result" not in answer
    errors: list[str] = answer["error"]
    assert errors
    return errors
