"""Lists the files of signer/ that an order runs through, and how often the running file changes on the way.

A real gateway is traced, with its threads: from the bytes that a bot sends to the outcome on the disk. Fewer files and
fewer changes are less to read for whoever follows an order through the code.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from benchmarks.calls import Credential, new_credential, signed_call
from benchmarks.gateway import gateway, make_home
from benchmarks.wrk import BenchError
from signer.sandbox.server import RunningSandbox, Settings

PACKAGE = f"{Path(__file__).parents[1] / 'signer'}{os.sep}"
WARM_UP, TRACED = 2, 9
"""Orders placed before and while the gateway is traced."""
BETWEEN_S = 0.3
"""Loops in the background run between two orders, so that none is due during one."""
SETTLED_S = 30.0
OUTCOME = b'"kind":"outcome"'


@dataclass(frozen=True, slots=True)
class OrderPath:
    """The files that every traced order ran through."""

    calls: Counter[str]
    """Functions entered or resumed per order, by the path of their file below signer/."""
    changes: int
    """How often a function was entered in another file than the one before, on all threads."""

    def __str__(self) -> str:
        rows = [f"{count:5} {name}" for name, count in sorted(self.calls.items())]
        return "\n".join(
            [*rows, f"an order runs through {len(self.calls)} files and changes file {self.changes} times"]
        )


def trace_order(folder: Path) -> OrderPath:
    """Trace orders through a gateway whose home is made in ``folder``. Raises `BenchError` if one is refused."""
    home, switch, log = folder / "home", folder / "switch", folder / "calls"
    switch.write_bytes(b"\0")
    log.touch()
    client = new_credential()
    with RunningSandbox(
        Settings(tier="unlimited", permissions=("query-funds", "query-open-trades", "modify-trades"))
    ) as sandbox:
        make_home(home, sandbox.url, {"bench": ("main", client, Credential(sandbox.api_key, sandbox.api_secret))})
        with gateway(home, "benchmarks.order_path", str(switch), str(log)) as running:
            _place_orders(running.url, client, home, switch)
    return _read(log)


def record_calls(switch: Path, log: Path) -> None:
    """Write each call of a function of signer/ to ``log``, on all threads to come, while ``switch`` is not zero."""
    with switch.open("rb") as file:
        order = mmap.mmap(file.fileno(), 1, prot=mmap.PROT_READ)
    sink = os.open(log, os.O_WRONLY | os.O_APPEND)

    def on_event(frame: FrameType, event: str, _: object) -> None:
        if order[0] and event == "call" and (name := frame.f_code.co_filename).startswith(PACKAGE):
            os.write(sink, f"{order[0]} {threading.get_native_id()} {name.removeprefix(PACKAGE)}\n".encode())

    asyncio.sleep = _sleep_while(order)  # type: ignore[assignment]
    threading.setprofile(on_event)
    sys.setprofile(on_event)


def _sleep_while(order: mmap.mmap) -> Callable[[float], Awaitable[None]]:
    """Return an `asyncio.sleep` that ends when no order is traced.

    Loops in the background are no part of an order, and on a slow machine they would be due during each.
    """
    sleep = asyncio.sleep

    async def slept(delay_s: float) -> None:
        await sleep(delay_s)
        while order[0]:
            await sleep(0.01)

    async def sleep_on(delay_s: float) -> None:
        await asyncio.create_task(slept(delay_s))  # a task of its own, so that the loop is not resumed meanwhile

    return sleep_on


def _place_orders(url: str, client: Credential, home: Path, switch: Path) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as bot, switch.open("r+b", buffering=0) as order:
        for number in range(WARM_UP + TRACED):
            time.sleep(BETWEEN_S)
            order.seek(0)
            order.write(bytes([max(0, number - WARM_UP + 1)]))
            bot.sendall(signed_call("AddOrder", time.time_ns() // 1000, client))
            answer = bot.recv(65536)
            if b'"txid"' not in answer:
                raise BenchError(f"an order failed: {answer!r}")
            _wait_for_outcomes(home, number + 1)
            order.seek(0)
            order.write(b"\0")


def _wait_for_outcomes(home: Path, count: int) -> None:
    until = time.monotonic() + SETTLED_S
    while sum(segment.read_bytes().count(OUTCOME) for segment in (home / "audit").glob("*.jsonl")) < count:
        if time.monotonic() > until:
            raise BenchError("an order's outcome is not in the audit log")
        time.sleep(0.01)


def _read(log: Path) -> OrderPath:
    """Count the files that every order ran, which leaves out what was due by chance during one of them."""
    entered = [line.split(" ", 2) for line in log.read_text(encoding="ascii").splitlines()]
    orders = Counter(name for _, name in {(order, name) for order, _, name in entered})
    kept = [(thread, name) for _, thread, name in entered if orders[name] == TRACED]
    last: dict[str, str] = {}
    changes = 0
    for thread, name in kept:
        changes += last.get(thread, name) != name
        last[thread] = name
    calls = Counter(name for _, name in kept)
    return OrderPath(Counter({name: round(count / TRACED) for name, count in calls.items()}), round(changes / TRACED))


def main(arguments: Sequence[str]) -> int:
    """Trace orders and print; with a switch, a log and a command's arguments, run that command and record it."""
    if not arguments:
        with tempfile.TemporaryDirectory() as folder:
            print(trace_order(Path(folder)))
        return 0
    from signer.cli.main import main as command  # noqa: PLC0415 - recorded from the first import on

    switch, log, *rest = arguments
    record_calls(Path(switch), Path(log))
    return command(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
