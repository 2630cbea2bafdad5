"""A bot with krakenex: it bids a little below the market, waits, and cancels what did not fill.

Its environment says where to call and with which virtual key: KRAKEN_BASE_URL, KRAKEN_API_KEY, KRAKEN_API_SECRET.
"""

from __future__ import annotations

import argparse
import os
import time
from decimal import ROUND_DOWN, Decimal
from typing import Any

import krakenex

PAIR, PAIR_ID = "XBTUSD", "XXBTZUSD"


class Refused(Exception):
    """The exchange, or signer before it, said no; the text is what it said."""


def connected() -> Any:
    """The client library, pointed at signer. This line is all that a bot changes."""
    api = krakenex.API(os.environ["KRAKEN_API_KEY"], os.environ["KRAKEN_API_SECRET"])
    api.uri = os.environ["KRAKEN_BASE_URL"]
    return api


def result(answer: dict[str, Any]) -> Any:
    """The result of a call. krakenex raises nothing: errors stand in the answer."""
    if answer["error"]:
        raise Refused(" ".join(answer["error"]))
    return answer["result"]


def main() -> None:
    """Bid as often as told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="bids to make (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each rests (%(default)s)")
    parser.add_argument("--volume", default="0.001", help="bitcoin in each (%(default)s)")
    options = parser.parse_args()
    api = connected()
    print("balance:", result(api.query_private("Balance")).get("ZUSD"), "USD")
    for _ in range(options.rounds):
        try:
            bid(api, options.volume, options.seconds)
        except Refused as refusal:
            print("refused:", refusal)


def bid(api: Any, volume: str, seconds: float) -> None:
    """Place one order 1 % below the best bid, let it rest, and cancel it."""
    best = Decimal(result(api.query_public("Ticker", {"pair": PAIR}))[PAIR_ID]["b"][0])
    price = (best * Decimal("0.99")).quantize(Decimal("0.1"), ROUND_DOWN)
    order = {"pair": PAIR, "type": "buy", "ordertype": "limit", "price": str(price), "volume": volume}
    (txid,) = result(api.query_private("AddOrder", order))["txid"]
    print("placed:", txid, "at", price)
    time.sleep(seconds)
    cancelled = result(api.query_private("CancelOrder", {"txid": txid}))["count"]
    print("cancelled:", txid if cancelled else "nothing, it had filled")


if __name__ == "__main__":
    main()
