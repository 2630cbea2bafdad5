"""Homes that traded, to be damaged, put back or mixed up while nothing runs; and what a gateway then does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from signer.home.layout import Home
from signer.sandbox.server import RunningSandbox
from tests.e2e.test_archive import old_days
from tests.harness.bots import AHEAD_NS, Bot, Nonces, order
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import MadeHome

ALARM = "level=alarm kind=audit"


@contextmanager
def restarted(made: MadeHome) -> Iterator[RunningGateway]:
    """A gateway, which clients call with nonces above those that an earlier one has seen."""
    Nonces.ahead += AHEAD_NS
    with running(made) as gateway:
        yield gateway


def errors(bot: Bot, endpoint: str, **fields: str) -> list[str]:
    """The error array of one call."""
    found: list[str] = bot.post(endpoint, fields, int(Nonces.fresh())).json()["error"]
    return found


def placed(bot: Bot) -> str:
    """The txid of an order that the bot places now."""
    (txid,) = bot.post("AddOrder", order(), int(Nonces.fresh())).json()["result"]["txid"]
    return str(txid)


class Traded:
    """A home with a log of four segments, whose last gateway placed one order, and which has come to rest."""

    def __init__(self, folder: Path, sandbox: RunningSandbox) -> None:
        self.made = MadeHome(folder / "home", sandbox)
        self.account = f"strange-{folder.name[-30:]}"
        self.made.add_account(self.account)
        asyncio.run(old_days(self.made.home, 3))
        self.bot = self.made.add_client("bot", self.account, "trader")
        with restarted(self.made) as gateway:
            self.txid = placed(self.bot.at(gateway.url))

    @property
    def home(self) -> Home:
        """The home's folder."""
        return self.made.home

    def segments(self) -> Sequence[Path]:
        """The log's segments, oldest first."""
        return sorted(self.home.audit.glob("audit-*.jsonl"))

    def trades_on(self) -> None:
        """Run a gateway again for one more order."""
        with restarted(self.made) as gateway:
            placed(self.bot.at(gateway.url))

    def told(self, *command: str) -> tuple[int, str]:
        """The exit status of a command, and all that it prints."""
        done = self.made.signer(*command)
        return done.returncode, done.stdout + done.stderr


def goes_on(traded: Traded, *, used: int) -> str:
    """A gateway takes an order and a cancel, and counts ``used`` orders of before; its log and the doctor's page."""
    with restarted(traded.made) as gateway:
        bot = traded.bot.at(gateway.url)
        assert traded.made.used("bot")["orders"] == Decimal(used)
        assert errors(bot, "CancelOrder", txid=traded.txid) == []
        assert errors(bot, "AddOrder", **order()) == []
        assert traded.made.used("bot")["orders"] == Decimal(used + 1)
        assert gateway.is_ready()
        page = traded.told("doctor")[1]
    return gateway.log() + page  # after its end, because it writes its lines a moment later
