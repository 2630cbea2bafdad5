"""Makes prices: one synthetic maker per pair always offers both sides, at steps from the last price."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from signer.sandbox.ids import Ids
from signer.sandbox.instruments import Instruments
from signer.sandbox.opening import has_set_price, opening_price
from signer.sandbox.pairs import Asset, SimulatedPair

LEVELS = 500
"""The number of prices that the maker offers on each side."""

_LEVEL_ORDERS = 50_000
"""The volume of one level in smallest orders, worth some hundred thousand USD."""

_REMEMBERED = 5_000
_WALK_MOVES = 1_500
"""Most moves in one walk, so that a call after a long silence does not wait for them all."""


@dataclass(frozen=True, slots=True)
class Print:
    """One trade on the public tape."""

    id: int
    time: float
    price: Decimal
    volume: Decimal
    side: str
    ordertype: str


@dataclass(slots=True)
class _Course:
    """The history of one pair's market since it opened."""

    opening: Decimal
    last: Decimal
    tape: deque[Print] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    quotes: deque[tuple[float, Decimal, Decimal]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


class Market:
    """The markets of all pairs. Only `move` and `walk` move prices, so tests repeat exactly.

    A pair without a set price opens at its first use, as if it had opened with the sandbox. Most of the
    thousand pairs are never used, and cost no time.
    """

    def __init__(self, *, now: Callable[[], float], ids: Ids, seed: int, instruments: Instruments) -> None:
        self.now = now
        self.instruments = instruments
        self._ids = ids
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 - a repeatable price walk
        self._opened = self._walked = now()
        self._courses: dict[str, _Course] = {}
        for pair in filter(has_set_price, instruments.pairs.values()):
            self._course(pair)

    def _course(self, pair: SimulatedPair) -> _Course:
        course = self._courses.get(pair.id)
        if course is None:
            price = opening_price(pair, self._seed)
            course = self._courses[pair.id] = _Course(price, price)
            course.quotes.append((self._opened, self.bid(pair), self.ask(pair)))
            course.tape.append(Print(self._ids.print(), self._opened, price, pair.ordermin, "b", "m"))
        return course

    def delist(self, pair: SimulatedPair) -> None:
        """Take a pair off the list. Its price and tape stay for what refers to it."""
        self.instruments = Instruments(other for other in self.instruments.pairs.values() if other is not pair)

    def opening(self, pair: SimulatedPair) -> Decimal:
        """Answer the price at which the pair opened."""
        return self._course(pair).opening

    def last(self, pair: SimulatedPair) -> Decimal:
        """Answer the last price."""
        return self._course(pair).last

    def tape(self, pair: SimulatedPair) -> Sequence[Print]:
        """Answer the recent trades, oldest first."""
        return self._course(pair).tape

    def quotes(self, pair: SimulatedPair) -> Sequence[tuple[float, Decimal, Decimal]]:
        """Answer the recent quotes (time, bid, ask), oldest first."""
        return self._course(pair).quotes

    def bid(self, pair: SimulatedPair) -> Decimal:
        """Answer the best price for a seller: one tick below the last, or the last if there is none below."""
        return max(self.last(pair) - pair.tick_size, pair.tick_size)

    def ask(self, pair: SimulatedPair) -> Decimal:
        """Answer the best price for a buyer: one tick above the last."""
        return self.last(pair) + pair.tick_size

    def crosses(self, pair: SimulatedPair, side: str, limit: Decimal) -> bool:
        """Answer whether an order with this limit would trade at once."""
        return limit >= self.ask(pair) if side == "buy" else limit <= self.bid(pair)

    def levels(self, pair: SimulatedPair, side: str) -> Iterator[tuple[Decimal, Decimal]]:
        """Answer the (price, volume) that a taker of this side meets, best first."""
        volume = pair.ordermin * _LEVEL_ORDERS
        step = max(pair.rounded(self.last(pair) / 10_000), pair.tick_size)
        price = self.ask(pair) if side == "buy" else self.bid(pair)
        for _ in range(LEVELS):
            if price <= 0:
                return
            yield price, volume
            price += step if side == "buy" else -step

    def move(self, pair: SimulatedPair, price: Decimal) -> None:
        """Set the last price, with a trade on the tape."""
        side = "b" if price >= self.last(pair) else "s"
        course = self._course(pair)
        course.last = price
        course.quotes.append((self.now(), self.bid(pair), self.ask(pair)))
        self.print(pair, price, pair.ordermin, side, "m")

    def print(self, pair: SimulatedPair, price: Decimal, volume: Decimal, side: str, ordertype: str) -> int:
        """Put a trade on the tape without moving the price, and answer its number."""
        made = Print(self._ids.print(), self.now(), price, volume, side, ordertype)
        self._course(pair).tape.append(made)
        return made.id

    def walk(self) -> Iterator[tuple[SimulatedPair, Decimal]]:
        """Answer the seeded price steps since the last walk: one per second and open pair, of at most 0.05 %."""
        pairs = [self.instruments.pairs[name] for name in self._courses if name in self.instruments.pairs]
        steps = min(int(self.now() - self._walked), max(_WALK_MOVES // max(len(pairs), 1), 1))
        if steps < 1:
            return
        self._walked = self.now()
        for _ in range(steps):
            for pair in pairs:
                change = Decimal(self._random.randint(-5, 5)) / 10_000
                yield pair, max(pair.rounded(self.last(pair) * (1 + change)), 2 * pair.tick_size)

    def worth(self, asset: Asset) -> Decimal:
        """Answer the value of one unit in USD; zero for an asset that no pair trades against USD."""
        if asset.id == "ZUSD":
            return Decimal(1)
        dollars = self.instruments.traded(asset.id, "ZUSD")
        if dollars is not None:
            return self.last(dollars)
        priced, bitcoin = self.instruments.traded("XXBT", asset.id), self.instruments.traded("XXBT", "ZUSD")
        return self.last(bitcoin) / self.last(priced) if priced is not None and bitcoin is not None else Decimal(0)
