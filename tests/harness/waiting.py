"""How tests wait for what another process does."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

PATIENCE_S = 120.0
"""Longer than anything that is waited for takes on a busy machine: it decides how a test fails, never whether."""


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def until(seen: Callable[[], object], what: str) -> None:
    """Wait for what can only be observed by asking, less and less often. Fails naming it."""
    begun = time.monotonic()
    while not seen():
        waited = time.monotonic() - begun
        assert waited < PATIENCE_S, f"not seen within {PATIENCE_S} s: {what}"
        time.sleep(min(0.02 + waited / 10, 0.5))
