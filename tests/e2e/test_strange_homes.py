"""A gateway on a home that was damaged, put back or mixed up, or with a clock in doubt: what it says and what it does.

Each test has a home whose gateway placed an order, and changes it while nothing runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from signer.audit import close_journal, open_journal
from signer.audit.reading import VERSION
from signer.home.layout import Home
from signer.ledger import open_marks
from signer.ledger.checkpoint import BookFile
from signer.sandbox.faults import Errors, Fault, NotJson
from signer.sandbox.server import RunningSandbox
from signer.serving.clock import SystemClock
from tests.e2e.refusals import UNAVAILABLE
from tests.e2e.test_archive import old_days
from tests.harness.bots import AHEAD_NS, LIMIT, Bot, Nonces, order
from tests.harness.exchanges import small_exchange
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import MadeHome
from tests.harness.journals import in_journal, place
from tests.harness.waiting import until
from tests.unit.ledger.calls import intent
from tests.unit.ledger.calls import order as resting

DAY_US = 86_400_000_000
ALARM = "level=alarm kind=audit"
DOUBTED = "the gateway's clock may be wrong"


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


@pytest.fixture
def traded(tmp_path: Path, shared_sandbox: RunningSandbox) -> Traded:
    """A home that traded."""
    return Traded(tmp_path, shared_sandbox)


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


def of_another_log(traded: Traded) -> str:
    """Put another home's checkpoint in place."""
    other = Home(traded.home.folder.with_name("other"))
    other.folder.mkdir()
    in_journal(other, lambda journal: place(journal, intent(), "OAAAAA-BBBBB-CCCCCC"))
    shutil.copy(other.book, traded.home.book)
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


@pytest.mark.parametrize("break_book", [of_another_log, damaged, of_a_newer_version])
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


def test_a_segment_that_is_missing_is_named_and_the_book_is_that_of_the_checkpoint(traded: Traded) -> None:
    """Verification names segment and records; the checkpoint has all of them, so caps hold and orders pass."""
    traded.segments()[1].unlink()
    status, told = traded.told("audit", "verify")
    assert (status, "records 3 to 4 are missing, and segment 2 with them" in told) == (1, True)
    assert ALARM not in goes_on(traded, used=1)


def test_a_book_that_lacks_a_segment_is_said_with_the_hint(traded: Traded) -> None:
    """Without segment and checkpoint, the start says which records the book lacks, in an alarm and on record."""
    traded.segments()[1].unlink()
    traded.home.book.unlink()
    what = "records 3 to 4 are missing, and the book lacks them; `signer audit verify` names the place"
    with restarted(traded.made) as gateway:
        until(lambda: what in gateway.log(), "the alarm")
        assert errors(traded.bot.at(gateway.url), "CancelOrder", txid=traded.txid) == []
    assert traded.made.wait_for_record(kind="recovered")["text"] == what


def put_back(traded: Traded) -> None:
    """Put the log back to what it was before the last order."""
    kept = traded.home.folder.with_name("kept")
    shutil.copytree(traded.home.audit, kept)
    traded.trades_on()
    shutil.rmtree(traded.home.audit)
    shutil.copytree(kept, traded.home.audit)


def without_last_segment(traded: Traded) -> None:
    """Remove the log's last segment, with all orders in it."""
    traded.trades_on()
    traded.segments()[-1].unlink()


@pytest.mark.parametrize("cut", [put_back, without_last_segment])
def test_a_log_whose_end_is_gone_is_said_and_caps_hold(traded: Traded, cut: Callable[[Traded], None]) -> None:
    """Doctor, verify and the start say it. The checkpoint has what the log lacks: nothing spent is forgotten, and a
    cancel finds its order."""
    cut(traded)
    assert "and marks.db knows record" in traded.told("doctor")[1]
    status, told = traded.told("audit", "verify")
    assert (status, "the end was cut off" in told) == (1, True)
    said = goes_on(traded, used=2)
    assert ALARM in said
    assert "was written: records are missing; `signer audit verify` names the place" in said
    assert "audit log: lacks record" in said
    status, told = traded.told("audit", "verify")
    assert (status, "are missing" in told) == (1, True)  # the gap stays for ever


def test_marks_that_were_put_back_stop_nothing(traded: Traded) -> None:
    """They prove less of the log's end, which verify says; the book does not depend on them."""
    kept = traded.home.marks.read_bytes()
    traded.trades_on()
    traded.home.marks.write_bytes(kept)
    status, told = traded.told("audit", "verify")
    assert (status, "note: the end is not proven: records are known up to" in told) == (0, True)
    assert ALARM not in goes_on(traded, used=2)


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
