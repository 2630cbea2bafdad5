"""Makes a home for measuring and runs the gateway on it, with policy, caps and audit log."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calls import Credential
from benchmarks.processes import ended
from benchmarks.wrk import BenchError
from signer.cli.stage import signer
from signer.home.layout import Home
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import from_file

POLICY = """\
version = 1
description = "Caps that no benchmark reaches; each is still counted."
permissions = ["query-funds", "modify-trades"]
pairs = ["XBT/USD"]
sides = ["buy", "sell"]
order_types = ["limit"]
time_in_force = ["GTC"]
max_order_size = ["1 XBT"]
max_order_notional = ["100000 USD"]

[[cap]]
max_notional = "1000000000000 USD"
window = "24h"

[[cap]]
max_orders = 1000000
window = "1m"
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that is ready."""

    url: str
    pid: int
    ready_s: float
    """Seconds from its start to its ready line."""


def make_home(
    folder: Path, origin: str, accounts: Mapping[str, tuple[str, Credential, Credential]], extra: str = ""
) -> None:
    """Make a home whose clients trade at ``origin``. Each has a name, an account, a virtual and a real credential.

    ``extra`` has further settings of account main, and further tables.
    """
    signer(folder, "init", "--no-input", "--origin", origin, "--listen", "127.0.0.1:0")
    (folder / "policies" / "bench.toml").write_text(POLICY, encoding="ascii")
    with (folder / "signer.toml").open("a", encoding="ascii") as config:
        config.write(f'tier = "unlimited"\n{extra}\n')
    for name, (account, client, real) in accounts.items():
        signer(folder, "keys", "add", f"real-{name}", "--account", account, "--stdin", stdin=_json(real))
        add = ("clients", "add", name, "--account", account, "--policy", "bench", "--import-stdin")
        signer(folder, *add, stdin=_json(client))


@contextmanager
def gateway(home: Path, *program: str) -> Iterator[Running]:
    """Run `signer serve` on ``home`` by the module ``signer``, or by ``program``: another module and its arguments."""
    module = program or ("signer",)
    command = [sys.executable, "-m", *module, "--home", str(home), "serve", "--json"]
    with (home / "serve.log").open("w", encoding="utf-8") as log:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        with ended(process):
            assert process.stdout is not None
            line = process.stdout.readline()
            ready_s = time.monotonic() - started
            if not line:
                raise BenchError(f"the gateway did not start: {(home / 'serve.log').read_text(encoding='utf-8')}")
            with process.stdout:
                yield Running(json.loads(line)["url"], process.pid, ready_s)


def unlock_seconds(home: Path) -> float:
    """Measure the seconds that the passphrase takes at a start (Argon2id is slow on purpose)."""
    files = Home(home)
    passphrase = from_file(files.passphrase)
    started = time.monotonic()
    FileKeyStore.open(files.keys, passphrase)
    return time.monotonic() - started


def _json(credential: Credential) -> str:
    return json.dumps({"api_key": credential.api_key, "api_secret": credential.api_secret})
