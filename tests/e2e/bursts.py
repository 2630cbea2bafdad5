"""Bots that call all the time while a key changes."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from typing import Any

from tests.harness.bots import Bot, order
from tests.harness.homes import MadeHome
from tests.harness.waiting import until


class Burst:
    """Bots that place orders one after the other until told to stop."""

    def __init__(self, bots: list[Bot]) -> None:
        self.errors: list[Any] = []
        self.placed = 0
        self._stop = threading.Event()
        self._nonces = [itertools.count(1_000_000) for _ in bots]
        self._threads = [
            threading.Thread(target=self._trade, args=pair) for pair in zip(bots, self._nonces, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def _trade(self, bot: Bot, nonces: Iterator[int]) -> None:
        while not self._stop.is_set():
            self.errors += bot.post("AddOrder", order(volume="0.0001"), next(nonces)).json()["error"]
            self.placed += 1

    def wait_for(self, more: int) -> None:
        """Until so many more orders have their answer."""
        target = self.placed + more
        until(lambda: self.placed >= target or self.errors, f"{more} more orders")

    def __enter__(self) -> Burst:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Wait for the answers that are still due."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


def nonces_by_key(made: MadeHome, *keys: str) -> list[list[int]]:
    """The nonces that arrived with each key, in order of arrival."""
    found: dict[str, list[int]] = {key: [] for key in keys}
    for arrival in made.sandbox.control.arrivals():
        key = next((value for name, value in arrival.headers if name.lower() == "api-key"), "")
        if key in found:
            number = re.search(rb"nonce=(\d+)", arrival.body)
            assert number is not None
            found[key].append(int(number[1]))
    return list(found.values())
