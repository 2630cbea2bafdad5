"""A gateway on a home that was damaged or has another's files, or with a clock in doubt: what it says and what it does.

Each test has a home whose gateway placed an order, and changes it while nothing runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from signer.audit import close_journal, open_journal
from signer.audit.journal import FileJournal
from signer.audit.reading import VERSION
from signer.home.layout import Home
from signer.ledger import open_marks
from signer.ledger.checkpoint import BookFile
from signer.sandbox.faults import Errors, Fault, NotJson
from signer.sandbox.server import RunningSandbox
from signer.serving.clock import SystemClock
from tests.e2e.refusals import UNAVAILABLE
from tests.e2e.strange_homes import ALARM, Traded, errors, goes_on, restarted
from tests.harness.bots import LIMIT, Bot, Nonces, order
from tests.harness.exchanges import small_exchange
from tests.harness.gateways import RunningGateway
from tests.harness.homes import MadeHome
from tests.harness.journals import in_journal, place
from tests.harness.waiting import until
from tests.unit.ledger.calls import intent
from tests.unit.ledger.calls import order as resting

DAY_US = 86_400_000_000
DOUBTED = "the gateway's clock may be wrong"


@pytest.fixture
def traded(tmp_path: Path, shared_sandbox: RunningSandbox) -> Traded:
    """A home that traded."""
    return Traded(tmp_path, shared_sandbox)


def other_book(traded: Traded, orders: int) -> None:
    """Put the checkpoint of another home in place, whose log has so many orders."""
    other = Home(traded.home.folder.with_name("other"))
    other.folder.mkdir()

    async def trade(journal: FileJournal) -> None:
        for number in range(orders):
            await place(journal, replace(intent(), record=f"r{number}"), f"OAAAAA-BBBBB-{number:06}")

    in_journal(other, trade)
    shutil.copy(other.book, traded.home.book)


def of_another_log(traded: Traded) -> str:
    """Put another home's checkpoint in place."""
    other_book(traded, 1)
    return "is of another log"


def of_a_longer_log(traded: Traded) -> str:
    """Put the checkpoint of another home in place, whose log is longer than ours."""
    other_book(traded, 30)
    return "is of another log"


def damaged(traded: Traded) -> str:
    """Write over most of the checkpoint."""
    traded.home.book.write_bytes(traded.home.book.read_bytes()[:4096] + b"x" * 8192)
    return "malformed"


def of_a_newer_version(traded: Traded) -> str:
    """Have the checkpoint be of a version that this program does not know."""
    with sqlite3.connect(traded.home.book) as book:
        book.execute("PRAGMA user_version = 99")
    book.close()
    return "the checkpoint has version 99, this signer reads version 1"


@pytest.mark.parametrize("break_book", [of_another_log, of_a_longer_log, damaged, of_a_newer_version])
def test_a_checkpoint_that_cannot_be_used_is_made_anew(traded: Traded, break_book: Callable[[Traded], str]) -> None:
    """The doctor and the start say why, the file is kept aside, and caps and orders are those of the log."""
    what = break_book(traded)
    assert what in traded.told("doctor")[1]
    said = goes_on(traded, used=1)
    assert ALARM in said
    assert what in said
    assert "made anew" in said
    assert list(traded.home.folder.glob("book.db.damaged-*"))
    assert what in traded.made.wait_for_record(kind="recovered")["text"]
    status, told = traded.told("audit", "verify", "--book")
    assert (status, "nothing was changed" in told) == (0, True)


def test_a_record_of_a_newer_format_keeps_the_gateway_from_starting(traded: Traded) -> None:
    """Start, status, verify and doctor name the record, the format and what to do; the log stays as it is."""
    last = traded.segments()[-1]
    *before, line = last.read_bytes().splitlines(keepends=True)
    body = line[: -len(b',"digest":""}\n') - 64].replace(b'"v":%d' % VERSION, b'"v":%d' % (VERSION + 1))
    digest = hashlib.sha256(body + b"}").hexdigest().encode()
    changed = b"".join(before) + body + b',"digest":"' + digest + b'"}\n'
    last.chmod(0o600)
    last.write_bytes(changed)
    what = f"the record has format {VERSION + 1}, and this program reads format {VERSION} only"
    done = traded.made.process("serve")
    assert done.returncode == 5
    assert f"{what}; read it with the version of signer that wrote it" in done.stderr
    for command in (("status",), ("audit", "verify"), ("audit", "verify", "--book")):
        assert traded.told(*command)[0] == 5
        assert what in traded.told(*command)[1]
    assert what in traded.told("doctor")[1]
    assert last.read_bytes() == changed


class EarlierClock:
    """A clock that is a day behind."""

    def now_us(self) -> int:
        """Return the time a day ago."""
        return SystemClock().now_us() - DAY_US

    def monotonic(self) -> float:
        """Return the seconds that passed."""
        return SystemClock().monotonic()


