"""Measures reads, orders and single signatures with a key in each kind of store, as a part of `make bench`.

One gateway has an account for each kind, on a real Vault and a real PKCS#11 token, so that nothing but the store
differs. At one connection the kinds take turns of one call each, so that a busy moment of the machine affects all.
The bare round trip is a signature's request to Vault on one kept-alive TLS connection, written and read by hand. No
client can be faster.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import socket
import ssl
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import hvac
import uvloop
from pkcs11 import Mechanism

from benchmarks.calls import Credential, Kind, new_credential, signed_call, write_calls
from benchmarks.gateway import gateway, make_home
from benchmarks.wrk import BenchError, run_wrk
from signer.home.layout import Home
from signer.home.settings import load_config
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import from_file
from signer.keys.pkcs11 import TokenKey
from signer.keys.stores import SigningStores
from signer.model import Algorithm
from tests.e2e.test_custody import toml
from tests.harness.stores import MESSAGE
from tests.vault.custody import KINDS, token_settings, vault_settings
from tests.vault.found import NoVault, find
from tests.vault.running import RunningVault
from tests.vault.softhsm import Token, module

TURNS = 200
"""The turns of one call each, in each round."""
AT_ONCE = 16
BARE = "bare round trip"
BOTH: tuple[Kind, ...] = ("Balance", "AddOrder")
HVAC = "hvac, same request"
"""Measured apart from the rest: it takes a few milliseconds, after which every other way would find cold caches."""

TOKEN = "pkcs11, the token alone"

Way = Callable[[], Awaitable[bytes | float]]
"""Makes a signature. A way that measures itself returns the µs."""


@dataclass
class Measured:
    """The results by store: p50 at one connection in µs for each round, and requests per second at sixteen."""

    calls_us: dict[tuple[Kind, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    signatures_us: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    rps: dict[tuple[Kind, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    transit_alone_rps: list[float] = field(default_factory=list)
    """Reads per second with vault-transit at one connection."""

    def adds_us(self, kind: Kind, store: str) -> float:
        """Return the µs that a call takes longer than with the file's key: the median of the rounds' differences."""
        pairs = zip(self.calls_us[kind, store], self.calls_us[kind, "file"], strict=True)
        return float(statistics.median(one - file for one, file in pairs))

    def transit_over_bare(self) -> float:
        """Return a signature's time by vault-transit as a multiple of the bare round trip: the rounds' median."""
        pairs = zip(self.signatures_us["vault-transit"], self.signatures_us[BARE], strict=True)
        return float(statistics.median(ours / bare for ours, bare in pairs))

    def transit_at_once(self) -> float:
        """Return reads per second at sixteen connections as a multiple of those at one: 1 if calls wait in turn."""
        pairs = zip(self.rps["Balance", "vault-transit"], self.transit_alone_rps, strict=True)
        return float(statistics.median(many / one for many, one in pairs))

    def transit_adds_over_bare(self, kind: Kind) -> float:
        """Return what vault-transit adds to a call, as a multiple of the bare round trip: the rounds' median."""
        rows = (self.calls_us[kind, store] for store in ("vault-transit", "file", BARE))
        return float(statistics.median((ours - file) / bare for ours, file, bare in zip(*rows, strict=True)))


