"""Halts that are in force though they are not on record yet, and when the folder that holds them is looked at."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

from signer.contracts import Clock
from signer.model.halts import Halts

LOOK_EVERY_S: Final = 0.2
"""How often the folder of brakes is looked at."""

OLDEST_S: Final = 0.25
"""How old the word of the brake files may be when a call asks whether it is halted."""


@final
class Braked:
    """The halts in memory of one running gateway. A look at the folder waits for no disk that hangs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.halts: Halts = {}
        """The halts in force, as of `looked_at`."""
        self.looked_at = 0.0
        """When the folder was last looked at, by the monotonic clock."""
        self._folder: Path | None = None
        self._look: Callable[[], None] = lambda: None
        self._found = True

    def follow(self, folder: Path, look: Callable[[], None]) -> None:
        """Have ``look`` called now, and as often as there is something in ``folder``: it calls `brake`."""
        self._folder, self._look, self.looked_at = folder, look, self._clock.monotonic()
        look()

    async def watch(self) -> None:
        """Look at the folder for ever, on the event loop."""
        while True:
            self.look_if_older(LOOK_EVERY_S / 2)
            await asyncio.sleep(LOOK_EVERY_S)

    def brake(self, halts: Halts) -> None:
        """Put these halts in force, in the place of those of the call before."""
        self.halts = halts

    def look_if_older(self, than_s: float) -> None:
        """Look at the folder if the last look is older than that. An empty one costs a system call."""
        if self._folder is None or self._clock.monotonic() - self.looked_at <= than_s:
            return
        self.looked_at = self._clock.monotonic()
        found = _has_files(self._folder)
        if found or self._found:
            self._found = found
            self._look()


def _has_files(folder: Path) -> bool:
    """Tell whether anything is in the folder. One that cannot be read counts as if."""
    try:
        return bool(os.listdir(folder))  # noqa: PTH208 - five times a second
    except FileNotFoundError:
        return False
    except OSError:
        return True