@pytest.fixture(scope="module")
def exchange() -> Iterator[RunningSandbox]:
    """An exchange whose clock a test may set."""
    with small_exchange() as sandbox:
        yield sandbox


class OldHome:
    """A home whose last record, an order that is still open, is a day old."""

    def __init__(self, folder: Path, sandbox: RunningSandbox) -> None:
        self.made = MadeHome(folder / "home", sandbox)
        self.account = f"old-{folder.name[-30:]}"
        self.made.add_account(self.account)
        self.bot = self.made.add_client("bot", self.account, "slow")
        key = sandbox.control.make_key(self.account, tier="unlimited")
        direct = Bot("direct", key.api_key, key.api_secret, self.account, sandbox.url)
        (self.txid,) = direct.post("AddOrder", LIMIT, int(Nonces.fresh())).json()["result"]["txid"]
        asyncio.run(self._record())

    async def _record(self) -> None:
        home = self.made.home
        marks = await open_marks(home)
        journal = await open_journal(home, marks, BookFile(home.book), EarlierClock(), print)
        at_us = EarlierClock().now_us()
        await place(journal, replace(intent(orders=(resting(),)), account=self.account, at_us=at_us), self.txid)
        await close_journal(journal, marks)
        await marks.close()


@pytest.fixture
def old(tmp_path: Path, exchange: RunningSandbox) -> Iterator[OldHome]:
    """A home that nobody used for a day."""
    yield OldHome(tmp_path, exchange)
    exchange.control.clear_faults()
    exchange.control.skew(0)


def test_a_home_that_rested_for_a_day_trades_on(old: OldHome) -> None:
    """The exchange's clock agrees with ours, so no person is asked."""
    with restarted(old.made) as gateway:
        assert gateway.is_ready()
        assert errors(old.bot.at(gateway.url), "AddOrder", **order()) == []


def assert_doubted(old: OldHome, gateway: RunningGateway) -> None:
    """Orders are refused for the clock and not sent, and reads and cancels pass."""
    bot = old.bot.at(gateway.url)
    first, second = errors(bot, "AddOrder", **order())
    assert (first, DOUBTED in second) == (UNAVAILABLE, True)
    assert old.made.arrivals(old.account) == []
    assert errors(bot, "Balance") == []
    assert errors(bot, "CancelOrder", txid=old.txid) == []
    answer = gateway.get("/-/ready")
    assert answer is not None
    assert (answer.status_code, "nobody has confirmed that the clock is right" in answer.text) == (503, True)
    assert "signer clock accept" in old.made.here("status")


def accept(old: OldHome) -> None:
    """Accept the clock beside the gateway."""
    old.made.here("clock", "accept", "--reason", "it is right")


TIMELESS = [
    Errors(endpoint="Time", count=100_000, errors=("EService:Unavailable",)),
    NotJson(endpoint="Time", count=100_000),
]


@pytest.mark.parametrize("fault", TIMELESS, ids=lambda fault: fault.kind)
def test_a_clock_that_no_exchange_confirms_needs_a_persons_word(old: OldHome, fault: Fault) -> None:
    """An exchange that does not tell its time: orders wait for `clock accept`, and pass at once after it."""
    old.made.sandbox.control.add_fault(fault)
    with restarted(old.made) as gateway:
        assert_doubted(old, gateway)
        accept(old)
        assert errors(old.bot.at(gateway.url), "AddOrder", **order()) == []
        assert gateway.is_ready()
    assert [record["stage"] for record in old.made.records(kind="operator", act="clock accept")] == ["begun", "done"]


def test_an_exchange_with_another_clock_is_named(old: OldHome) -> None:
    """The alarm says how far off both clocks are, and what to do."""
    old.made.sandbox.control.skew(-3600)
    with restarted(old.made) as gateway:
        until(lambda: "kind=clock" in gateway.log(), "the alarm")
        hint = f"off the clock of {old.account}'s exchange; set the clock and restart"
        until(lambda: hint in gateway.log(), "the hint")
        assert_doubted(old, gateway)
        accept(old)
        assert errors(old.bot.at(gateway.url), "AddOrder", **order()) == []


def test_a_reset_beside_a_gateway_frees_a_cap_at_once(old: OldHome) -> None:
    """One order a day is used up, and the next passes after `caps reset`."""
    with restarted(old.made) as gateway:
        bot = old.bot.at(gateway.url)
        assert errors(bot, "AddOrder", **order()) == []
        assert "orders 1 / 24h" in errors(bot, "AddOrder", **order())[1]
        old.made.here("caps", "reset", "bot", "--reason", "a drill")
        assert errors(bot, "AddOrder", **order()) == []