class EveryStore:
    """A gateway with an account for each store, and the same keys in this process."""

    def __init__(self, url: str, home: Home, clients: dict[str, Credential], vault: RunningVault) -> None:
        self.measured = Measured()
        self._url = url
        self._home = home
        self._clients = clients
        self._vault = vault
        self._loop = uvloop.new_event_loop()
        self._stores = SigningStores(print)
        self._ways = self._loop.run_until_complete(self._signing())

    def round(self, calls: Path, seconds: int, calls_per_second: int) -> None:
        """Measure everything once."""
        self._loop.run_until_complete(self._sign_in_turns())
        for kind in BOTH:
            self._call_in_turns(kind)
            for store, client in self._clients.items():
                write_calls(calls, kind, calls_per_second * seconds, client)
                load = run_wrk(self._url, calls, AT_ONCE, seconds)
                self.measured.rps[kind, store].append(load.rps)
                if (kind, store) == ("Balance", "vault-transit"):
                    write_calls(calls, kind, calls_per_second * seconds, client)
                    self.measured.transit_alone_rps.append(run_wrk(self._url, calls, 1, seconds).rps)
                p50 = self.measured.calls_us[kind, store][-1] / 1000
                print(f"  {kind:8} {store:24} p50 {p50:8.3f} ms  {load.rps:8.0f}/s", file=sys.stderr)

    def close(self) -> None:
        """Log out and close the loop."""
        self._loop.run_until_complete(self._stores.close())
        self._loop.close()

    def _call_in_turns(self, kind: Kind) -> None:
        host, port = self._url.removeprefix("http://").split(":")
        taken: dict[str, list[float]] = defaultdict(list)
        bare, names = self._bare, [*self._clients, BARE]
        with ExitStack() as stack:
            lines = {store: stack.enter_context(socket.create_connection((host, int(port)))) for store in self._clients}
            for _ in range(TURNS):
                # Each turn has another order, because the next way after a slow one finds cold caches.
                for store in random.sample(names, len(names)):
                    if store == BARE:
                        start = time.perf_counter()
                        bare()
                        taken[BARE].append((time.perf_counter() - start) * 1e6)
                        continue
                    client = self._clients[store]
                    call = signed_call(kind, time.time_ns() // 1000, client)
                    start = time.perf_counter()
                    lines[store].sendall(call)
                    answer = _answer(lines[store])
                    taken[store].append((time.perf_counter() - start) * 1e6)
                    if b'{"error":[],' not in answer:
                        raise BenchError(f"a call with {store} failed: {answer!r}")
        for store, times in taken.items():
            self.measured.calls_us[kind, store].append(statistics.median(times))

    async def _sign_in_turns(self) -> None:
        taken: dict[str, list[float]] = defaultdict(list)
        names = list(self._ways)
        for _ in range(TURNS):
            for name in random.sample(names, len(names)):
                start = time.perf_counter()
                said = await self._ways[name]()
                taken[name].append(said if isinstance(said, float) else (time.perf_counter() - start) * 1e6)
        for _ in range(TURNS // 4):
            start = time.perf_counter()
            await self._hvac()
            taken[HVAC].append((time.perf_counter() - start) * 1e6)
        for name, times in taken.items():
            self.measured.signatures_us[name].append(statistics.median(times))

    async def _signed_bare(self) -> bytes:
        return self._bare()

    async def _signing(self) -> dict[str, Way]:
        config = load_config(self._home.config)
        file = FileKeyStore.open(self._home.keys, from_file(self._home.passphrase))
        ways: dict[str, Way] = {}
        for info in file.credentials():
            if info.store in config.stores:
                key = await self._stores.store(info.store, config).signing_key(info)
            else:
                key = file.signing_key(info.name, Algorithm.HMAC_SHA512)
            store = info.name.removeprefix("real-")
            ways[store] = lambda key=key: key.sign(MESSAGE)  # type: ignore[misc]
            if store == "vault-transit":
                token = self._vault.token("signer-gateway")
                self._hvac = hvac_way(self._vault, token, info.reference)
                self._bare = bare_call(self._vault, token, info.reference)
            if isinstance(key, TokenKey):
                ways[TOKEN] = token_alone(key)
        ways[BARE] = self._signed_bare
        return ways


@contextmanager
def every_store(folder: Path, fast: Path, origin: str) -> Iterator[EveryStore | None]:
    """Start everything, with the home in ``fast``. Yields None and says why if this machine lacks a store."""
    try:
        find()
    except NoVault as missing:
        print(f"bench: the key stores are left out: {missing}")
        yield None
        return
    if module() is None:
        print("bench: the key stores are left out: softhsm2 is not here")
        yield None
        return
    with ExitStack() as stack:
        for name in ("vault", "token"):
            (folder / name).mkdir()
        vault = RunningVault.start(folder / "vault")
        stack.callback(vault.stop)
        token = Token(folder / "token")
        home, clients = _home(fast / "stores", origin, vault, token)
        running = stack.enter_context(gateway(home.folder))
        made = EveryStore(running.url, home, clients, vault)
        stack.callback(made.close)
        yield made


def _home(folder: Path, origin: str, vault: RunningVault, token: Token) -> tuple[Home, dict[str, Credential]]:
    tables = {kind: vault_settings(vault, kind) for kind in ("vault-kv", "vault-transit")}
    tables["pkcs11"] = token_settings(token)
    settings = ["lane_depth = 16"]  # a setting of account main, which every home has and which uses the file here
    for kind in KINDS[1:]:
        settings += [f"[accounts.{kind}]", f'origin = "{origin}"', f'store = "{kind}"', "lane_depth = 16"]
        settings += ['tier = "unlimited"']
    settings += [toml(table, f"stores.{kind}") for kind, table in tables.items()]
    clients = {kind: new_credential() for kind in KINDS}
    os.environ["VAULT_TOKEN"] = vault.admin_token
    try:
        accounts = {kind: ("main" if kind == "file" else kind, clients[kind], new_credential()) for kind in KINDS}
        make_home(folder, origin, accounts, "\n".join(settings))
    finally:
        del os.environ["VAULT_TOKEN"]
    return Home(folder), clients


def _answer(line: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(line)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += _more(line)
    return body


def _more(line: socket.socket) -> bytes:
    data = line.recv(65536)
    if not data:
        raise BenchError("the gateway hung up")
    return data


def bare_call(vault: RunningVault, token: str, name: str) -> Callable[[], bytes]:
    """Return a function that sends the request for a signature and does nothing else."""
    host, port = vault.address.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=str(vault.authority.file))
    connection = http.client.HTTPSConnection(host, int(port), context=context)
    connection.connect()
    body = json.dumps({"key_version": 1, "input": base64.b64encode(MESSAGE).decode()})
    head = f"POST /v1/signer-transit/hmac/{name}/sha2-512 HTTP/1.1\r\nHost: {host}\r\nX-Vault-Token: {token}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    def ask() -> bytes:
        connection.sock.sendall(request)
        answer = b""
        while not answer.endswith(b"}\n"):
            answer += connection.sock.recv(65536)
        return base64.b64decode(json.loads(answer.partition(b"\r\n\r\n")[2])["data"]["hmac"][9:])

    return ask


def token_alone(key: TokenKey) -> Way:
    """Return a way that measures the module's own time on the thread that calls it, without the hand-over to it."""
    store, label = key._store, key._label

    def sign() -> float:
        handle = store._key(label, key.algorithm)
        start = time.perf_counter()
        handle.sign(MESSAGE, mechanism=Mechanism.SHA512_HMAC)
        return (time.perf_counter() - start) * 1e6

    return lambda: store._call(sign)


def hvac_way(vault: RunningVault, token: str, name: str) -> Way:
    """Return a way that signs through hvac."""
    client = hvac.Client(url=vault.address, token=token, verify=str(vault.authority.file))
    text = base64.b64encode(MESSAGE).decode()

    async def ask() -> bytes:
        answer = client.write_data(f"signer-transit/hmac/{name}/sha2-512", data={"input": text, "key_version": 1})
        return base64.b64decode(answer["data"]["hmac"][9:])

    return ask
