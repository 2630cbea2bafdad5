"""kraken-rebalance-bot in a world where api.kraken.com is the gateway, as tests/e2e/hard_coded.py makes it.

Run as a program of its own: ``python -m tests.e2e.rebalancing namespace PROGRAMS``, where PROGRAMS is the folder of the
bots' Python. Prints what happened to the bot under each policy as one JSON object.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.e2e.hard_coded import World, enter
from tests.harness.homes import MadeHome

ROOT = Path(__file__).parents[2]
DOCUMENTED = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "bots.md").read_text(encoding="utf-8"), re.DOTALL)
CONFIG = {
    "base_currency": ["XBT"],
    "quote_currency": ["USD"],
    "target_quantity": [500],
    "quote_to_maintain": [200],
    "margin": [0.035],
    "lowest_buy_price": [1000],
    "demo": False,
}
"""It holds 500 USD worth of XBT."""


def rebalanced(world: World, made: MadeHome, policy: str, python: str) -> dict[str, Any]:
    """What the bot did as a client of this policy: its exit status and log, and the orders that the exchange has."""
    folder = world.folder / f"bot-{policy}"
    folder.mkdir()
    with world.serving(made, policy) as environment:
        told = told_lines(made, environment)
        (folder / "bot.py").write_text(told["code"])
        (folder / "config.json").write_text(json.dumps(CONFIG))
        done = subprocess.run(
            [python, "bot.py"],
            cwd=folder,
            env={**environment, **told["environment"]},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    orders = [{**one["descr"], **one} for one in made.orders(policy).values()]
    return {"told": told, "status": done.returncode, "log": done.stderr, "orders": orders, "denied": denied(made)}


def told_lines(made: MadeHome, environment: Mapping[str, str]) -> dict[str, Any]:
    """What `signer connect` prints for a gateway on port 443, which this one has where there are namespaces."""
    text = made.home.config.read_text()
    made.listen("tls://127.0.0.1:443")
    told: dict[str, Any] = json.loads(made.here("connect", "kraken-rebalance-bot", "--client", "bot", "--json"))
    made.home.config.write_text(text)
    assert told["environment"] == {"REQUESTS_CA_BUNDLE": environment["CA"]}
    return told


def denied(made: MadeHome) -> list[list[str]]:
    """The rules that denied each call which was refused."""
    return [record["rules"] for record in made.records(kind="denied")]


def main(kind: str, programs: str) -> None:
    """Run the bot under the documented policy, and under one with a notional cap."""
    python = str(Path(programs) / "python")
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        if kind == "namespace":
            enter(folder)
        world = World(folder, "namespace" if kind == "namespace" else "hook", stack)
        found = {}
        for policy, text in (("rebalancer", DOCUMENTED[0]), ("spot-trader", "")):
            world.sandbox.control.make_key(policy, balances={"ZUSD": Decimal(10_000)})  # no XBT yet
            made = world.home(policy, world.exchange.port, "127.0.0.2")
            shipped = ROOT / "policies" / f"{policy}.toml"
            (made.home.policies / f"{policy}.toml").write_text(text or shipped.read_text(encoding="utf-8"))
            found[policy] = rebalanced(world, made, policy, python)
        print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
