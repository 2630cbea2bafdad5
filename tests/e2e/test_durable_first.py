"""Nothing is sent that is not durable before, as the operating system sees it (strace)."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from signer.sandbox.server import RunningSandbox
from tests.e2e import traces
from tests.e2e.traces import Step
from tests.harness.bots import Bot, order
from tests.harness.exchanges import small_exchange
from tests.harness.gateways import RunningGateway
from tests.harness.homes import MadeHome
from tests.harness.waiting import free_port, until

BOTS = 4
ORDERS = 6
"""Of each bot."""


def _may_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-e", "trace=none", "true"], capture_output=True, check=False).returncode == 0


needs_strace = pytest.mark.skipif(not _may_trace(), reason="no strace, or it may trace nothing: apt-get install strace")


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
        gateway = RunningGateway(made, under=traces.command(trace))
        try:
            traders = [Trader(bot.at(gateway.url), 1_000 * number) for number, bot in enumerate(bots, start=1)]
            with ThreadPoolExecutor(BOTS) as pool:
                list(pool.map(Trader.trade, traders))
        finally:
            status = gateway.stop()
    assert status == 0, gateway.log()  # the tracer has ended too, so the trace is whole
    return Traced(traces.steps(trace.read_text()), [price for one in traders for price in one.prices])


def _home(folder: Path, sandbox: RunningSandbox) -> tuple[MadeHome, Sequence[Bot]]:
    made = MadeHome(folder / "home", sandbox, listen=f"127.0.0.1:{free_port()}")
    made.add_account("traced")
    return made, [made.add_client(f"bot-{number}", "traced", "trader") for number in range(BOTS)]


class Trader:
    """A bot that tries again, with another order, as often as a slow machine makes it."""

    def __init__(self, bot: Bot, first_price: int) -> None:
        self.prices: list[str] = []
        self._bot = bot
        self._numbers = count(first_price)

    def trade(self) -> None:
        """Place orders with and without a name, and change one in each of two ways."""
        for number in range(ORDERS):
            until(partial(self._place, named=number % 2 == 0), "an order accepted")
        until(lambda: self._change("AmendOrder", "limit_price"), "an order amended")
        until(lambda: self._change("EditOrder", "price", pair="XBTUSD"), "an order edited")

    def _place(self, *, named: bool) -> str:
        """The exchange's name of a new order, if it was accepted."""
        price = self._next_price()
        name = {"cl_ord_id": f"n{price}"} if named else {}
        answer = self._asked("AddOrder", price, order(price, "0.001", **name))
        return answer["txid"][0] if answer else ""

    def _change(self, endpoint: str, price_name: str, **fields: str) -> bool:
        """Change an order of its own: that of an earlier try may be changed already."""
        txid, price = self._place(named=False), self._next_price()
        return bool(txid and self._asked(endpoint, price, {"txid": txid, price_name: price, **fields}))

    def _next_price(self) -> str:
        return f"{next(self._numbers)}.7"

    def _asked(self, endpoint: str, price: str, fields: Mapping[str, str]) -> dict[str, list[str]]:
        """The result, empty if the gateway was too slow for it."""
        answer = self._bot.post(endpoint, fields, time.time_ns()).json()
        assert all(error.startswith("EService") for error in answer["error"]), answer
        if answer["error"]:
            return {}
        self.prices.append(price)
        return dict(answer["result"])


def _is_log(step: Step) -> bool:
    return "/audit/audit-" in step.file


def _left(steps: Sequence[Step], price: str) -> Step:
    """The first call that hands the order of that price to the exchange's connection."""
    sent = re.compile(rf"POST /0/private/\w+.*price={re.escape(price)}\b")
    return min((step for step in steps if sent.search(step.text)), key=lambda step: step.began)


def _written(steps: Sequence[Step], price: str) -> Step:
    return next(
        step for step in steps if step.name == "write" and _is_log(step) and f'price\\":\\"{price}\\"' in step.text
    )


def _synced(steps: Sequence[Step], written: Step) -> Step:
    """The first sync of that segment that begins when the record is written, and ends well."""
    return next(
        step
        for step in steps
        if step.name == "fdatasync" and step.file == written.file and step.began > written.ended and step.is_done
    )


def _between(used: Sequence[Step], first: Step, last: Step) -> Sequence[str]:
    return [step.text for step in used if first.began < step.began < last.began]


@needs_strace
def test_an_order_leaves_after_the_sync_that_covers_its_record(traced: Traced) -> None:
    """Its record is written, then a sync of that segment begins and ends well, and then its bytes leave."""
    assert len(traced.prices) >= BOTS * (ORDERS + 4)
    for price in traced.prices:
        written = _written(traced.steps, price)
        assert _synced(traced.steps, written).ended < _left(traced.steps, price).began, price


@needs_strace
def test_a_flush_is_one_write_and_one_sync(traced: Traced) -> None:
    """Each write to the log is synced before the next one, and each sync has its write."""
    acts = {"write", "fdatasync", "fsync", "pwrite64", "writev"}
    done = [step.name for step in traced.steps if _is_log(step) and step.name in acts]
    assert len(done) > BOTS
    assert done == ["write", "fdatasync"] * (len(done) // 2)


@needs_strace
def test_the_checkpoint_is_no_part_of_the_order_path(traced: Traced) -> None:
    """No order waits for it: nothing uses it between a write and its sync, and most orders leave without any use of it.

    One that becomes due meanwhile may meet the orders that are on their way just then. At the stop it is stored.
    """
    written = [_written(traced.steps, price) for price in traced.prices]
    left = [_left(traced.steps, price) for price in traced.prices]
    used = [step for step in traced.steps if "book.db" in step.file]
    for one in written:
        assert _between(used, one, _synced(traced.steps, one)) == []
    met = [one for one, end in zip(written, left, strict=True) if _between(used, one, end)]
    assert len(met) < len(written) / 2
    assert any(step.began > left[-1].ended and step.name == "pwrite64" for step in used)


def test_a_call_that_other_threads_interrupt_is_one_step() -> None:
    """Its lines are put together, and a file's number means the same in all threads of a process, and in no other."""
    trace = """\
7     openat(AT_FDCWD, "/home/audit/audit-1", O_WRONLY|O_APPEND, 0600) = 12
7     clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_SETTLS, child_tid=0x7f} <unfinished ...>
8     write(12, "record", 6 <unfinished ...>
7     <... clone3 resumed> => {parent_tid=[8]}, 88) = 8
9     write(12, "another", 7)           = 7
8     <... write resumed>)              = 6
8     fdatasync(12)                     = -1 EIO (Input/output error)
7     close(12)                         = 0
8     write(12, "closed", 6)            = 6
"""
    found = [(step.name, step.file, step.began, step.ended, step.is_done) for step in traces.steps(trace)]
    assert found == [
        ("openat", "/home/audit/audit-1", 0, 0, True),
        ("clone3", "", 1, 3, True),
        ("write", "", 4, 4, True),
        ("write", "/home/audit/audit-1", 2, 5, True),
        ("fdatasync", "/home/audit/audit-1", 6, 6, False),
        ("close", "/home/audit/audit-1", 7, 7, True),
        ("write", "", 8, 8, True),
    ]
