"""Who waits for a lane, who finds a place, and who goes next.

Each priority has a queue of its own, so a flood of one kind of call keeps no other kind out. Places and turns in a
queue are shared by client, so one client's flood keeps no other client out.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import TypeAlias, final

from signer.model import Priority

Waiter: TypeAlias = asyncio.Future[None]

SHARE = 4
"""One client has at most a quarter of the places of a queue."""
WEIGHTS = {Priority.CANCEL: 4, Priority.ORDER: 2, Priority.READ: 1}
"""Of seven turns, so many go to each kind of call while all kinds wait. A brake's cancels go before all of them."""


class Full(Exception):
    """There is no place. Its text says whose calls are too many."""


@final
class Queues:
    """All that wait for one lane, at most ``room`` in the queue of each priority."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._queues: dict[Priority, OrderedDict[str, deque[Waiter]]] = {each: OrderedDict() for each in Priority}
        self._sizes = dict.fromkeys(Priority, 0)
        self._turns = dict(WEIGHTS)
        """How many turns each kind has left before all have had theirs."""

    def __len__(self) -> int:
        """How many wait."""
        return sum(self._sizes.values())

    def join(self, client: str, priority: Priority, waiter: Waiter) -> tuple[str, Waiter] | None:
        """Give ``waiter`` a place. Raises `Full` if there is none for this client.

        Answers who must leave for it, with his client: the youngest of whoever has most places in a full queue, if that
        one still has as many as this client then.
        """
        queue = self._queues[priority]
        own = len(queue.get(client, ()))
        if own >= self._most(priority):
            raise Full(f"{own} calls of this client are waiting already")
        pushed = self._push_out(priority, own) if self._sizes[priority] >= self._room else None
        queue.setdefault(client, deque()).append(waiter)
        self._sizes[priority] += 1
        return pushed

    def has_place(self, client: str, priority: Priority) -> bool:
        """Whether `join` would give this client a place now."""
        queue = self._queues[priority]
        own = len(queue.get(client, ()))
        if own >= self._most(priority):
            return False
        return self._sizes[priority] < self._room or max(map(len, queue.values())) >= own + 2

    def leave(self, client: str, priority: Priority, waiter: Waiter) -> None:
        """Take ``waiter`` from its place, if it has one."""
        queue = self._queues[priority]
        waiters = queue.get(client, deque())
        if waiter in waiters:
            waiters.remove(waiter)
            self._sizes[priority] -= 1
            if not waiters:
                del queue[client]

    def next(self) -> Waiter | None:
        """Take the one from its place whose turn it is; None if nobody waits."""
        priority = self._next_priority()
        if priority is None:
            self._turns = dict(WEIGHTS)
            return None
        queue = self._queues[priority]
        client, waiters = next(iter(queue.items()))
        waiter = waiters.popleft()
        self._sizes[priority] -= 1
        if waiters:
            queue.move_to_end(client)
        else:
            del queue[client]
        return waiter

    def of(self, priority: Priority) -> list[tuple[str, Waiter]]:
        """All that wait with this priority, each with its client."""
        return [(client, waiter) for client, waiters in self._queues[priority].items() for waiter in waiters]

    def _most(self, priority: Priority) -> int:
        return self._room if priority is Priority.BRAKE else max(1, self._room // SHARE)

    def _push_out(self, priority: Priority, own: int) -> tuple[str, Waiter]:
        queue = self._queues[priority]
        client = max(queue, key=lambda each: len(queue[each]))
        if len(queue[client]) < own + 2:
            raise Full(f"{self._sizes[priority]} calls of this account are waiting already")
        self._sizes[priority] -= 1
        return client, queue[client].pop()

    def _next_priority(self) -> Priority | None:
        waiting = [priority for priority, size in self._sizes.items() if size]
        if not waiting or waiting[0] is Priority.BRAKE:
            return waiting[0] if waiting else None
        if not any(self._turns[priority] for priority in waiting):
            self._turns = dict(WEIGHTS)
        priority = next(each for each in waiting if self._turns[each])
        self._turns[priority] -= 1
        return priority
