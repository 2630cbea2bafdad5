"""The way to the venue of one real credential: who goes next, and with which nonce.

The venue wants nonces to *arrive* in order, so a turn lasts from the nonce to the answer, one at a time (``depth`` more
for a key with a nonce window). Cancels get more turns than orders, and orders more than reads; within one of these,
clients take turns, and each client's calls keep their order (`signer.lanes.shares`).
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import final

from typing_extensions import override

from signer.contracts import Clock, Lane, Turn
from signer.errors import LaneStopped, NotServed
from signer.lanes.nonces import LaneNonces, NonceSource, NoNonces
from signer.lanes.shares import Full, Queues, Waiter
from signer.model import Priority

__all__ = ["CredentialLane", "LaneNonces", "NoNonces", "NonceSource"]


@final
class CredentialLane(Lane):
    """The lane of one credential (`signer.contracts.Lane`).

    At most ``queue`` calls of each priority wait, and of one client a quarter of that. Deadlines are in the event
    loop's time, which ``clock`` shows too.
    """

    def __init__(self, credential: str, *, clock: Clock, nonces: LaneNonces, depth: int = 1, queue: int = 256) -> None:
        self.credential = credential
        self._clock = clock
        self._nonces = nonces
        self._free = depth
        self._under_way: set[CredentialTurn] = set()
        self._left = asyncio.Event()
        self._stopped = ""
        self._paused = False
        self._queues = Queues(queue)
        self._deadlines: dict[Waiter, tuple[float, str, Priority]] = {}
        """The waiters, each with its deadline, client and priority."""
        self._timer: asyncio.TimerHandle | None = None

    @override
    def turn(
        self, client: str, priority: Priority, deadline: float, *, even_if_stopped: bool = False
    ) -> CredentialTurn:
        """Return a turn to be entered with ``async with``: waits, then holds the lane until left.

        Entering raises `NotServed`: at once if too many wait already, when another client needs the place more, when
        ``deadline`` passes first, or if the nonce cannot be secured. Nothing was sent then.
        """
        return CredentialTurn(self, client, priority, deadline, even_if_stopped)

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return len(self._queues)

    @property
    @override
    def load(self) -> int:
        return len(self._under_way)

    @override
    def has_place(self, client: str, priority: Priority) -> bool:
        return bool(self._free) or self._queues.has_place(client, priority)

    @property
    @override
    def stopped(self) -> bool:
        return bool(self._stopped)

    @property
    @override
    def paused(self) -> bool:
        return self._paused

    @property
    @override
    def handed(self) -> int:
        return self._nonces.handed

    @property
    @override
    def used(self) -> bool:
        return self._nonces.used

    @override
    def learn(self, nonce: int) -> None:
        self._nonces.learn(nonce)

    @override
    def stop(self, why: str) -> None:
        """Let nobody in any more; whoever waits is told at once (`LaneStopped`). A turn under way goes on."""
        self._stopped, self._paused = why, False
        self.send_away(*Priority)

    @override
    def pause(self, why: str) -> None:
        if not self._stopped:
            self.stop(why)
            self._paused = True

    @override
    def resume(self) -> None:
        self._stopped, self._paused = "", False

    @override
    def send_away(self, *priorities: Priority) -> None:
        for priority in priorities:
            for client, waiter in self._queues.of(priority):
                self._refuse(client, priority, waiter, self._no_entry())

    def _no_entry(self) -> LaneStopped:
        why = self._stopped or "the exchange asked for quiet"
        return LaneStopped.unavailable(f"{why}; nothing was sent")

    async def drained(self) -> None:
        """Wait until everybody who has a turn now, or waits for one, has left."""
        now = set(self._under_way)
        while now & self._under_way:
            self._left.clear()
            await self._left.wait()

    async def _enter(self, client: str, priority: Priority, deadline: float, *, even_if_stopped: bool) -> int:
        if self._stopped and not even_if_stopped:
            raise self._no_entry()
        if self._clock.monotonic() >= deadline:
            raise _too_late()
        if self._free:  # then nobody waits: a turn that ends goes to the next in line directly
            self._free -= 1
        else:
            await self._wait(client, priority, deadline)
            if self._stopped and not even_if_stopped:  # since the turn was handed over
                self._leave()
                raise self._no_entry()
        nonce = self._nonces.take()
        if nonce is not None:
            return nonce
        try:
            async with asyncio.timeout_at(deadline):
                return await self._nonces.take_stored()
        except TimeoutError as error:
            self._leave()
            raise _too_late() from error
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        while (waiter := self._queues.next()) is not None:
            if not waiter.done():  # a call cancelled just now has not left its place yet
                waiter.set_result(None)
                return
        self._free += 1

    async def _wait(self, client: str, priority: Priority, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        waiter: Waiter = loop.create_future()
        try:
            pushed = self._queues.join(client, priority, waiter)
        except Full as full:
            raise _no_place(str(full)) from None
        if pushed is not None and not pushed[1].done():
            pushed[1].set_exception(_no_place("another client needs the place of this call"))
        self._deadlines[waiter] = (deadline, client, priority)
        if self._timer is None or deadline < self._timer.when():
            self._arm(loop, deadline)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._queues.leave(client, priority, waiter)
            elif waiter.exception() is None:
                self._leave()  # the turn was ours already: hand it on
            raise
        finally:
            del self._deadlines[waiter]

    def _arm(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        """Refuse the calls whose time is over. One timer serves all waiters, because nearly every call has its turn."""
        self._timer, loop = None, asyncio.get_running_loop()
        for waiter, (deadline, client, priority) in self._deadlines.items():
            if deadline <= loop.time():
                self._refuse(client, priority, waiter, _too_late())
        left = [deadline for deadline, _, _ in self._deadlines.values() if deadline > loop.time()]
        if left:
            self._arm(loop, min(left))

    def _refuse(self, client: str, priority: Priority, waiter: Waiter, why: NotServed) -> None:
        if not waiter.done():
            self._queues.leave(client, priority, waiter)
            waiter.set_exception(why)


@final
class CredentialTurn(Turn):
    """One client's turn (`signer.contracts.Turn`)."""

    __slots__ = ("_client", "_deadline", "_even_if_stopped", "_lane", "_priority", "after", "nonce")

    def __init__(
        self, lane: CredentialLane, client: str, priority: Priority, deadline: float, even_if_stopped: bool
    ) -> None:
        self._lane = lane
        self._client = client
        self._priority = priority
        self._deadline = deadline
        self._even_if_stopped = even_if_stopped
        self.nonce = self.after = 0

    @override
    def nonce_refused(self) -> None:
        self._lane._nonces.refused(self.nonce)

    async def __aenter__(self) -> CredentialTurn:
        self._lane._under_way.add(self)
        try:
            self.nonce = await self._lane._enter(
                self._client, self._priority, self._deadline, even_if_stopped=self._even_if_stopped
            )
            self.after = self._lane._nonces.before  # nobody has had a turn since
        except BaseException:
            self._go()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lane._leave()
        self._go()

    def _go(self) -> None:
        self._lane._under_way.discard(self)
        self._lane._left.set()


def _no_place(why: str) -> NotServed:
    return NotServed.unavailable(f"{why}, try again later; nothing was sent")


def _too_late() -> NotServed:
    return NotServed.unavailable("the time for the call was over before its turn came")
