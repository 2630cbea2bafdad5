"""A thread of its own for blocking work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar, final

T = TypeVar("T")


@final
class ThreadWorker:
    """Runs jobs one after the other on one thread, so that the event loop never waits for a disk.

    Not a `ThreadPoolExecutor`: its futures, chained to asyncio's through locks, cost more than most of our jobs, and
    each lock that the event loop takes is a chance to lose the interpreter to the thread that it has just woken.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def run(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """Start ``job`` after those before it. It is done even if nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._jobs.put(lambda: _do(job, answer, loop))
        return answer

    def close(self) -> None:
        """Wait for the jobs given and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def _do(job: Callable[[], T], answer: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> None:
    try:
        result = job()
    except BaseException as error:  # noqa: BLE001 - it is for whoever asked, on the other thread
        _tell(loop, _fail, answer, error)
    else:
        _tell(loop, _give, answer, result)


def _tell(loop: asyncio.AbstractEventLoop, how: Callable[..., None], *what: object) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(how, *what)


def _give(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[T], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
