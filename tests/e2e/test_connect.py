"""`signer connect`: what it prints is run as it stands, by the library that it is for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from signer.sandbox.server import RunningSandbox
from tests.e2e.conftest import HAS_NODE
from tests.harness.bots import Bot
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import MadeHome
from tests.harness.waiting import PATIENCE_S, free_port

PYTHON = {
    "krakenex": "answer = api.query_private('Balance')['result']",
    "python-kraken-sdk": "answer = user.get_account_balance()",
    "ccxt-python": "answer = exchange.private_post_balance()['result']",
    "requests": "answer = kraken('Balance')['result']",
}
"""By library, how its user asks for the balance."""
ASYNC_CCXT = """
import asyncio
async def ask():
    async with exchange:
        return (await exchange.private_post_balance())["result"]
answer = asyncio.run(ask())
"""
NODE = "exchange.privatePostBalance().then(answer => console.log(JSON.stringify(answer.result)));"


@pytest.fixture(scope="module")
def everywhere(shared_sandbox: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with a listener of each kind, on ports that its signer.toml names."""
    folder = tmp_path_factory.mktemp("connect")
    made = MadeHome(folder / "home", shared_sandbox)
    listen = [f"127.0.0.1:{free_port()}", f"tls://127.0.0.1:{free_port()}", f"unix:{folder}/bots"]
    made.listen(*listen)
    assert made.signer("tls", "init").returncode == 0
    made.add_account("connect")
    with running(made) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def bot(everywhere: RunningGateway) -> Bot:
    """A client of that gateway."""
    return everywhere.client("connect")


