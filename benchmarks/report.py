"""Writes the measurements as tables in Markdown, and compares them with their targets."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from benchmarks.calls import Kind
from benchmarks.contenders import GATEWAY, GO, MITMPROXY, NO_DISK, WIDE_LANE
from benchmarks.optimised import is_optimised
from benchmarks.stores import AT_ONCE, BARE, BOTH, HVAC, TOKEN, Measured
from benchmarks.wrk import Load


class Key(NamedTuple):
    """What identifies one measurement, which is repeated every round."""

    kind: Kind
    contender: str
    connections: int


Loads: TypeAlias = dict[Key, list[Load]]


@dataclass(frozen=True, slots=True)
class Report:
    """The measurements of one run."""

    loads: Loads
    flush_s: float
    ready_s: float
    unlock_s: float
    rounds: int
    seconds: int
    idle: float | None
    """The part of a core that the gateway uses while nobody calls."""
    memory: tuple[float, float]
    """The gateway's resident and proportional set size after the last round, in MiB, master and worker together."""
    stores: Measured | None = None

    def p50_ms(self, kind: Kind, contender: str, connections: int = 1) -> float | None:
        """Return the median over the rounds of the median latency in ms, None if it was not measured."""
        return self._median(Key(kind, contender, connections), lambda load: load.p50_us / 1000)

    def rps(self, kind: Kind, contender: str, connections: int = 16) -> float | None:
        """Return the median over the rounds of the requests per second, None if they were not measured."""
        return self._median(Key(kind, contender, connections), lambda load: load.rps)

    def processor_us(self, kind: Kind, contender: str, connections: int = 16) -> float | None:
        """Return the median over the rounds of the processor time of a request, None if it was not measured."""
        return self._median(Key(kind, contender, connections), lambda load: load.processor_us)

    def p99_over_p50(self, kind: Kind, contender: str, connections: int = 1) -> float | None:
        """Return the median over the rounds of p99 by p50, None if they were not measured."""
        return self._median(Key(kind, contender, connections), lambda load: load.p99_us / load.p50_us)

    def _median(self, key: Key, figure: Callable[[Load], float]) -> float | None:
        loads = self.loads.get(key)
        return statistics.median(map(figure, loads)) if loads else None


def tables(report: Report) -> str:
    """Write all tables in Markdown."""
    measured = f"{report.rounds} interleaved rounds of {report.seconds} s each, medians; ratios are of this one run"
    lines = [f"Measured on {machine()}: {measured}.", ""]
    lines += [*_contenders(report, "Balance", "Reads (`Balance`)"), ""]
    lines += [*_contenders(report, "AddOrder", "Orders (`AddOrder`, limit)"), ""]
    lines += [*_stores(report.stores), ""] if report.stores else []
    lines += ["| figure | target | measured | |", "|---|---|---|---|", *_targets(report)]
    return "\n".join(lines)


def machine() -> str:
    """Describe this machine in one line."""
    model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ": " + platform.machine())
    total = next((line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "")
    memory = f"{int(total.split()[1]) / 2**20:.0f} GiB, " if total else ""
    name = model.split(":", 1)[1].strip()
    build = "built with optimisation" if is_optimised() else "built without optimisation"
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()} {build}"
    return f"{os.cpu_count()} × {name}, {memory}{system}"


