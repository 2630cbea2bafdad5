"""Runs `make bench`: short interleaved rounds over all contenders, whose medians go into docs/performance.md."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.calls import Kind, write_calls
from benchmarks.contenders import CACHE, DIRECT, GATEWAY, GO, MEMORY, NO_DISK, WIDE_LANE, Field, started
from benchmarks.measuring import idle_share, memory_mib
from benchmarks.report import Key, Loads, Report, tables, write_between_markers
from benchmarks.stores import every_store
from benchmarks.wrk import BenchError, Load, run_wrk

CONNECTIONS = (1, 16)
PLACES_ORDERS = (DIRECT, GO, GATEWAY, WIDE_LANE, NO_DISK)
CALLS_PER_SECOND = 16_000
"""Calls made beforehand for each second, more than a gateway answers. A faster peer has no nonces and repeats them."""
DOCUMENT = Path("docs/performance.md")


def main() -> int:
    """Measure and write the tables; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="whole seconds of each measurement in a round")
    parser.add_argument("--only", help="contenders whose names contain this, or: key stores")
    parser.add_argument("--no-write", action="store_true", help="print the tables, leave docs/performance.md alone")
    asked = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        report = _measure(asked.rounds, asked.seconds, asked.only or "")
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    text = tables(report)
    print(text)
    if not asked.no_write and not asked.only:
        write_between_markers(DOCUMENT, text, "bench")
        print(f"bench: written to {DOCUMENT}")
    return 0


def _measure(rounds: int, seconds: int, only: str) -> Report:
    with ExitStack() as stack:
        folder, memory = stack.enter_context(_folders())
        field = stack.enter_context(started(folder, memory))
        wanted = only in "key stores"
        watched = field.processes[GATEWAY]
        idle = idle_share(watched) if not only else None
        stores = stack.enter_context(every_store(folder, memory or folder, field.origin)) if wanted else None
        loads: Loads = defaultdict(list)
        flushes: list[float] = []
        for number in range(rounds):
            print(f"bench: round {number + 1} of {rounds} …", file=sys.stderr)
            flushes += _flush_seconds(folder / "flushed")
            for kind in ("Balance", "AddOrder"):
                _round(field, kind, seconds, only, folder / "calls", loads)
            if stores is not None:
                stores.round(folder / "calls", seconds, CALLS_PER_SECOND)
        measured = stores.measured if stores is not None else None
        flush_s, used = statistics.median(flushes), memory_mib(watched)
        return Report(loads, flush_s, field.ready_s, field.unlock_s, rounds, seconds, idle, used, measured)


def _round(field: Field, kind: Kind, seconds: int, only: str, calls: Path, loads: Loads) -> None:
    for connections in CONNECTIONS:
        write_calls(calls, kind, CALLS_PER_SECOND * seconds, field.client)
        for name, url in _who(field.urls, kind, only):
            load = run_wrk(url, calls, connections, seconds, field.processes.get(name, ()))
            loads[Key(kind, name, connections)].append(load)
            _show(name, kind, connections, load)


def _who(urls: Mapping[str, str], kind: Kind, only: str) -> Iterator[tuple[str, str]]:
    for name, url in urls.items():
        if only in name and (kind == "Balance" or name in PLACES_ORDERS):
            yield name, url


def _show(name: str, kind: Kind, connections: int, load: Load) -> None:
    figures = f"p50 {load.p50_us / 1000:8.3f} ms  {load.rps:8.0f}/s  {load.processor_us:6.0f} µs of processor"
    print(f"  {kind:8} c={connections:<2} {name:24} {figures}", file=sys.stderr)


def _flush_seconds(path: Path, count: int = 50) -> Sequence[float]:
    """Measure the seconds of one `fdatasync` of an appended record on this disk."""
    taken = []
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    try:
        for _ in range(count):
            os.write(descriptor, bytes(700))
            before = time.perf_counter()
            os.fdatasync(descriptor)
            taken.append(time.perf_counter() - before)
    finally:
        os.close(descriptor)
    return taken


@contextmanager
def _folders() -> Iterator[tuple[Path, Path | None]]:
    """Make a folder on this disk, and one on tmpfs if there is any."""
    with ExitStack() as stack:
        disk = stack.enter_context(tempfile.TemporaryDirectory(dir=CACHE, prefix="run-"))
        memory = None
        if os.access(MEMORY, os.W_OK):
            memory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY, prefix="signer-bench-")))
        yield Path(disk).absolute(), memory


if __name__ == "__main__":
    sys.exit(main())
