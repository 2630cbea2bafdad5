"""Measures processor time and memory of running processes (Linux, proc(5))."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

MIB = 2**20
TICKS = os.sysconf("SC_CLK_TCK")
CALM_S, IDLE_S = 5.0, 20.0


def with_children(pid: int) -> list[int]:
    """Return ``pid`` and the processes that it started itself."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [pid, *sorted(map(int, found.stdout.split()))]


def processor_seconds(processes: Sequence[int]) -> float:
    """Return the processor time that ``processes`` have used in all, with their threads (proc(5), ``stat``)."""
    spent = 0
    for pid in processes:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        spent += int(fields[11]) + int(fields[12])
    return spent / TICKS


def memory_mib(processes: Sequence[int]) -> tuple[float, float]:
    """Return the resident and proportional set sizes of all ``processes`` together, in MiB (Linux)."""
    sums = {"Rss:": 0, "Pss:": 0}
    for pid in processes:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            name, *rest = line.split()
            if name in sums:
                sums[name] += int(rest[0]) * 1024
    return sums["Rss:"] / MIB, sums["Pss:"] / MIB


def idle_share(processes: Sequence[int]) -> float:
    """Return which part of one core ``processes`` use while nothing is asked of them, measured for `IDLE_S`."""
    time.sleep(CALM_S)
    before, begun = processor_seconds(processes), time.monotonic()
    time.sleep(IDLE_S)
    return (processor_seconds(processes) - before) / (time.monotonic() - begun)
