"""One thread for blocking work, and one piece of work for all callers who wait for the same disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar, final

from typing_extensions import override

from signer.contracts import Worker

T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")


@final
class ThreadWorker(Worker):
    """Runs jobs one after the other on one thread, so that the event loop never waits for a disk.

    Not a `ThreadPoolExecutor`: its futures, chained to asyncio's through locks, cost more than most of our jobs, and
    each lock that the event loop takes is a chance to lose the interpreter to the thread that it has just woken.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @override
    def run(self, job: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._jobs.put(lambda: _do(job, answer, loop))
        return answer

    def close(self) -> None:
        """Finish all jobs given, then end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # else what it holds, a signing key perhaps, would live until the next job


def _do(job: Callable[[], T], answer: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> None:
    try:
        result = job()
    except BaseException as error:  # noqa: BLE001 - the caller gets it, on the other thread
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


class Batches(Generic[Item, Result]):
    """Gives items to ``serve`` in batches, in the order in which they came, one batch at a time, on a worker.

    This is group commit: all callers who wait while the disk is busy share the next flush. A caller who waits alone
    waits for one flush only. ``serve`` returns, for each item in order, its result or the exception for its caller.
    If ``serve`` itself raises, every caller of the batch gets that exception.
    """

    def __init__(
        self, worker: Worker, serve: Callable[[Sequence[Item]], Sequence[Result | Exception]], *, limit: int = 256
    ) -> None:
        self._worker = worker
        self._serve = serve
        self._limit = limit
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, item: Item, *, within: float = 0.0) -> asyncio.Future[Result]:
        """Put ``item`` into the next batch, which starts at once or ``within`` seconds; answer its result.

        A patient caller starts no batch before its time is up, but joins one that starts earlier. An item is served
        even if its caller is cancelled.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, answer))
        if self._flushing is None:
            if not within:
                self._start()
            elif self._timer is None:
                self._timer = loop.call_later(within, self._start)
        return answer

    async def drained(self) -> None:
        """Serve all items that wait, and wait until no batch is being served."""
        while self._waiting or self._flushing is not None:
            await asyncio.shield(self._start())

    def _start(self) -> asyncio.Task[None]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())
        return self._flushing

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                await self._serve_batch(batch)
        finally:
            self._flushing = None

    async def _serve_batch(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        items = [item for item, _ in batch]
        results: Sequence[Result | Exception]
        try:
            results = await self._worker.run(lambda: self._serve(items))
        except Exception as error:  # noqa: BLE001 - every caller of the batch gets it
            results = [error] * len(batch)
        for (_, answer), result in zip(batch, results, strict=True):
            if answer.done():  # the caller was cancelled
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)
