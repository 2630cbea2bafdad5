"""freqtrade, whole and unmodified, in live mode: its own loop trades through the gateway until each trade is closed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from signer.sandbox.server import RunningSandbox, Settings
from tests.harness.bots import Bot
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import MadeHome
from tests.harness.waiting import PATIENCE_S, free_port, until

ROOT = Path(__file__).parents[2]
OWN = ROOT / "examples" / "freqtrade"
PAIRS = {"XBTUSD", "ETHUSD"}
TROUBLE = re.compile(r" - (?:WARNING|ERROR|CRITICAL) - |Traceback|could not|unable to|refused|denied", re.IGNORECASE)
Order = dict[str, Any]


class Freqtrade:
    """The bot as `signer connect freqtrade` says that it is started, on a strategy that is always in the market."""

    def __init__(self, made: MadeHome, client: Bot, programs: Path, folder: Path, **order_types: str) -> None:
        self.made, self.client, self._folder = made, client, folder
        self._log = folder / "freqtrade.log"
        told = json.loads(made.here("connect", "freqtrade", "--client", client.name, "--json"))
        shutil.copy(OWN / "config.json", folder / "config.json")
        (folder / "signer.json").write_text(told["code"])
        (folder / "own.json").write_text(json.dumps({"order_types": order_types}))
        own = "--config own.json --strategy AlwaysIn --userdir . --db-url sqlite:///trades.sqlite"
        known = {"KRAKEN_API_KEY": client.api_key, "KRAKEN_API_SECRET": client.api_secret, **told["environment"]}
        known |= {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        command = f"exec env {told['start']} {own} --strategy-path {OWN}"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", command], cwd=folder, env={**os.environ, **known}, stdout=log, stderr=log
            )

    def trouble(self) -> list[str]:
        """The lines of its log that tell of any."""
        return [line for line in self._log.read_text().splitlines() if TROUBLE.search(line)]

    def trades(self) -> dict[str, str]:
        """Why it closed a trade, by pair, from its own books."""
        with closing(sqlite3.connect(self._folder / "trades.sqlite")) as books:
            rows = books.execute("select pair, exit_reason from trades where not is_open").fetchall()
        return dict(rows)

    def orders(self, side: str, kind: str, status: str) -> dict[str, Order]:
        """The exchange's orders of a kind, by pair."""
        every = self.made.orders(self.client.account).values()
        wanted = (side, kind, status)
        found = [one for one in every if (one["descr"]["type"], one["descr"]["ordertype"], one["status"]) == wanted]
        return {one["descr"]["pair"]: one for one in found}

    def wait_for(self, pairs: set[str], side: str, kind: str, status: str) -> dict[str, Order]:
        """Wait for such an order of each pair."""
        self.wait(lambda: pairs <= set(self.orders(side, kind, status)), f"{status} {side} {kind} of {pairs}")
        return self.orders(side, kind, status)

    def wait(self, seen: Callable[[], object], what: str) -> None:
        """Wait for it while the bot runs. Fails with the end of the bot's log."""
        try:
            until(lambda: seen() or self._process.poll() is not None, what)
            assert seen(), f"freqtrade ended before {what}"
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._log.read_text()[-3000:]}") from None

    def stop(self) -> None:
        """Ctrl-C, as its user ends it."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with the shipped policy, on a port that signer.toml names; its sandbox's prices may be moved."""
    with RunningSandbox(Settings(tier="unlimited")) as sandbox:
        made = MadeHome(tmp_path_factory.mktemp("freqtrade") / "home", sandbox, listen=f"127.0.0.1:{free_port()}")
        shutil.copy(ROOT / "policies" / "spot-trader.toml", made.home.policies)
        made.add_account("first")
        with running(made) as gateway:
            yield gateway


@pytest.fixture
def started(gateway: RunningGateway, bots: Path, tmp_path: Path) -> Iterator[Callable[..., Freqtrade]]:
    """Starts freqtrade on an account of its own."""
    with ExitStack() as stack:

        def start(name: str, **order_types: str) -> Freqtrade:
            bot = gateway.client(gateway.account(name), "spot-trader")
            made = Freqtrade(gateway.made, bot, bots, tmp_path, **order_types)
            stack.callback(made.stop)
            return made

        yield start


def price(order: Order) -> int:
    """An order's price, without its decimals."""
    return int(Decimal(order["descr"]["price"]))


def entered(bot: Freqtrade) -> dict[str, Order]:
    """Wait for its entries, and let the market come to them."""
    for pair, entry in bot.wait_for(PAIRS, "buy", "limit", "open").items():
        bot.made.sandbox.control.set_price(pair, price(entry) - 2)
    return bot.wait_for(PAIRS, "buy", "limit", "closed")


def test_it_trades(started: Callable[..., Freqtrade]) -> None:
    """Two entries fill and are secured by stops on the exchange; one trade ends by its limit exit, one by its stop.

    The exchange's books, the audit log and freqtrade's own books agree, and freqtrade logs no trouble.
    """
    bot = started("spot")
    control = bot.made.sandbox.control
    entries = entered(bot)
    stops = bot.wait_for(PAIRS, "sell", "stop-loss-limit", "open")
    control.set_price("ETHUSD", price(stops["ETHUSD"]) - 1)
    bot.wait_for({"ETHUSD"}, "sell", "stop-loss-limit", "closed")
    control.set_price("XBTUSD", price(entries["XBTUSD"]) + 1500)
    resting = bot.wait_for({"XBTUSD"}, "sell", "limit", "open")
    control.set_price("XBTUSD", price(resting["XBTUSD"]) + 1)
    exits = bot.wait_for({"XBTUSD"}, "sell", "limit", "closed")
    bot.wait(lambda: len(bot.trades()) == len(PAIRS), "both trades closed in its own books")
    bot.stop()

    assert bot.trades() == {"BTC/USD": "roi", "ETH/USD": "stoploss_on_exchange"}
    assert set(bot.orders("sell", "stop-loss-limit", "canceled")) == {"XBTUSD"}
    assert exits["XBTUSD"]["vol_exec"] == entries["XBTUSD"]["vol_exec"]
    assert bot.trouble() == []
    assert_recorded(bot)


def recorded(bot: Freqtrade) -> str:
    """All that the audit log has of the bot."""
    return json.dumps(bot.made.records(client=bot.client.name))


def assert_recorded(bot: Freqtrade) -> None:
    """Each order that the exchange has is in the audit log, which verifies, and nothing was refused."""
    orders = bot.made.orders(bot.client.account)
    until(lambda: all(txid in recorded(bot) for txid in orders), "every order on record")
    outcomes = {record["outcome"] for record in bot.made.records(client=bot.client.name) if "outcome" in record}
    assert outcomes == {"accepted"}
    assert bot.made.records(client=bot.client.name, kind="denied") == []
    bot.made.verify()


def test_what_cannot_pass_does_not(started: Callable[..., Freqtrade]) -> None:
    """A stop that is a market order is refused, as `connect` warns, and the bot's log says so."""
    bot = started("market", stoploss="market")
    entered(bot)
    bot.made.wait_for_record(client=bot.client.name, kind="denied")
    bot.wait(bot.trouble, "trouble in its log")
    bot.stop()
    denied = bot.made.records(client=bot.client.name, kind="denied")
    assert {(record["fields"]["ordertype"], *record["rules"]) for record in denied} == {
        ("stop-loss", "order-types", "unpriced")
    }
    assert bot.orders("sell", "stop-loss", "open") == {}
    assert any("stop-loss is not listed" in line for line in bot.trouble())
