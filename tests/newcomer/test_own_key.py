"""A new user with a key of his own follows README.md on a machine that has never seen signer; Kraken is a sandbox."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from signer.sandbox.control_client import MadeKey
from signer.sandbox.server import RunningSandbox
from tests.harness.waiting import free_port
from tests.newcomer.machine import COMPILERS, Machine
from tests.newcomer.readme import own_key, said_next
from tests.newcomer.terminal import Terminal

pytestmark = pytest.mark.timeout(400)

PASSPHRASE = "six words that nobody else knows"
ORDER = "kraken AddOrder pair=XBTUSD type=buy ordertype=limit price=20000 volume=0.01"


@pytest.fixture(scope="module")
def exchange() -> Iterator[RunningSandbox]:
    """Kraken, as far as this user goes."""
    with RunningSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def key(exchange: RunningSandbox) -> MadeKey:
    """A key with the permissions that the policy lists and no others, as README says."""
    policy = tomllib.loads((Path(__file__).parents[2] / "policies" / "spot-trader.toml").read_text(encoding="utf-8"))
    return exchange.control.make_key("newcomer", permissions=policy["permissions"])


def test_a_real_key_of_ones_own(exchange: RunningSandbox, key: MadeKey, tmp_path: Path) -> None:
    """Each line of the block does what it says without a compiler, and then a bot trades, and stops when halted.

    What is changed: `init` is told the sandbox's address and a free port.
    """
    machine = Machine.without_compiler(tmp_path)
    assert not [program for program in machine.tools.iterdir() if COMPILERS.fullmatch(program.name)]
    listen = f"127.0.0.1:{free_port()}"
    answers = {
        "Passphrase for the key store:": PASSPHRASE,
        "Repeat for confirmation:": PASSPHRASE,
        "Passphrase of the key store:": PASSPHRASE,
        "API key (public part):": key.api_key,
        "API secret (private part):": key.api_secret,
    }
    *steps, serve = own_key()
    with Terminal(machine.source, machine.environment(), answers) as first:
        for step in steps:
            first.run(step.replace("signer init", f"signer init --origin {exchange.url} --listen {listen}"))
        path = first.run('echo "$PATH"').strip()
        first.start(serve, f"ready on http://{listen}")
        with Terminal(machine.source, {**machine.environment(), "PATH": path}, answers) as second:
            trade(second)
            follow(second)
        assert first.interrupt() == 0
    (order,) = exchange.control.orders("newcomer").values()
    assert order["descr"]["price"] == "20000.0"
    shown = first.all + second.all
    assert [secret for secret in (PASSPHRASE, key.api_secret) if secret in shown] == []


def trade(terminal: Terminal) -> None:
    """The bot of somebody who has nothing but curl: its order rests at the exchange, and a withdrawal is refused."""
    connect = next(command for command in said_next() if command.startswith("signer connect LIBRARY"))
    terminal.run(f'eval "$({connect.replace("LIBRARY", "curl")})"')
    assert json.loads(terminal.run(ORDER))["result"]["txid"]
    assert "EGeneral:Permission denied" in terminal.run("kraken Withdraw asset=XBT key=out amount=1")


def follow(terminal: Terminal) -> None:
    """What README says next: each command works, the halt stops the bot, and its end lets it trade."""
    expected = {
        "signer doctor": "",
        "signer policy explain": "allowed",
        "signer halt": "signer resume",
        "signer audit tail": "AddOrder",
        "signer audit verify": "nothing was changed",
    }
    said = [command for command in said_next() if not command.startswith("signer connect")]
    assert [command for command in said if not command.startswith(tuple(expected))] == []
    for command in said:
        shown = terminal.run(command.replace("…", "a test").removesuffix(" --follow"))
        assert expected[next(known for known in expected if command.startswith(known))] in shown
    assert "Policy halt: a test" in terminal.run(ORDER)
