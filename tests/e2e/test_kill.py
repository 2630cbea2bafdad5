"""``kill -9`` at random moments under load: the exchange, the audit log and the book agree, nothing is sent twice."""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests

from signer.home.lock import holder
from signer.model import OrderRef
from signer.operator.reading_book import read_book
from signer.sandbox.server import RunningSandbox
from tests.harness.bots import Bot, order
from tests.harness.exchanges import small_exchange
from tests.harness.gateways import RunningGateway
from tests.harness.homes import MadeHome
from tests.harness.waiting import free_port, until

ACCOUNTS = ("kill-a", "kill-b")
BOTS_PER_ACCOUNT = 3
VICTIMS = ("worker", "both", "master", "worker", "both", "worker")
MOST_ORDERS_A_ROUND = 40
PRICE, VOLUME = "1000", "0.001"
USD_PER_ORDER = 1
EXPECTED = {"EService:Unavailable", "EAPI:Invalid nonce"}
"""What a bot may be told while gateways die around it: after a crash, nonces of the last moment are replays."""


class Load:
    """Bots that place orders one after the other, each with a userref of its own, whatever becomes of the gateway."""

    def __init__(self, bots: Iterable[Bot]) -> None:
        self._refs = itertools.count(1)
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._place, args=(bot,)) for bot in bots]
        self.accepted: dict[int, str] = {}
        """What bots were told: the txid by userref."""
        self.unexpected: list[dict[str, Any]] = []

    def _place(self, bot: Bot) -> None:
        while not self._stopped.is_set():
            ref = next(self._refs)
            try:
                answer = bot.post("AddOrder", order(PRICE, VOLUME, userref=str(ref)), time.time_ns()).json()
            except requests.RequestException:
                self._stopped.wait(0.02)  # nobody listens: a bot would not ask at once either
                continue
            if not answer["error"]:
                (self.accepted[ref],) = answer["result"]["txid"]
            elif answer["error"][0] not in EXPECTED:
                self.unexpected.append(answer)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Until the block ends and each bot has its last answer, or has lost it."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            for thread in self._threads:
                thread.join()


def wait_for_orders(made: MadeHome, more: int) -> None:
    """Wait until ``more`` further orders have arrived at the exchange."""
    last = max((arrival.seq for arrival in made.sandbox.control.arrivals(endpoint="AddOrder")), default=0)
    for _ in range(more):
        last = made.sandbox.control.wait_for_arrival(after=last, endpoint="AddOrder", seconds=60).seq


def kill(gateway: RunningGateway, victim: str) -> RunningGateway:
    """The gateway that serves after ``victim`` was killed."""
    if victim == "worker":
        gateway.kill_worker_and_wait()
        return gateway
    workers = gateway.workers()
    os.kill(gateway.process.pid, signal.SIGKILL)
    if victim == "both":
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
    gateway.ended()
    until(lambda: holder(gateway.made.home.lock) is None, "the worker without a master has gone")
    return RunningGateway(gateway.made)


@pytest.fixture
def own_sandbox() -> Iterator[RunningSandbox]:
    """An exchange that no other test has left a fault or a clock in."""
    with small_exchange() as sandbox:
        yield sandbox


