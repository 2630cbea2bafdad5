"""A thread of its own for blocking work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, final

T = TypeVar("T")


@final
class ThreadWorker:
    """Runs jobs one after the other on one thread, so that the event loop never waits for a disk."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def run(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """Start ``job`` after those before it."""
        return asyncio.get_running_loop().run_in_executor(self._pool, job)

    def close(self) -> None:
        """Wait for the jobs given and end the thread."""
        self._pool.shutdown(wait=True)
