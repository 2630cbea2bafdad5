"""Shares keys among clients: the places and turns of a lane, the venue's counters as we keep them, and each one's pace.

Each priority has a queue of its own, so that a flood of one kind of call leaves the others alone. Within a queue each
client has a share of the places, and clients take turns. Each of the venue's counters
(`signer.model.allowances.Allowance`) is divided among the clients that call now: a client may borrow what no other
wants, but a part stays free for a new one. Counters are kept in memory, because only rates depend on them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

from signer.contracts import Clock
from signer.errors import NotServed, RefusalKind
from signer.model import Action, Call, Priority
from signer.model.allowances import Allowance
from signer.policy.policy import CallKind, CallLimit

Waiter: TypeAlias = asyncio.Future[None]
Warn: TypeAlias = Callable[[str, str], None]
"""Hears a kind and a text for the operator."""

OVER_SHARE = "this client has used its share of the orders that the exchange allows; nothing was sent"

SHARE = 4
"""One client has at most one place in so many of a queue."""
WEIGHTS = {Priority.CANCEL: 4, Priority.ORDER: 2, Priority.READ: 1}
"""The turns of each priority out of seven while all wait. The cancels of a halt go before all of them."""
NEWCOMER = 1 / 6
"""The part of a counter that no client borrows once there is more than one. It is for the next new client."""
OURS = 0.5
"""The most of a counter that the gateway's own questions may take."""

NEVER = float("-inf")


class Full(Exception):
    """A queue has no place. The text says whose calls are too many."""


@final
class Queues:
    """The calls that wait for one lane, at most ``room`` in the queue of each priority."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._queues: dict[Priority, OrderedDict[str, deque[Waiter]]] = {each: OrderedDict() for each in Priority}
        self._sizes = dict.fromkeys(Priority, 0)
        self._turns = dict(WEIGHTS)
        """The turns that each priority has left in this round."""

    def __len__(self) -> int:
        """Return the number of calls that wait."""
        return sum(self._sizes.values())

    def join(self, client: str, priority: Priority, waiter: Waiter) -> tuple[str, Waiter] | None:
        """Give ``waiter`` a place. Raises `Full` if there is none for this client.

        Returns the waiter that loses its place, with its client: in a full queue the youngest of the client with most
        places, if that client keeps at least as many as this one gets.
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
        """Tell whether `join` would give this client a place now."""
        queue = self._queues[priority]
        own = len(queue.get(client, ()))
        if own >= self._most(priority):
            return False
        return self._sizes[priority] < self._room or max(map(len, queue.values())) >= own + 2

    def leave(self, client: str, priority: Priority, waiter: Waiter) -> None:
        """Remove ``waiter`` from its place, if it has one."""
        queue = self._queues[priority]
        waiters = queue.get(client, deque())
        if waiter in waiters:
            waiters.remove(waiter)
            self._sizes[priority] -= 1
            if not waiters:
                del queue[client]

    def next(self) -> Waiter | None:
        """Remove and return the waiter whose turn it is, None if nobody waits."""
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
        """List the waiters of one priority, each with its client."""
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


@dataclass(slots=True)
class _Use:
    """One client's part of the level, in units of `SharedCounter._unit`, and the time of its last request."""

    amount: float = 0.0
    wanted: float = NEVER


