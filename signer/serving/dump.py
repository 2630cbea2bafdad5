"""Shows on SIGUSR1 what the gateway is doing: functions and lines, counts and names, never a value.

It has two parts. The threads' stacks come from `faulthandler`, in the signal's own handler, so they are shown even if
the event loop hangs in an endless loop or a call into C. The event loop shows the rest, if it still turns.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import platform
import signal
import sqlite3
import ssl
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

from signer import __version__

SIGNAL = signal.SIGUSR1
MOST_STACKS = 64
MOST_FRAMES = 32
MOST_LINES = 256


def show_threads_on_signal(*, chain: bool = False) -> None:
    """Make `SIGNAL` write where each thread is. With ``chain``, the handler from before this call runs afterwards."""
    faulthandler.register(SIGNAL, file=2, all_threads=True, chain=chain)


def say(lines: Sequence[str]) -> None:
    """Write ``lines``, as many as a dump may have, to standard error at once."""
    text = "".join(f"signer: dump: {line}\n" for line in lines[:MOST_LINES])
    try:
        os.write(2, text.encode())
    except OSError:
        return  # nobody reads it: the gateway goes on


def versions() -> str:
    """Name the versions of the code that runs."""
    ours = f"signer {__version__}, {platform.python_implementation()} {platform.python_version()}"
    theirs = ", ".join(f"{name} {version(name)}" for name in ("gunicorn", "uvloop", "cryptography"))
    return f"{ours}, {theirs}, {ssl.OPENSSL_VERSION}, SQLite {sqlite3.sqlite_version}"


def waiting(tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
    """List where tasks wait, from the outside in, with how many wait at each place; the most crowded first."""
    places = Counter(" > ".join(_frames(task.get_coro())) or "not started" for task in tasks)
    lines = [f"{count} x {place}" for place, count in places.most_common(MOST_STACKS)]
    left = places.total() - sum(count for _, count in places.most_common(MOST_STACKS))
    return [*lines, f"{left} more tasks elsewhere"] if left else lines


def _frames(awaited: Any) -> Iterator[str]:
    """List module, function and line of a coroutine, of what it awaits, and so on inwards."""
    for _ in range(MOST_FRAMES):
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            return
        yield f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}:{frame.f_lineno}"
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
