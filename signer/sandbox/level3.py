"""Answers Level3, the book by single orders (docs/kraken.md §1b): each of the maker's levels is one order."""

from __future__ import annotations

from itertools import islice

from signer.sandbox.market import LEVELS, Market
from signer.sandbox.pairs import SimulatedPair
from signer.sandbox.rejected import invalid
from signer.sandbox.state import Methods, SimulatedCall

_DEPTHS = frozenset({0, 10, 25, 100, 250, 1000})
"""The depths that a call may ask for; zero means all."""


def _level3(call: SimulatedCall) -> object:
    pair = call.state.instruments.asked_pair(call.fields)
    depth = call.fields.integer("depth")
    if depth is None:
        depth = 100
    if depth not in _DEPTHS:
        raise invalid("depth")
    count = depth or LEVELS
    market = call.state.market
    return {
        "pair": pair.wsname,
        "bids": _orders(market, pair, "sell", count),
        "asks": _orders(market, pair, "buy", count),
    }


def _orders(market: Market, pair: SimulatedPair, taker: str, count: int) -> list[dict[str, object]]:
    mark = "B" if taker == "sell" else "A"
    now = int(market.now() * 10**9)
    return [
        {
            "price": pair.price_text(price),
            "qty": pair.volume_text(volume),
            "order_id": f"O{mark}MAKE-{level:05d}-SANDBX",
            "timestamp": now,
        }
        for level, (price, volume) in enumerate(islice(market.levels(pair, taker), count))
    ]


METHODS: Methods = {"Level3": _level3}