@final
class SharedCounter:
    """One counter of the venue. Its level falls with time, and each client's part in proportion.

    ``now`` is in seconds that never go back.
    """

    def __init__(self, allowance: Allowance | None = None) -> None:
        """Without an ``allowance`` nothing is counted and every call fits."""
        self.allowance = allowance
        self._level = 0.0
        self._unit = 1.0
        self._at = 0.0
        self._uses: dict[str, _Use] = {}
        self._ours = _Use()
        self._several = False
        """Whether more than one client has ever called, so that a part is kept for a new one."""

    def level(self, now: float) -> float:
        """Return its level at ``now``."""
        self._fall(now)
        return self._level

    def fits(self, client: str, cost: float, now: float) -> bool:
        """Return whether ``client`` may make a call of this cost. The question counts as a request of the client."""
        allowance = self.allowance
        if allowance is None:
            return True
        use = self._use(client, now)
        if self._level + cost > allowance.limit:
            return False
        free = allowance.limit * (1 - NEWCOMER if self._several else 1)
        held = use.amount * self._unit
        if held + cost <= free / (len(self._uses) + 1):  # less than the least share
            return True
        others = [other for other in self._all() if other is not use and other.wanted > self._at - allowance.drain_s]
        if not others and not self._several:
            return True
        share = free / (len(others) + 1)
        # If many share a small counter, a share is less than one call. Each may still make one at a time.
        if held + cost <= max(share, 1.5 * cost):
            return True
        wanted = sum(max(0.0, share - other.amount * self._unit) for other in others)
        return self._level + cost + wanted <= free

    def add(self, client: str, cost: float, now: float) -> None:
        """Count a call, whether it fits or not."""
        if self.allowance is not None and cost:
            self._count(self._use(client, now), cost)

    def wait_for_own(self, cost: float, now: float) -> float:
        """Return the seconds until a question of the gateway's own fits; 0 if it fits now.

        Own questions use at most half of the counter and borrow nothing. This call reserves the rest of their share.
        """
        allowance = self.allowance
        if allowance is None:
            return 0.0
        self._fall(now)
        ours = self._ours
        ours.wanted = self._at
        over = max(0.0, self._level + cost - allowance.limit)
        held = ours.amount * self._unit
        if held and held + cost > allowance.limit * OURS:  # ours falls in proportion to the level
            over = max(over, self._level * (1 - max(0.0, allowance.limit * OURS - cost) / held))
        return over / allowance.decay

    def add_own(self, cost: float, now: float) -> None:
        """Count a question of the gateway's own."""
        if self.allowance is not None and cost:
            self._fall(now)
            self._count(self._ours, cost)

    def fill(self, now: float) -> None:
        """Raise the level to its limit, because the venue says that it is full: it has counted calls of others."""
        if self.allowance is not None:
            self._fall(now)
            self._level = max(self._level, self.allowance.limit)

    def _use(self, client: str, now: float) -> _Use:
        self._fall(now)
        use = self._uses.get(client)
        if use is None:
            use = self._uses[client] = _Use()
            self._several = self._several or len(self._uses) > 1
        use.wanted = self._at
        return use

    def _all(self) -> list[_Use]:
        return [*self._uses.values(), self._ours]

    def _count(self, use: _Use, cost: float) -> None:
        use.amount += cost / self._unit
        self._level += cost

    def _fall(self, now: float) -> None:
        passed, self._at = now - self._at, now
        if passed <= 0 or not self._level or self.allowance is None:
            return
        left = self._level - self.allowance.decay * passed
        if left > 1e-6:
            self._unit *= left / self._level
            self._level = left
        else:
            self._empty()

    def _empty(self) -> None:
        """Set the level to zero, and forget clients that have not called for long."""
        assert self.allowance is not None  # noqa: S101 - falls only with one
        self._level, self._unit, self._ours.amount = 0.0, 1.0, 0.0
        since = self._at - self.allowance.drain_s
        self._uses = {name: _Use(0.0, use.wanted) for name, use in self._uses.items() if use.wanted > since}


@final
class PairCounters:
    """The venue's counters of orders of one account: one for each pair, for all its keys together."""

    def __init__(self, allowance: Allowance | None = None) -> None:
        self._allowance = allowance
        self._pairs: dict[str, SharedCounter] = {}

    def of(self, pair: str) -> SharedCounter:
        """Return the counter of a pair, by its canonical id."""
        counter = self._pairs.get(pair)
        if counter is None:
            counter = self._pairs[pair] = SharedCounter(self._allowance)
        return counter

    def allow(self, allowance: Allowance | None) -> None:
        """Use a new ``allowance``, and keep what is counted."""
        self._allowance = allowance
        for counter in self._pairs.values():
            counter.allowance = allowance