def test_kill_under_load(tmp_path: Path, own_sandbox: RunningSandbox) -> None:
    """Rounds of load, each ended by a kill; then what was left open is looked up, and every book is compared."""
    chance = random.Random(8)  # noqa: S311 - a seed, so that a failure can be had again
    made = MadeHome(tmp_path / "home", own_sandbox, listen=f"127.0.0.1:{free_port()}")
    for account in ACCOUNTS:
        made.add_account(account, gone_after_seconds=2)
    clients = [(f"{account}-{number}", account) for account in ACCOUNTS for number in range(BOTS_PER_ACCOUNT)]
    bots = [made.add_client(*client, "trader") for client in clients]
    gateway = RunningGateway(made)
    try:
        load = Load([bot.at(gateway.url) for bot in bots])
        with load.applied():
            for victim in VICTIMS:
                wait_for_orders(made, chance.randint(1, MOST_ORDERS_A_ROUND))
                gateway = kill(gateway, victim)
            wait_for_orders(made, 1)
            assert_log_makes_the_book(made)
        until(lambda: not made.status()["open"], "every unknown outcome closed")
    finally:
        gateway.stop()
    assert load.unexpected == []
    in_books = {txid: row for account in ACCOUNTS for txid, row in made.orders(account).items()}
    accepted = accepted_calls(made)
    assert sorted(accepted.values()) == sorted(in_books), "the audit log and the exchange differ"
    given = {call["orders"][0]["own"]: call["fields"]["userref"] for call in made.records(kind="intent")}
    assert load.accepted.items() <= {given[str(row["userref"])]: txid for txid, row in in_books.items()}.items()
    assert_recorded_first_and_sent_once(made)
    assert_charged_once(made, bots, accepted)
    assert known_to_book(made, in_books) == set(in_books)
    made.verify()
    assert_log_makes_the_book(made)
    assert_a_stranger_agrees(made, bots)


def assert_log_makes_the_book(made: MadeHome) -> None:
    """The log alone gives the caps, open calls and orders of the checkpoint and the gateway, at any moment."""
    done = made.signer("audit", "verify", "--book")
    assert done.returncode == 0, done.stdout + done.stderr


def assert_a_stranger_agrees(made: MadeHome, bots: Iterable[Bot]) -> None:
    """The program of docs/audit.md works out from the log what `signer status` says is used of each cap."""
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    program = next(text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "window_s" in text)
    charges = [charge for record in made.records(kind="intent") for charge in record["charges"]]
    for bot in bots:
        caps = {(one["unit"], str(one["window_s"])) for one in charges if one["scope"] == f"client/{bot.name}"}
        assert len(caps) == 2
        for unit, window_s in caps:
            asked = [sys.executable, "-I", "-c", program, made.home.audit, f"client/{bot.name}", unit, window_s]
            said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
            assert Decimal(said) == made.used(bot.name)[unit]


def accepted_calls(made: MadeHome) -> dict[str, str]:
    """The order of each call that the audit log calls accepted, by the call's id. It never says two things of one."""
    accepted: dict[str, str] = {}
    for record in made.records(endpoint="AddOrder", outcome="accepted"):
        (txid,) = record["venue_ids"]
        assert accepted.setdefault(record["id"], txid) == txid
    nothing_happened = {record["id"] for record in made.records(outcome="not-sent")}
    assert not nothing_happened & accepted.keys()
    return accepted


def assert_recorded_first_and_sent_once(made: MadeHome) -> None:
    """Every order that arrived has one intent, arrived once, and every intent has its outcome."""
    intents = Counter(record["id"] for record in made.records(kind="intent", endpoint="AddOrder"))
    assert set(intents.values()) == {1}
    assert intents.keys() <= {record["id"] for record in made.records() if "outcome" in record}
    for account in ACCOUNTS:
        sent = Counter(parse_qs(arrival.body.decode())["userref"][0] for arrival in made.arrivals(account))
        assert set(sent.values()) == {1}, "an order was sent twice"
        intended = {str(record["orders"][0]["own"]) for record in made.records(kind="intent", account=account)}
        assert sent.keys() <= intended, "an order was sent that was not recorded first"


def assert_charged_once(made: MadeHome, bots: Iterable[Bot], accepted: dict[str, str]) -> None:
    """Each client's caps hold exactly what it has at the exchange."""
    for bot in bots:
        orders = {record["id"] for record in made.records(client=bot.name)} & accepted.keys()
        assert made.used(bot.name) == {"USD": Decimal(len(orders) * USD_PER_ORDER), "orders": Decimal(len(orders))}


def known_to_book(made: MadeHome, txids: Iterable[str]) -> set[str]:
    """Which of the orders the book knows."""
    with read_book(made.home) as book:
        asked = itertools.product(ACCOUNTS, txids)
        found = [book.find_orders(account, OrderRef("venue-id", txid)) for account, txid in asked]
        return {placed.venue_id for orders in found for placed in orders}
