"""A bot with ccxt: it keeps one small bid in the book, and shows what a policy's refusals look like.

Its environment says where to call and with which virtual key: KRAKEN_BASE_URL, KRAKEN_API_KEY, KRAKEN_API_SECRET.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import ccxt

SYMBOL = "BTC/USD"


def connected(paced: bool = True) -> Any:
    """The exchange as ccxt knows it, pointed at signer. The URLs are all that a bot changes."""
    url = os.environ["KRAKEN_BASE_URL"]
    return ccxt.kraken(
        {
            "apiKey": os.environ["KRAKEN_API_KEY"],
            "secret": os.environ["KRAKEN_API_SECRET"],
            "urls": {"api": {"public": url, "private": url}},
            "enableRateLimit": paced,
        }
    )


def main() -> None:
    """Move the bid as often as told, then take it out and try what must not pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often the bid follows the market (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long it rests each time (%(default)s)")
    parser.add_argument("--amount", type=float, default=0.001, help="bitcoin in it (%(default)s)")
    parser.add_argument("--unpaced", action="store_true", help="do not wait between calls: the sandbox takes them")
    options = parser.parse_args()
    exchange = connected(paced=not options.unpaced)
    for _ in range(options.rounds):
        follow(exchange, options.amount)
        time.sleep(options.seconds)
    for order in exchange.fetch_open_orders(SYMBOL):
        exchange.cancel_order(order["id"], SYMBOL)
        print("cancelled:", order["id"])
    try_in_vain(exchange)


def follow(exchange: Any, amount: float) -> None:
    """Replace the bid by one 1 % below the best bid of now."""
    for order in exchange.fetch_open_orders(SYMBOL):
        exchange.cancel_order(order["id"], SYMBOL)
        print("cancelled:", order["id"])
    price = exchange.price_to_precision(SYMBOL, exchange.fetch_ticker(SYMBOL)["bid"] * 0.99)
    placed = exchange.create_limit_buy_order(SYMBOL, amount, price)
    print("placed:", placed["id"], "at", price)


def try_in_vain(exchange: Any) -> None:
    """Each library raises its own exception for what the policy refuses; a bot handles it as it would Kraken's."""
    try:
        exchange.create_limit_buy_order(SYMBOL, 40, 20000)
    except ccxt.InvalidOrder as error:  # skip this order, go on
        print("too large:", error)
    try:
        exchange.withdraw("BTC", 1, "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", params={"key": "cold"})
    except ccxt.PermissionDenied as error:  # nothing that a bot could do
        print("not allowed:", error)


if __name__ == "__main__":
    main()