def _wait_s(limit: CallLimit, times: Sequence[float], calls: int, now: float) -> float | None:
    """Return the seconds until ``calls`` fit beside the ``times`` of the last calls; None if they never do."""
    over = len(times) + calls - limit.calls
    return times[over - 1] + limit.window_s - now if over <= len(times) else None


@final
class Paces:
    """Bounds how fast each client calls: by its policy (``max_calls``), and by its share of the counters of orders.

    Only rates, kept in memory. Cancels are counted and never refused, because they lower risk.
    """

    def __init__(self, clock: Clock, warn: Warn) -> None:
        self._clock = clock
        self._warn = warn
        self._calls: dict[tuple[str, CallKind, int], deque[float]] = {}
        """Times of the last calls, by client, kind and window: at most as many as the limit."""
        self._warned: dict[str, float] = {}

    def require(self, client: str, max_calls: Mapping[CallKind, tuple[CallLimit, ...]], call: Call) -> None:
        """Count a call against the policy's ``max_calls``. Raises `NotServed` if there are too many of its kind."""
        kind, calls = kind_of(call)
        now = self._clock.monotonic()
        lately = [(limit, self._lately(client, limit, now)) for limit in max_calls.get(kind, ())]
        for limit, times in lately:
            if len(times) + calls > limit.calls:
                if kind != "cancel":
                    raise NotServed(
                        RefusalKind.RATE_LIMITED,
                        f"{limit.name}; nothing was sent",
                        rules=("max-calls",),
                        retry_after_s=_wait_s(limit, times, calls, now),
                    )
                self._say(client, limit, now)
        for _, times in lately:
            times.extend([now] * calls)

    def counted(self, client: str, max_calls: Mapping[CallKind, tuple[CallLimit, ...]]) -> Mapping[CallLimit, int]:
        """Return how many calls each limit of ``max_calls`` counts now."""
        now = self._clock.monotonic()
        return {limit: len(self._lately(client, limit, now)) for limits in max_calls.values() for limit in limits}

    def require_share(self, client: str, call: Call, costs: Mapping[str, float], counters: PairCounters) -> None:
        """Raise `NotServed` if the client has used its share of a pair's counter."""
        now = self._clock.monotonic()
        if call.action is not Action.CANCEL and not all(
            counters.of(pair).fits(client, cost, now) for pair, cost in costs.items()
        ):
            raise NotServed(RefusalKind.RATE_LIMITED, OVER_SHARE, rules=("fair-share",))

    def count(self, client: str, costs: Mapping[str, float], counters: PairCounters) -> None:
        """Count a call that is about to be sent."""
        now = self._clock.monotonic()
        for pair, cost in costs.items():
            counters.of(pair).add(client, cost, now)

    def _lately(self, client: str, limit: CallLimit, now: float) -> deque[float]:
        """Return the times of the calls within the window of ``limit``."""
        key = (client, limit.kind, limit.window_s)
        times = self._calls.get(key)
        if times is None or times.maxlen != limit.calls:
            times = self._calls[key] = deque(times or (), limit.calls)
        while times and times[0] <= now - limit.window_s:
            times.popleft()
        return times

    def _say(self, client: str, limit: CallLimit, now: float) -> None:
        """Warn once in each window."""
        if now - self._warned.get(client, float("-inf")) >= limit.window_s:
            self._warned[client] = now
            self._warn("max-calls", f"{client} cancels faster than its policy says ({limit.name}); cancels go on")


def kind_of(call: Call) -> tuple[CallKind, int]:
    """Return which of ``max_calls`` counts the call, and as how many. A batch counts as many as it has orders."""
    if call.action is Action.CANCEL:
        return "cancel", max(1, len(call.targets))
    if call.action is not Action.ORDER:
        return "read", 1
    return ("amend", 1) if call.change is not None else ("new", max(1, len(call.orders)))
