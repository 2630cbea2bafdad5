"""One structured line per request and per alarm, in logfmt, on stderr."""

from __future__ import annotations

import asyncio
import json
import os
import re

EVERY_S = 0.1
MOST_WAITING = 65_536
_BARE = re.compile(r"[A-Za-z0-9._:/@+-]+")


class LineLog:
    """Collects lines and writes them together, so that a line costs a request no system call."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def line(self, **fields: str | int) -> None:
        """Write the fields as ``name=value`` pairs, soon. Beyond a bound lines are dropped rather than kept."""
        if len(self._lines) < MOST_WAITING:
            self._lines.append(" ".join([f"{name}={_value(value)}" for name, value in fields.items()]))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self.flush)

    def flush(self) -> None:
        """Write what has been collected."""
        self._timer = None
        lines, self._lines = self._lines, []
        if lines:
            data = "\n".join([*lines, ""]).encode()
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                return  # a log that nobody reads must not stop an exchange of money; the audit log is another file


def _value(value: str | int) -> str:
    """Quoted unless plain, so that no value can forge a field or a line."""
    if isinstance(value, int):
        return str(value)
    return value if _BARE.fullmatch(value) else json.dumps(value)
