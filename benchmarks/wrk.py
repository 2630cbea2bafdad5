"""Runs wrk and reads its results."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPLAY = Path(__file__).with_name("replay.lua")


class BenchError(Exception):
    """A measurement failed, so its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Load:
    """The results of one run: latencies in microseconds, and requests per second."""

    requests: int
    p50_us: float
    p99_us: float
    rps: float


def run_wrk(url: str, calls: Path, connections: int, seconds: int) -> Load:
    """Play ``calls`` over keep-alive connections. Raises `BenchError` if not every answer was a good one."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", REPLAY, url, "--", calls]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise BenchError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}") from None
    if said["bad"]:
        raise BenchError(f"{said['bad']} of {said['requests']} calls to {url} failed: {done.stderr.strip()}")
    return Load(said["requests"], said["p50_us"], said["p99_us"], said["requests"] / said["seconds"])
