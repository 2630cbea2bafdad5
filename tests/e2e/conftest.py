"""One sandbox and one gateway for all tests that do not disturb others; each test has an account of its own."""

from __future__ import annotations

import fcntl
import itertools
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from signer.sandbox.server import RunningSandbox
from tests.harness.exchanges import small_exchange
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import MadeHome

_NUMBERS = itertools.count(1)
NODE_PACKAGES = ("ccxt@4.5.84", "kraken-api@1.0.2", "node-kraken-api@2.2.2")
HAS_NODE = bool(shutil.which("node") and shutil.which("npm"))
if not HAS_NODE:
    print("tests/e2e: node or npm is not here, so no client library in JavaScript is run")  # noqa: T201


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """The folder of the client libraries in JavaScript, kept from one run to the next; empty without node."""
    folder = Path.home() / ".cache" / "signer" / "node"
    folder.mkdir(parents=True, exist_ok=True)
    modules = folder / "node_modules"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run several at a time
        if HAS_NODE and not all((modules / package.partition("@")[0]).is_dir() for package in NODE_PACKAGES):
            command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *NODE_PACKAGES]
            subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=110)
    return modules


@pytest.fixture(scope="session")
def bots() -> Path:
    """The folder of programs that `make bots` installs, or a skip; in CI a skip is a failure."""
    folder = Path(__file__).parents[2] / ".venv-bots"
    if not (folder / ".done").exists():
        pytest.skip("the bots are not installed: make bots")
    return folder / "bin"


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[RunningSandbox]:
    """A sandbox without rate limits, and with few pairs."""
    with small_exchange() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def shared_gateway(
    shared_sandbox: RunningSandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """A gateway that no test stops or breaks."""
    made = MadeHome(tmp_path_factory.mktemp("e2e") / "home", shared_sandbox)
    made.add_account("first", gone_after_seconds=2)
    with running(made) as gateway:
        yield gateway


@pytest.fixture
def gateway(shared_gateway: RunningGateway) -> Iterator[RunningGateway]:
    """The shared gateway; faults end with the test."""
    yield shared_gateway
    shared_gateway.made.sandbox.control.clear_faults()


@pytest.fixture
def new_account(gateway: RunningGateway) -> Callable[..., str]:
    """Makes accounts that are the test's own, so that what the exchange has of them is what the test did."""
    return lambda **settings: gateway.account(f"desk-{next(_NUMBERS)}", **settings)


@pytest.fixture
def account(new_account: Callable[..., str]) -> str:
    """An account of the test's own."""
    return new_account()
