"""Sends a million requests through one gateway and samples its memory, which must be small and stay flat.

The exchange lists no order as open. So each order is known to be closed a few minutes after it was placed, and leaves
memory with the next checkpoint.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from typing_extensions import override

from benchmarks.calls import Kind, new_credential, write_calls
from benchmarks.contenders import CACHE
from benchmarks.gateway import gateway, make_home
from benchmarks.measuring import MIB, memory_mib, with_children
from benchmarks.report import machine, write_between_markers
from benchmarks.upstream import nginx
from benchmarks.wrk import BenchError, run_wrk

CONNECTIONS = 16
SLICE_S, ORDERS_S = 5, 1
"""The seconds of a slice of reads, and of one of orders, which are as many as a bot may have open or some more."""
MOST_PER_S = 8_000
ORDERS_EVERY = 10
"""One slice in so many places orders."""
DOCUMENT = Path("docs/performance.md")


class Sample(NamedTuple):
    """What was seen after some requests; sizes in MiB."""

    requests: int
    rss: float
    pss: float
    """The resident memory of master and worker, with the pages that they share counted once."""
    open_orders: int
    """The orders that the checkpoint has as open."""
    log: float

    @override
    def __str__(self) -> str:
        memory = f"RSS {self.rss:6.1f} MiB  PSS {self.pss:6.1f} MiB"
        return f"{self.requests:>9,} requests  {memory}  {self.open_orders:>6,} orders open  log {self.log:5.0f} MiB"


def main() -> int:
    """Run, print, and write the result into docs/performance.md; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--no-write", action="store_true")
    asked = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        text = _run(asked.requests)
    except BenchError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    print(text)
    if not asked.no_write:
        write_between_markers(DOCUMENT, text, "soak")
    return 0


def _run(wanted: int) -> str:
    client, done, orders = new_credential(), 0, 0
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="soak-") as name:
        folder = Path(name).absolute()
        with nginx(folder) as origin:
            home = folder / "home"
            make_home(home, origin, {"bench": ("main", client, new_credential())})
            with gateway(home) as running:
                processes = with_children(running.pid)
                samples.append(Sample(0, *memory_mib(processes), *_kept(home)))
                while done < wanted:
                    kind: Kind = "AddOrder" if len(samples) % ORDERS_EVERY == 0 else "Balance"
                    seconds = ORDERS_S if kind == "AddOrder" else SLICE_S
                    write_calls(folder / "calls", kind, MOST_PER_S * seconds, client)
                    count = run_wrk(running.url, folder / "calls", CONNECTIONS, seconds).requests
                    done, orders = done + count, orders + (count if kind == "AddOrder" else 0)
                    samples.append(Sample(done, *memory_mib(processes), *_kept(home)))
                    print(f"soak: {samples[-1]}", file=sys.stderr, flush=True)
                if with_children(running.pid) != processes:
                    raise BenchError("the worker process was replaced during the run")
    return _table(samples, orders)


def _kept(home: Path) -> tuple[int, float]:
    """Return how many orders the checkpoint has as open, and the size of the log in MiB."""
    log = sum(segment.stat().st_size for segment in (home / "audit").glob("*.jsonl")) / MIB
    if not (home / "book.db").exists():
        return 0, log
    with contextlib.closing(sqlite3.connect(f"file:{home / 'book.db'}?mode=ro", uri=True)) as book:
        (count,) = book.execute("SELECT count(*) FROM orders WHERE closed = 0").fetchone()
    return count, log


def _table(samples: list[Sample], orders: int) -> str:
    """Show the first sample, one at each tenth of the way, and the last."""
    shown = [samples[round(step * (len(samples) - 1) / 10)] for step in range(11)]
    lines = [
        f"On {machine()}: {samples[-1].requests:,} requests at {CONNECTIONS} connections, {orders:,} of them orders.",
        "",
        "| requests | resident, master + worker | the same, shared pages counted once | orders open | log |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.requests:,} | {one.rss:.1f} MiB | {one.pss:.1f} MiB | {one.open_orders:,} | {one.log:.0f} MiB |"
        for one in dict.fromkeys(shown)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
