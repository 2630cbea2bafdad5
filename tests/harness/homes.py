"""Homes as `signer init`, `keys add` and `clients add` make them, and all that can be seen of them from outside."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from copy import copy
from decimal import Decimal
from functools import cache
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from subprocess import DEVNULL, CompletedProcess, run
from tempfile import TemporaryDirectory
from typing import Any, final
from unittest.mock import patch

from signer.cli.main import main
from signer.home.layout import Home
from signer.home.private_file import write_private
from signer.keys.file import FileKeyStore
from signer.keys.issue import issue
from signer.keys.passphrase import Passphrase
from signer.keys.probes import Probe, keep_probe
from signer.keys.renewal import read_envelope
from signer.model import KeyInfo, Role
from signer.operator import braking
from signer.sandbox.arrivals import Arrival
from signer.sandbox.permissions import PERMISSIONS, TRADING
from signer.sandbox.server import RunningSandbox
from signer.secret import Secret, fingerprint
from signer.serving.clock import SystemClock
from tests.harness import quick_argon
from tests.harness.bots import Bot
from tests.harness.policies import POLICIES
from tests.harness.quick_argon import make_quick, marked_bytes
from tests.harness.stores import SHAPE
from tests.harness.waiting import PATIENCE_S, until

make_quick()
braking.CONFIRM_S = PATIENCE_S  # a machine that pauses must not keep a brake of a test from being confirmed
Record = dict[str, Any]
PASSPHRASE = "9qLx-vTz4-Wm7k-RbJ2"
"""Like nothing that a program would hold by chance: some tests search for pieces of it."""


@cache
def _empty_store() -> FileKeyStore:
    with TemporaryDirectory() as folder:
        passphrase = Passphrase(PASSPHRASE.encode(), where="test")
        return FileKeyStore.create(Path(folder) / "keys.json", passphrase, random_bytes=marked_bytes)


def _copied_store(path: Path) -> FileKeyStore:
    """An empty store, without the time that deriving its keys takes."""
    store = _empty_store()
    write_private(path, store._envelope.text(), replace=False)
    return FileKeyStore(path, store._keys, store._envelope, secrets.token_bytes)


@final
class MadeHome:
    """A home for a gateway, as `signer init`, `keys add` and `clients add` would make it, without their slow parts."""

    def __init__(
        self,
        folder: Path,
        sandbox: RunningSandbox,
        *,
        listen: str = "127.0.0.1:0",
        settings: str = "public_calls_per_second = 1000",
        policies: Mapping[str, str] = POLICIES,
    ) -> None:
        folder.mkdir(mode=0o700)
        self.home = Home(folder)
        self.program: Sequence[str] = ("-P", quick_argon.__file__)
        """What Python is told to run for each command."""
        self.sandbox = sandbox
        self.home.config.write_text(
            f'version = 1\n[gateway]\nlisten = "{listen}"\npublic_origin = "{sandbox.url}"\n{settings}\n'
        )
        self.home.policies.mkdir()
        for name, text in policies.items():
            (self.home.policies / f"{name}.toml").write_text(text)
        self.home.passphrase.touch(0o600)
        self.home.passphrase.write_text(PASSPHRASE)
        self.store = _copied_store(self.home.keys)

    def use_real_argon2id(self) -> None:
        """Seal the store by the real Argon2id, for tests of the process as a whole. The passphrase stays."""
        self.store.change_passphrase(Passphrase(PASSPHRASE.encode(), where="test"))

    def copied(self, folder: Path) -> MadeHome:
        """A copy of the home as it is now."""
        made = copy(self)
        made.home = Home(shutil.copytree(self.home.folder, folder, ignore=shutil.ignore_patterns("*.sock")))
        made.store = FileKeyStore(made.home.keys, self.store._keys, read_envelope(made.home.keys), secrets.token_bytes)
        return made

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
        self.describe_account(name, origin=origin, **settings)
        self.add_key(f"{name}-key", name, Role.TRADE, permissions, waived=waived)

    def describe_account(self, name: str, *, origin: str = "", **settings: float | str | Sequence[str]) -> None:
        """Write an account into signer.toml."""
        given = {"origin": origin or self.sandbox.url, "tier": "unlimited", **settings}
        lines = [f"{setting} = {json.dumps(value)}" for setting, value in given.items()]
        with self.home.config.open("a") as file:
            file.write("\n".join(["", f"[accounts.{name}]", *lines, ""]))

    def add_key(
        self, name: str, account: str, role: Role, permissions: Collection[str] = PERMISSIONS, *, waived: bool = True
    ) -> str:
        """Make another key of an account for a role; return its public half."""
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

    def add_client(self, name: str, account: str, policy: str, *, url: str = "", **options: Any) -> Bot:
        """A client with a new virtual credential."""
        made = issue(SHAPE)
        now_us = SystemClock().now_us()
        self.store.add_client(name, account, policy, *made, created_us=now_us, **options)
        return Bot(name, made.api_key, made.secret.expose_to(b64encode).decode(), account, url)

    def signer(self, *arguments: str, stdin: str = "") -> CompletedProcess[str]:
        """How a command ends on this home. Run in this process: to start another takes longer than most tests.

        And in a thread, so that a test may be inside an event loop.
        """
        command, typed = ["--home", str(self.home.folder), *arguments], TextIOWrapper(BytesIO(stdin.encode()))
        with (
            redirect_stdout(StringIO()) as out,
            redirect_stderr(StringIO()) as err,
            patch("sys.stdin", typed),
            ThreadPoolExecutor(1) as thread,
        ):
            status = thread.submit(main, command).result()
        return CompletedProcess(command, status, out.getvalue(), err.getvalue())

    def process(self, *arguments: str) -> CompletedProcess[str]:
        """How a command ends in a process of its own."""
        return run(self.command(*arguments), stdin=DEVNULL, capture_output=True, text=True, check=False)

    def command(self, *arguments: str) -> list[str]:
        """The command line. `signer` itself cannot open the store, which it does not know for a quick one."""
        return [sys.executable, *self.program, "--home", str(self.home.folder), *arguments]

    def here(self, *arguments: str) -> str:
        """What a command prints that succeeds."""
        done = self.signer(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

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
        """List the calls that reached the exchange with one of these keys."""
        every = self.sandbox.control.arrivals(endpoint=endpoint)
        listed = [one for one in every if endpoint or one.endpoint != "GetApiKeyInfo"]
        return [one for one in listed if any(name.lower() == "api-key" and key in keys for name, key in one.headers)]

    def verify(self) -> str:
        """What `signer audit verify` says, having found nothing changed."""
        return self.here("audit", "verify")
