"""Nothing is sent that is not durable before, as the operating system sees it (strace)."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from signer.sandbox.server import RunningSandbox
from tests.harness.bots import Bot, order
from tests.harness.exchanges import small_exchange
from tests.harness.gateways import RunningGateway
from tests.harness.homes import MadeHome
from tests.harness.waiting import free_port, until

CALLS = "write,writev,pwrite64,sendto,sendmsg,fdatasync,fsync,openat,pread64,fcntl"
"""The calls by which bytes leave, become durable, or by which SQLite uses a file."""
BOTS = 4
ORDERS = 6
"""Of each bot."""


@dataclass(frozen=True)
class Step:
    """One call to the operating system, as far as it matters here."""

    at: int
    """Its place among all; of a call that was waited for, the place of its end."""
    name: str
    file: str
    text: str
    """All that the trace says of it."""


def _may_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return (
        subprocess.run(["strace", "-D", "-e", "trace=none", "true"], capture_output=True, check=False).returncode == 0
    )


pytestmark = pytest.mark.skipif(not _may_trace(), reason="no strace, or it may trace nothing: apt-get install strace")


@dataclass(frozen=True)
class Traced:
    """What a gateway did while bots placed and changed orders."""

    steps: Sequence[Step]
    prices: Sequence[str]
    """Of each order that the exchange accepted, new or changed, a price of its own."""


@pytest.fixture(name="traced", scope="module")
def _traced(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    folder = tmp_path_factory.mktemp("traced")
    with small_exchange() as sandbox:
        trace = folder / "trace"
        made, bots = _home(folder, sandbox)
        under = ["strace", "-D", "-f", "-y", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(trace)]
        gateway = RunningGateway(made, under=under)
        pid = gateway.process.pid
        try:
            traders = [Trader(bot.at(gateway.url), 1_000 * number) for number, bot in enumerate(bots, start=1)]
            with ThreadPoolExecutor(BOTS) as pool:
                list(pool.map(Trader.trade, traders))
        finally:
            gateway.stop()
        until(lambda: re.search(rf"^{pid} \+\+\+ ", trace.read_text(), re.MULTILINE), "the end of the trace")
    return Traced(list(_parsed(trace.read_text())), [price for one in traders for price in one.prices])


def _home(folder: Path, sandbox: RunningSandbox) -> tuple[MadeHome, Sequence[Bot]]:
    made = MadeHome(folder / "home", sandbox, listen=f"127.0.0.1:{free_port()}")
    made.add_account("traced")
    return made, [made.add_client(f"bot-{number}", "traced", "trader") for number in range(BOTS)]


class Trader:
    """A bot that tries again, at another price, as often as a slow machine makes it."""

    def __init__(self, bot: Bot, first_price: int) -> None:
        self.prices: list[str] = []
        self._bot = bot
        self._numbers = count(first_price)

    def trade(self) -> None:
        """Place orders with and without a name, and change the last one in both ways."""
        for number in range(ORDERS):
            name = {} if number % 2 else {"cl_ord_id": "n{price}"}
            (txid,) = self._accepted("AddOrder", **order("{price}", "0.001", **name))["txid"]
        self._accepted("AmendOrder", txid=txid, limit_price="{price}")
        self._accepted("EditOrder", pair="XBTUSD", txid=txid, price="{price}")

    def _accepted(self, endpoint: str, **fields: str) -> dict[str, list[str]]:
        until(lambda: self._try(endpoint, fields), f"{endpoint} accepted")
        return self._result

    def _try(self, endpoint: str, fields: dict[str, str]) -> bool:
        price = f"{next(self._numbers)}.7"
        priced = {name: value.replace("{price}", price) for name, value in fields.items()}
        answer = self._bot.post(endpoint, priced, time.time_ns()).json()
        assert all(error.startswith("EService") for error in answer["error"]), answer
        if not answer["error"]:
            self._result: dict[str, list[str]] = answer["result"]
            self.prices.append(price)
        return not answer["error"]


def _parsed(trace: str) -> Iterator[Step]:
    """Read a trace. A call that others interrupted stands in two lines: it has happened at the second."""
    begun: dict[str, str] = {}
    for at, line in enumerate(trace.splitlines()):
        pid, _, rest = line.partition(" ")
        rest = rest.lstrip()
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest
            yield from _step(at, "began ", rest)
        elif rest.startswith("<..."):
            yield from _step(at, "", begun.pop(pid) + rest)
        else:
            yield from _step(at, "", rest)


def _step(at: int, prefix: str, text: str) -> Iterator[Step]:
    found = re.match(r"(\w+)\((?:AT_FDCWD<[^>]*>, \"([^\"]*)\"|\d+<([^>]*)>)", text)
    if found is not None:
        yield Step(at, prefix + found[1], found[2] or found[3] or "", text)


def _is_log(step: Step) -> bool:
    return "/audit/audit-" in step.file


def _left(steps: Sequence[Step], price: str) -> Step:
    """The first bytes of the order of that price that leave for the exchange."""
    return next(step for step in steps if re.search(rf"POST /0/private/\w+.*price={re.escape(price)}\b", step.text))


def _written(steps: Sequence[Step], price: str) -> Step:
    return next(
        step for step in steps if step.name == "write" and _is_log(step) and f'price\\":\\"{price}\\"' in step.text
    )


def test_an_order_leaves_after_the_sync_that_covers_its_record(traced: Traced) -> None:
    """Its record is written, a sync of that segment that begins after that has ended well, and then its bytes leave."""
    for price in traced.prices:
        written, left = _written(traced.steps, price), _left(traced.steps, price)
        later = [step for step in traced.steps if step.file == written.file and step.at > written.at]
        synced = next(step for step in later if step.name == "fdatasync" and step.text.endswith("= 0"))
        assert written.at < synced.at < left.at, price


def test_a_flush_is_one_write_and_one_sync(traced: Traced) -> None:
    """Each write to the log is synced before the next one, and each sync has its write."""
    acts = {"write", "fdatasync", "fsync", "pwrite64", "writev"}
    done = [step.name for step in traced.steps if _is_log(step) and step.name in acts]
    assert len(done) > BOTS
    assert done == ["write", "fdatasync"] * (len(done) // 2)


def test_the_checkpoint_is_no_part_of_the_order_path(traced: Traced) -> None:
    """While orders come and leave nothing is read from it or written to it; at the stop it is."""
    asked = [(_written(traced.steps, price).at, _left(traced.steps, price).at) for price in traced.prices]
    first, last = min(begun for begun, _ in asked), max(left for _, left in asked)
    used = [step for step in traced.steps if "book.db" in step.file]
    assert [step.text for step in used if first < step.at < last] == []
    assert any(step.at > last and step.name == "pwrite64" for step in used)
