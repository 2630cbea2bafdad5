"""How fast a client calls: what its policy bounds (``max_calls``), and its share of the venue's counters of orders.

Rates only, kept in memory. Cancels are counted and never refused: they lower risk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeAlias, final

from signer.contracts import Clock
from signer.errors import NotServed, RefusalKind
from signer.gateway.snapshot import Client
from signer.lanes.shares import PairCounters
from signer.model import Action, Call
from signer.policy.policy import CallKind, CallLimit

OVER_SHARE = "this client has used its share of the orders that the exchange allows; nothing was sent"
Warn: TypeAlias = Callable[[str, str], None]


@final
class Paces:
    """Of every client what it called lately."""

    def __init__(self, clock: Clock, warn: Warn) -> None:
        self._clock = clock
        self._warn = warn
        self._calls: dict[tuple[str, CallKind, int], deque[float]] = {}
        """Times of the last calls, by client, kind and window: at most as many as the limit."""
        self._warned: dict[str, float] = {}

    def require(self, client: Client, call: Call) -> None:
        """Count a call against its policy. Raise `NotServed` if there are too many of its kind."""
        kind, calls = kind_of(call)
        limits, now = client.policy.max_calls.get(kind, ()), self._clock.monotonic()
        lately = [(limit, self._lately(client.info.name, limit, now)) for limit in limits]
        for limit, times in lately:
            if len(times) + calls > limit.calls:
                if kind != "cancel":
                    rules = ("max-calls",)
                    raise NotServed(RefusalKind.RATE_LIMITED, f"{limit.name}; nothing was sent", rules=rules)
                self._say(client.info.name, limit, now)
        for _, times in lately:
            times.extend([now] * calls)

    def require_share(self, client: str, call: Call, costs: Mapping[str, float], counters: PairCounters) -> None:
        """Raise `NotServed` if the client has used its share of the counter of a pair."""
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
        """The times of the calls within the window of ``limit``."""
        key = (client, limit.kind, limit.window_s)
        times = self._calls.get(key)
        if times is None or times.maxlen != limit.calls:
            times = self._calls[key] = deque(times or (), limit.calls)
        while times and times[0] <= now - limit.window_s:
            times.popleft()
        return times

    def _say(self, client: str, limit: CallLimit, now: float) -> None:
        """Once in each window."""
        if now - self._warned.get(client, float("-inf")) >= limit.window_s:
            self._warned[client] = now
            self._warn("max-calls", f"{client} cancels faster than its policy says ({limit.name}); cancels go on")


def kind_of(call: Call) -> tuple[CallKind, int]:
    """Which of ``max_calls`` counts the call, and as how many: a batch as many as it has orders."""
    if call.action is Action.CANCEL:
        return "cancel", max(1, len(call.targets))
    if call.action is not Action.ORDER:
        return "read", 1
    return ("amend", 1) if call.change is not None else ("new", max(1, len(call.orders)))
