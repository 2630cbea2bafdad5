"""Makes OHLC candles from the public tape."""

from __future__ import annotations

from decimal import Decimal

from signer.sandbox.market import Market, Print
from signer.sandbox.pairs import SimulatedPair

INTERVALS = frozenset({1, 5, 15, 30, 60, 240, 1440, 10080, 21600})
"""The lengths of candles, in minutes."""

_ROWS = 720


def candles(market: Market, pair: SimulatedPair, interval: int, *, since: int) -> list[list[object]]:
    """Answer up to 720 candles up to now, oldest first, newer than ``since`` (Unix seconds).

    Before the sandbox's first trade the price is the market's opening price.
    """
    width = interval * 60
    now = int(market.now()) // width * width
    traded: dict[int, list[Print]] = {}
    close = market.opening(pair)
    first = now - (_ROWS - 1) * width
    for trade in market.tape(pair):
        if trade.time < first:
            close = trade.price
        traded.setdefault(int(trade.time) // width * width, []).append(trade)
    rows: list[list[object]] = []
    for begin in range(first, now + 1, width):
        prints = traded.get(begin, [])
        if begin > since:
            rows.append(_candle(pair, begin, prints, close))
        close = prints[-1].price if prints else close
    return rows


def _candle(pair: SimulatedPair, begin: int, prints: list[Print], before: Decimal) -> list[object]:
    shown = [trade.price for trade in prints] or [before]
    volume = sum((trade.volume for trade in prints), Decimal(0))
    average = sum((trade.price * trade.volume for trade in prints), Decimal(0)) / volume if volume else Decimal(0)
    prices = (shown[0], max(shown), min(shown), shown[-1], average)
    return [begin, *map(pair.price_text, prices), pair.volume_text(volume), len(prints)]