def write_between_markers(path: Path, text: str, name: str) -> None:
    """Replace the text between the markers of that name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def _contenders(report: Report, kind: Kind, title: str) -> Iterator[str]:
    yield f"| {title} | p50 at 1 | p99 at 1 | p50 at 16 | requests/s at 1 | requests/s at 16 | processor, each at 16 |"
    yield "|---|---|---|---|---|---|---|"
    for name in dict.fromkeys(key.contender for key in report.loads if key.kind == kind):
        one, many = report.loads[Key(kind, name, 1)], report.loads[Key(kind, name, 16)]
        tail = statistics.median(load.p99_us for load in one) / 1000
        many_ms = statistics.median(load.p50_us for load in many) / 1000
        rates = (statistics.median(load.rps for load in loads) for loads in (one, many))
        first = report.p50_ms(kind, name) or 0.0
        yield (
            f"| {name} | {first:.2f} ms | {tail:.2f} ms | {many_ms:.2f} ms | "
            + " | ".join(f"{rate:,.0f}" for rate in rates)
            + f" | {_microseconds(report.processor_us(kind, name))} |"
        )


def _targets(report: Report) -> Iterator[str]:
    yield f"| one `fdatasync` on this disk | – | {report.flush_s * 1000:.2f} ms | |"
    yield from _read_targets(report)
    yield from _order_targets(report)
    yield from _cost_targets(report)
    if report.stores:
        yield from _store_targets(report.stores)
    start = report.ready_s - report.unlock_s
    yield _row("start to ready without the passphrase's cost, s", "< 1", start, start < 1)


def _read_targets(report: Report) -> Iterator[str]:
    read, rate, wide = (
        report.p50_ms("Balance", GATEWAY),
        report.rps("Balance", GATEWAY),
        report.rps("Balance", WIDE_LANE),
    )
    go, go_rate, mitm_rate = report.p50_ms("Balance", GO), report.rps("Balance", GO), report.rps("Balance", MITMPROXY)
    tail = report.p99_over_p50("Balance", GATEWAY)
    if read and go:
        yield _row("reads, p50 at 1, × Go's", "≤ 1.8", read / go, read <= 1.8 * go)
    if tail:
        yield _row("reads, p99 at 1, × p50", "≤ 4", tail, tail <= 4)
    if rate and go_rate:
        yield _row("reads, requests/s at 16, × Go's", "≥ 0.45", rate / go_rate, rate >= 0.45 * go_rate)
    if wide and go_rate:
        yield _row("the same with lane_depth 16", "≥ 0.6", wide / go_rate, wide >= 0.6 * go_rate)
    if rate and mitm_rate:
        yield _row("reads, requests/s at 16, × mitmproxy's", "≥ 8", rate / mitm_rate, rate >= 8 * mitm_rate)


def _order_targets(report: Report) -> Iterator[str]:
    read, order = report.p50_ms("Balance", GATEWAY), report.p50_ms("AddOrder", GATEWAY)
    if read and order:
        bound = 2.2 * read + report.flush_s * 1000
        yield _row("orders, p50 at 1, ms", f"≤ {bound:.2f} (2.2 × reads + `fdatasync`)", order, order <= bound)
    for name, figure in ((GATEWAY, "orders, requests/s at 16, × reads"), (NO_DISK, "the same with the home in memory")):
        reads, orders = report.rps("Balance", name), report.rps("AddOrder", name)
        if reads and orders:
            yield _row(figure, "≥ 0.5", orders / reads, orders >= 0.5 * reads)


def _cost_targets(report: Report) -> Iterator[str]:
    bounds: Sequence[tuple[Kind, str, float]] = (("Balance", "reads", 2.5), ("AddOrder", "orders", 4.5))
    for kind, name, bound in bounds:
        ours, go = report.processor_us(kind, GATEWAY), report.processor_us(kind, GO)
        if ours and go:
            yield _row(f"{name}, processor for each at 16, × Go's", f"≤ {bound}", ours / go, ours <= bound * go)
    if report.idle is not None:
        yield _row("processor while nobody calls, % of a core", "< 0.5", report.idle * 100, report.idle < 0.005)
    resident, shared_once = report.memory
    figure = "memory of master and worker after the run, MiB, pages that both share counted once"
    yield _row(figure, "≤ 100", shared_once, shared_once <= 100)
    yield f"| the same, such pages counted twice | – | {resident:.2f} | |"


def _stores(measured: Measured) -> Iterator[str]:
    titles = ("reads, p50 at 1", "adds", "orders, p50 at 1", "adds", "reads/s at 16", "orders/s at 16", "a signature")
    yield f"| Key in | {' | '.join(titles)} |"
    yield "|---" * (len(titles) + 1) + "|"
    for store in dict.fromkeys(store for _, store in measured.rps):
        cells = []
        for kind in BOTH:
            cells.append(f"{statistics.median(measured.calls_us[kind, store]):,.0f} µs")
            cells.append(f"{measured.adds_us(kind, store):+,.0f} µs" if store != "file" else "–")
        cells += [f"{statistics.median(measured.rps[kind, store]):,.0f}" for kind in BOTH]
        yield f"| {store} | {' | '.join(cells)} | {statistics.median(measured.signatures_us[store]):,.0f} µs |"
    bare = [f"{statistics.median(measured.calls_us[kind, BARE]):,.0f} µs" for kind in BOTH]
    last = [f"{statistics.median(measured.signatures_us[name]):,.0f} µs" for name in (BARE, HVAC, TOKEN)]
    yield f"| {BARE} to Vault | {bare[0]} | | {bare[1]} | | | | {last[0]} |"
    yield f"| {HVAC} | | | | | | | {last[1]} |"
    yield f"| {TOKEN} | | | | | | | {last[2]} |"


def _store_targets(measured: Measured) -> Iterator[str]:
    for kind, name in zip(BOTH, ("reads", "orders"), strict=True):
        added = measured.adds_us(kind, "vault-kv") / statistics.median(measured.calls_us[kind, "file"])
        yield _row(f"{name} with vault-kv, p50 at 1, added", "≤ 0.05 (nothing measurable)", added, added <= 0.05)
    for kind, name in zip(BOTH, ("reads", "orders"), strict=True):
        added = measured.adds_us(kind, "pkcs11")
        yield _row(f"{name} with pkcs11, p50 at 1, added, µs", "≤ 100", added, added <= 100)
    over = measured.transit_over_bare()
    yield _row("a signature by vault-transit, × a bare round trip", "≤ 1.3", over, over <= 1.3)
    for kind, name in zip(BOTH, ("a read", "an order"), strict=True):
        over = measured.transit_adds_over_bare(kind)
        yield _row(f"what vault-transit adds to {name}, × a bare round trip", "≤ 1.3", over, over <= 1.3)
    ratio = measured.transit_at_once()
    yield _row(f"reads with vault-transit, requests/s at {AT_ONCE}, × at 1", "> 1", ratio, ratio > 1)


def _row(figure: str, target: str, measured: float, reached: bool) -> str:
    return f"| {figure} | {target} | {measured:.2f} | {'reached' if reached else '**missed**'} |"


def _microseconds(figure: float | None) -> str:
    return f"{figure:,.0f} µs" if figure else "–"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
