"""The venue's counters as we keep them, shared by client: who exceeds his share is refused before he eats the others'.

A counter of `signer.model.allowances.Allowance` is divided among the clients that call now. A client may borrow what no
other wants; a part stays free for a client that comes anew, once there is more than one. Rates only: kept in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from signer.model.allowances import Allowance

NEWCOMER = 1 / 6
"""The part of a counter that no client borrows, once there is more than one: it is there for who comes next."""
OURS = 0.5
"""The most of a counter that the gateway's own questions may take."""


NEVER = float("-inf")


@dataclass(slots=True)
class _Use:
    """One client's part of the level, in units of `SharedCounter._unit`, and when it last wanted something."""

    amount: float = 0.0
    wanted: float = NEVER


@final
class SharedCounter:
    """One counter of the venue. What counts falls with time, each client's part in proportion.

    ``now`` is in seconds that never go back.
    """

    def __init__(self, allowance: Allowance | None = None) -> None:
        """``allowance`` None: nothing is counted and all fits."""
        self.allowance = allowance
        self._level = 0.0
        self._unit = 1.0
        self._at = 0.0
        self._uses: dict[str, _Use] = {}
        self._ours = _Use()
        self._several = False
        """Whether more than one client has ever called: then a part is kept for who comes next."""

    def level(self, now: float) -> float:
        """Where it stands."""
        self._fall(now)
        return self._level

    def fits(self, client: str, cost: float, now: float) -> bool:
        """Whether ``client`` may make a call that costs so much. Asking shows that he wants to."""
        allowance = self.allowance
        if allowance is None:
            return True
        use = self._use(client, now)
        if self._level + cost > allowance.limit:
            return False
        free = allowance.limit * (1 - NEWCOMER if self._several else 1)
        held = use.amount * self._unit
        if held + cost <= free / (len(self._uses) + 1):  # less than the share of any number of them
            return True
        others = [other for other in self._all() if other is not use and other.wanted > self._at - allowance.drain_s]
        if not others and not self._several:
            return True
        share = free / (len(others) + 1)
        # Where many share a small counter a share is less than one call: each may still make one at a time.
        if held + cost <= max(share, 1.5 * cost):
            return True
        wanted = sum(max(0.0, share - other.amount * self._unit) for other in others)
        return self._level + cost + wanted <= free

    def add(self, client: str, cost: float, now: float) -> None:
        """Count a call, whether it fits or not."""
        if self.allowance is not None and cost:
            self._count(self._use(client, now), cost)

    def wait_for_own(self, cost: float, now: float) -> float:
        """Seconds until a question of our own that costs so much fits; 0 if it does now.

        Our own questions take at most half of the counter, and borrow nothing. Asking keeps what is left of our share
        free for us.
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
        """Count a question of our own."""
        if self.allowance is not None and cost:
            self._fall(now)
            self._count(self._ours, cost)

    def fill(self, now: float) -> None:
        """The venue says that it is full: it has counted what we have not seen."""
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
        """Nothing is held any more: begin anew, and forget who has not called for long."""
        assert self.allowance is not None  # noqa: S101 - falls only with one
        self._level, self._unit, self._ours.amount = 0.0, 1.0, 0.0
        since = self._at - self.allowance.drain_s
        self._uses = {name: _Use(0.0, use.wanted) for name, use in self._uses.items() if use.wanted > since}


@final
class PairCounters:
    """The venue's counters of orders of one account: one for each pair, over all its keys."""

    def __init__(self, allowance: Allowance | None = None) -> None:
        self._allowance = allowance
        self._pairs: dict[str, SharedCounter] = {}

    def of(self, pair: str) -> SharedCounter:
        """The counter of a pair, by its canonical id."""
        counter = self._pairs.get(pair)
        if counter is None:
            counter = self._pairs[pair] = SharedCounter(self._allowance)
        return counter

    def allow(self, allowance: Allowance | None) -> None:
        """Take up what the settings say now; what is counted stays."""
        self._allowance = allowance
        for counter in self._pairs.values():
            counter.allowance = allowance
