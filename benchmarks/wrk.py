"""Runs wrk and reads its results."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import processor_seconds

REPLAY = Path(__file__).with_name("replay.lua")


class BenchError(Exception):
    """A measurement failed, so its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Load:
    """The results of one run: latencies in microseconds, requests per second, and processor time of a request."""

    requests: int
    p50_us: float
    p99_us: float
    rps: float
    processor_us: float = 0.0
    """0 if it was not measured."""


def run_wrk(url: str, calls: Path, connections: int, seconds: int, processes: Sequence[int] = ()) -> Load:
    """Play ``calls`` over keep-alive connections, and measure the processor time of ``processes`` meanwhile.

    Raises `BenchError` if not every answer was a good one.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", REPLAY, url, "--", calls]
    before = processor_seconds(processes)
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    spent_us = (processor_seconds(processes) - before) * 1e6
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise BenchError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}") from None
    if said["bad"]:
        raise BenchError(f"{said['bad']} of {said['requests']} calls to {url} failed: {done.stderr.strip()}")
    count = said["requests"]
    return Load(count, said["p50_us"], said["p99_us"], count / said["seconds"], spent_us / max(1, count))
