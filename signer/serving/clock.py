"""The machine's clock."""

from __future__ import annotations

import time
from typing import final

from typing_extensions import override

from signer.contracts import Clock


@final
class SystemClock(Clock):
    """Wall and monotonic time of this machine."""

    @override
    def now_us(self) -> int:
        return time.time_ns() // 1_000

    monotonic = staticmethod(time.monotonic)
    """Seconds of the event loop's clock, without a call between: each call of a bot asks a dozen times."""
