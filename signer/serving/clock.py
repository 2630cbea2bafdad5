"""The machine's clock."""

from __future__ import annotations

import time
from typing import final


@final
class SystemClock:
    """Wall and monotonic time of this machine."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch; may jump when the clock is set."""
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        """Seconds that never go back, the same as asyncio's ``loop.time()``."""
        return time.monotonic()
