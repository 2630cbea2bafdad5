"""Group commit: those who wait while the disk is busy are served together by the next flush.

The ledger and the audit log both need one durable write per *batch of waiting callers* rather than one per caller. The
batch that forms while a flush is under way is the next flush; with nobody else waiting a caller is alone in its batch
and waits for one flush only. A patient caller (``within`` seconds) starts no flush of its own before its time is up:
it rides along with the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from signer.contracts import Worker

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches(Generic[Item, Result]):
    """Gives items to ``serve`` in batches, in the order they came, one batch at a time, on a worker.

    ``serve`` answers for each item, in order, a result or the exception its caller shall see. If ``serve`` itself
    raises, every caller of that batch sees that exception.
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
        """Put ``item`` into the next batch, which starts at once or within so many seconds.

        A caller that goes away does not take its item back.
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
        """Serve whatever waits, patient or not, and wait until nothing is under way."""
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
        except Exception as error:  # noqa: BLE001 - handed to every caller of the batch
            results = [error] * len(batch)
        for (_, answer), result in zip(batch, results, strict=True):
            if answer.done():  # its caller was cancelled
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)
