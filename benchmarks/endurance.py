"""Sends a million requests through one gateway and samples its memory, which must be small and stay flat."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.calls import Kind, new_credential, write_calls
from benchmarks.contenders import CACHE
from benchmarks.gateway import gateway, make_home
from benchmarks.measuring import memory_mib, with_children
from benchmarks.report import machine, write_between_markers
from benchmarks.upstream import nginx
from benchmarks.wrk import BenchError, run_wrk

CONNECTIONS = 16
SLICE_S = 5
CALLS_PER_SLICE = 16_000 * SLICE_S
ORDERS_EVERY = 5
"""One slice in so many places orders, which wait until the audit log has them."""
DOCUMENT = Path("docs/performance.md")


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
    samples: list[tuple[int, float, float]] = []
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="soak-") as name:
        folder = Path(name).absolute()
        with nginx(folder) as origin:
            make_home(folder / "home", origin, {"bench": ("main", client, new_credential())})
            with gateway(folder / "home") as running:
                processes = with_children(running.pid)
                samples.append((0, *memory_mib(processes)))
                while done < wanted:
                    kind: Kind = "AddOrder" if len(samples) % ORDERS_EVERY == 0 else "Balance"
                    write_calls(folder / "calls", kind, CALLS_PER_SLICE, client)
                    count = run_wrk(running.url, folder / "calls", CONNECTIONS, SLICE_S).requests
                    done, orders = done + count, orders + (count if kind == "AddOrder" else 0)
                    samples.append((done, *memory_mib(processes)))
                    print(f"soak: {_sample(samples[-1])}", file=sys.stderr)
                if with_children(running.pid) != processes:
                    raise BenchError("the worker process was replaced during the run")
    return _table(samples, orders)


def _table(samples: list[tuple[int, float, float]], orders: int) -> str:
    """Show the first sample, one at each tenth of the way, and the last."""
    shown = [samples[round(step * (len(samples) - 1) / 10)] for step in range(11)]
    lines = [
        f"On {machine()}: {samples[-1][0]:,} requests at {CONNECTIONS} connections, {orders:,} of them orders.",
        "",
    ]
    lines += ["| requests | resident, master + worker | the same, shared pages counted once |", "|---|---|---|"]
    lines += [f"| {count:,} | {rss:.1f} MiB | {pss:.1f} MiB |" for count, rss, pss in dict.fromkeys(shown)]
    return "\n".join(lines)


def _sample(sample: tuple[int, float, float]) -> str:
    count, rss, pss = sample
    return f"{count:>9,} requests  RSS {rss:6.1f} MiB  PSS {pss:6.1f} MiB"


if __name__ == "__main__":
    sys.exit(main())
