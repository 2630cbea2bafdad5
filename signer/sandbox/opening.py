"""Chooses the price at which a pair opens: one set here, or a plausible one by the seed."""

from __future__ import annotations

import random
from decimal import Decimal

from signer.sandbox.pairs import SimulatedPair

_MOST = Decimal(10**7)
_MINIMA_APART = 10
"""Kraken's smallest order is worth some 5 USD and its smallest cost is 0.50, so the price follows from both."""

_TELLING = Decimal("0.00002")
"""Below this, the smallest order does not tell the price: tokenised shares are traded in any fraction."""

_HUNDRED_DOLLARS = Decimal("0.05")

_SET = {
    "XXBTZUSD": "60000.0",
    "XETHZUSD": "3000.00",
    "XXBTZEUR": "55000.0",
    "XETHZEUR": "2750.00",
    "XETHXXBT": "0.05000",
    "XXRPZUSD": "2.00000",
    "XLTCZUSD": "80.00",
    "XDGUSD": "0.1500000",
    "SOLUSD": "150.00",
    "SOLEUR": "137.50",
    "ADAUSD": "0.450000",
    "DOTUSD": "6.5000",
    "LINKUSD": "14.00000",
    "XXLMZUSD": "0.250000",
    "AVAXUSD": "28.00",
    "ATOMUSD": "7.0000",
    "USDTZUSD": "1.00000",
    "USDCUSD": "1.0000",
    "XXMRZUSD": "165.00",
    "UNIUSD": "8.000",
    "XXBTZGBP": "47000.0",
    "XBTUSDT": "60000.0",
    "ETHUSDT": "3000.00",
}


def has_set_price(pair: SimulatedPair) -> bool:
    """Answer whether the pair's opening price is set here."""
    return pair.id in _SET


def opening_price(pair: SimulatedPair, seed: int) -> Decimal:
    """Answer a price on the pair's ticks. Pairs of one base have the same random factor, so their prices agree."""
    if has_set_price(pair):
        return pair.rounded(Decimal(_SET[pair.id]))
    chance = random.Random(f"{seed} {pair.base.id}").randint(90, 110)  # noqa: S311 - repeatable
    smallest = pair.ordermin if pair.ordermin >= _TELLING else _HUNDRED_DOLLARS
    price = pair.costmin * _MINIMA_APART / smallest * chance / 100
    return max(pair.rounded(min(price, _MOST)), 2 * pair.tick_size)
