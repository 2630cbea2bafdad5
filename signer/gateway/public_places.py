"""A bounded number of places, which callers of different sources take in turns."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

from signer.errors import NotServed

_Waiter = asyncio.Future[None]


@final
class Places:
    """``count`` places. At most ``waiting`` wait for one, and at most a quarter of these are of one source.

    ``what`` names in the plural what they are for, in the words of a refusal.
    """

    def __init__(self, what: str, count: int, waiting: int = 256) -> None:
        self._what = what
        self._free = count
        self._room = waiting
        self._share = max(1, waiting // 4)
        self._waiting = 0
        self._queues: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    @asynccontextmanager
    async def place(self, source: str, deadline: float) -> AsyncIterator[None]:
        """A place while the block runs; sources that wait get theirs in turns.

        Raises `NotServed`: at once if too many wait, or when ``deadline`` (the event loop's time) comes first.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(source, deadline)
        try:
            yield
        finally:
            self._leave()

    async def _wait(self, source: str, deadline: float) -> None:
        queue = self._queues.get(source, ())
        if self._waiting >= self._room or len(queue) >= self._share:
            raise self._refusal()
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        self._queues.setdefault(source, deque()).append(waiter)
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                await waiter
        except BaseException as error:
            self._give_up(source, waiter)
            if isinstance(error, TimeoutError):
                raise self._refusal() from None
            raise

    def _refusal(self) -> NotServed:
        return NotServed.unavailable(f"too many {self._what} are under way, try again later; nothing was sent")

    def _give_up(self, source: str, waiter: _Waiter) -> None:
        """Leave the queue; or hand on the place, if it was given at the same moment."""
        if waiter.done() and not waiter.cancelled():
            self._leave()
            return
        queue = self._queues.get(source, deque())
        if waiter not in queue:  # whoever left at the same moment has taken it out
            return
        queue.remove(waiter)
        self._waiting -= 1
        if not queue:
            del self._queues[source]

    def _leave(self) -> None:
        while self._queues:
            source, queue = self._queues.popitem(last=False)
            waiter = queue.popleft()
            self._waiting -= 1
            if queue:
                self._queues[source] = queue
            if not waiter.done():  # a caller that gave up just now has not left its place yet
                waiter.set_result(None)
                return
        self._free += 1
