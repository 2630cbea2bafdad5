"""Prices: one synthetic maker for each pair, which always offers both sides at steps from the last price."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from signer.sandbox.ids import Ids
from signer.sandbox.pairs import ASSETS, PAIRS, Asset, Pair

LEVELS = 500
"""How many prices the maker offers on each side."""

_LEVEL_ORDERS = 50_000
"""Volume of one level, in smallest orders: some hundred thousand USD."""

_REMEMBERED = 5_000
_WALK_STEPS = 60


@dataclass(frozen=True, slots=True)
class Print:
    """One trade on the public tape."""

    id: int
    time: float
    price: Decimal
    volume: Decimal
    side: str
    ordertype: str


class Market:
    """The state of all pairs. Nothing moves unless `move` or `walk` is called, so tests repeat exactly."""

    def __init__(self, *, now: Callable[[], float], ids: Ids, seed: int) -> None:
        self.now = now
        self._ids = ids
        self._random = random.Random(seed)  # noqa: S311 - a repeatable price walk
        self._last = {name: pair.opening for name, pair in PAIRS.items()}
        self._walked = now()
        self.tapes: dict[str, deque[Print]] = {name: deque(maxlen=_REMEMBERED) for name in PAIRS}
        self.quotes: dict[str, deque[tuple[float, Decimal, Decimal]]] = {
            name: deque(maxlen=_REMEMBERED) for name in PAIRS
        }
        for pair in PAIRS.values():
            self.move(pair, pair.opening)

    def last(self, pair: Pair) -> Decimal:
        """Answer the last price."""
        return self._last[pair.id]

    def bid(self, pair: Pair) -> Decimal:
        """Answer the best price that a seller gets: one tick below the last, or the last if there is none below."""
        return max(self.last(pair) - pair.tick_size, pair.tick_size)

    def ask(self, pair: Pair) -> Decimal:
        """Answer the best price that a buyer gets: one tick above the last."""
        return self.last(pair) + pair.tick_size

    def crosses(self, pair: Pair, side: str, limit: Decimal) -> bool:
        """Answer whether an order with this limit would trade at once."""
        return limit >= self.ask(pair) if side == "buy" else limit <= self.bid(pair)

    def levels(self, pair: Pair, side: str) -> Iterator[tuple[Decimal, Decimal]]:
        """Answer (price, volume) of what a taker of this side meets, best first."""
        volume = pair.ordermin * _LEVEL_ORDERS
        step = max(pair.rounded(self.last(pair) / 10_000), pair.tick_size)
        price = self.ask(pair) if side == "buy" else self.bid(pair)
        for _ in range(LEVELS):
            if price <= 0:
                return
            yield price, volume
            price += step if side == "buy" else -step

    def move(self, pair: Pair, price: Decimal) -> None:
        """Set the last price, with a trade on the tape."""
        side = "b" if price >= self.last(pair) else "s"
        self._last[pair.id] = price
        self.quotes[pair.id].append((self.now(), self.bid(pair), self.ask(pair)))
        self.print(pair, price, pair.ordermin, side, "m")

    def print(self, pair: Pair, price: Decimal, volume: Decimal, side: str, ordertype: str) -> int:
        """Put a trade on the tape, without moving the price; answer its number."""
        made = Print(self._ids.print(), self.now(), price, volume, side, ordertype)
        self.tapes[pair.id].append(made)
        return made.id

    def walk(self) -> Iterator[tuple[Pair, Decimal]]:
        """Answer the seeded steps due since the last walk: one a second for every pair, by at most 0.05 %."""
        steps = min(int(self.now() - self._walked), _WALK_STEPS)
        if steps < 1:
            return
        self._walked = self.now()
        for _ in range(steps):
            for pair in PAIRS.values():
                change = Decimal(self._random.randint(-5, 5)) / 10_000
                yield pair, max(pair.rounded(self.last(pair) * (1 + change)), 2 * pair.tick_size)

    def worth(self, asset: Asset) -> Decimal:
        """Answer one unit's worth in USD, zero for what nobody here trades against it."""
        if asset.id == "ZUSD":
            return Decimal(1)
        dollars = _traded(asset, ASSETS["ZUSD"])
        if dollars is not None:
            return self.last(dollars)
        bitcoin = _traded(ASSETS["XXBT"], asset)
        return self.last(PAIRS["XXBTZUSD"]) / self.last(bitcoin) if bitcoin is not None else Decimal(0)


def _traded(base: Asset, quote: Asset) -> Pair | None:
    return next((pair for pair in PAIRS.values() if pair.base == base and pair.quote == quote), None)