def lines(gateway: RunningGateway, library: str, *options: str) -> dict[str, Any]:
    """What the command prints for scripts."""
    done = gateway.made.signer("connect", library, "--client", "bot", "--json", *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run(command: list[str], bot: Bot, environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The balance that a program of the bot prints, started as its user would start it."""
    own = {name: value for name, value in os.environ.items() if "CA" not in name and "SSL" not in name}
    own |= {"KRAKEN_API_KEY": bot.api_key, "KRAKEN_API_SECRET": bot.api_secret, **environment}
    done = subprocess.run(
        command, cwd=folder, env=own, capture_output=True, text=True, check=False, timeout=PATIENCE_S * 2
    )
    assert done.returncode == 0, done.stderr
    balance: dict[str, str] = json.loads(done.stdout)
    return balance.get("result", balance)  # type: ignore[return-value]  # curl prints the whole answer


def is_balance(answer: Mapping[str, Any]) -> bool:
    """Whether it is what the sandbox has for the account."""
    return float(answer["ZUSD"]) == 100_000


@pytest.mark.parametrize("tls", [(), ("--tls",)], ids=["plain", "tls"])
@pytest.mark.parametrize("library", PYTHON)
def test_python(library: str, tls: tuple[str, ...], everywhere: RunningGateway, bot: Bot, tmp_path: Path) -> None:
    """The lines, one call, and the account's balance comes back; over TLS with the CA and nothing else changed."""
    told = lines(everywhere, library, *tls)
    (tmp_path / "bot.py").write_text(f"{told['code']}\nimport json\n{PYTHON[library]}\nprint(json.dumps(answer))\n")
    assert is_balance(run([sys.executable, "bot.py"], bot, told["environment"], tmp_path))


@pytest.mark.parametrize("tls", [(), ("--tls",)], ids=["plain", "tls"])
def test_async_ccxt_and_freqtrade(tls: tuple[str, ...], everywhere: RunningGateway, bot: Bot, tmp_path: Path) -> None:
    """ccxt's asyncio half takes the same settings, and freqtrade hands those of its config to both halves."""
    told = lines(everywhere, "ccxt-python", *tls)
    code = told["code"].replace("import ccxt ", "import ccxt.async_support as ccxt ")
    (tmp_path / "bot.py").write_text(f"{code}{ASYNC_CCXT}\nimport json\nprint(json.dumps(answer))\n")
    assert is_balance(run([sys.executable, "bot.py"], bot, told["environment"], tmp_path))

    told = lines(everywhere, "freqtrade", *tls)
    config = json.loads(told["code"])["exchange"]
    keys = {"apiKey": bot.api_key, "secret": bot.api_secret}
    sync = f"import ccxt\nexchange = ccxt.kraken({ {**config['ccxt_config'], **keys} })\n"
    both = f"import ccxt.async_support as ccxt\nexchange = ccxt.kraken({ {**config['ccxt_async_config'], **keys} })\n"
    for code in (sync + PYTHON["ccxt-python"], both + ASYNC_CCXT):
        (tmp_path / "bot.py").write_text(f"{code}\nimport json\nprint(json.dumps(answer))\n")
        assert is_balance(run([sys.executable, "bot.py"], bot, told["environment"], tmp_path))


def test_what_cannot_pass_is_printed(everywhere: RunningGateway) -> None:
    """The command says how a whole bot is started, and which of its settings cannot pass under a notional cap."""
    told = lines(everywhere, "freqtrade")
    shown = everywhere.made.here("connect", "freqtrade", "--client", "bot")
    assert f"# Start it:\n{told['start']}\n" in shown
    assert "cannot pass under a notional cap" in shown
    assert all(f"#   {setting}\n" in shown for setting in told["cannot_pass"])
    assert lines(everywhere, "krakenex")["cannot_pass"] == []


@pytest.mark.parametrize("tls", [(), ("--tls",)], ids=["plain", "tls"])
def test_curl(tls: tuple[str, ...], everywhere: RunningGateway, bot: Bot, tmp_path: Path) -> None:
    """bash, openssl and curl alone; an order with fields goes through as well."""
    told = lines(everywhere, "curl", *tls)
    (tmp_path / "bot.sh").write_text(f'{told["code"]}\nkraken "$@"\n')
    assert is_balance(run(["bash", "bot.sh", "Balance"], bot, told["environment"], tmp_path))
    fields = ["pair=XBTUSD", "type=buy", "ordertype=limit", "volume=0.01", "price=20000"]
    assert run(["bash", "bot.sh", "AddOrder", *fields], bot, told["environment"], tmp_path)["txid"]


def test_curl_over_a_unix_socket(everywhere: RunningGateway, bot: Bot, tmp_path: Path) -> None:
    """The lines call the socket if signer.toml names nothing else."""
    beside = MadeHome(tmp_path / "home", everywhere.made.sandbox)
    beside.listen(everywhere.ready["urls"][2])
    beside.add_account("socket")
    done = beside.signer("connect", "curl", "--client", "bot", "--json")
    (tmp_path / "bot.sh").write_text(json.loads(done.stdout)["code"] + "\nkraken Balance\n")
    assert is_balance(run(["bash", "bot.sh"], bot, {}, tmp_path))


def test_no_secret_becomes_an_argument(everywhere: RunningGateway, bot: Bot, tmp_path: Path) -> None:
    """Anybody on the machine can list what programs are called with: the curl lines call none with key or secret."""
    told = lines(everywhere, "curl")
    (tmp_path / "bot.sh").write_text(f"{told['code']}\nkraken Balance\n")
    for name in ("curl", "openssl"):
        (tmp_path / name).write_text(
            f'#!/bin/bash\necho "$@" >>"{tmp_path}/arguments"\nexec {shutil.which(name)} "$@"\n'
        )
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert is_balance(run(["bash", "bot.sh"], bot, {"PATH": path}, tmp_path))
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.count("\n") == 6  # the secret's base64, three digests, the signature's base64, and curl
    assert bot.api_key not in arguments
    assert bot.api_secret not in arguments


if HAS_NODE:

    @pytest.mark.parametrize("tls", [(), ("--tls",)], ids=["plain", "tls"])
    def test_ccxt_in_node(
        tls: tuple[str, ...], everywhere: RunningGateway, bot: Bot, node_packages: Path, tmp_path: Path
    ) -> None:
        """The lines for JavaScript, run by node."""
        told = lines(everywhere, "ccxt-js", *tls)
        (tmp_path / "bot.js").write_text(f"{told['code']}\n{NODE}\n")
        environment = {**told["environment"], "NODE_PATH": str(node_packages)}
        assert is_balance(run(["node", "bot.js"], bot, environment, tmp_path))
