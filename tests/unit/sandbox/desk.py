"""What the tests of the sandbox's engine stand on: an exchange with one customer and a clock that they move."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from signer.sandbox.conditions import Conditions
from signer.sandbox.exchange import Exchange, Rejected

START = 1_700_000_000.0


class Desk:
    """A customer, ``bot``, with 100,000 USD and 2 XBT, at a market of 60,000 USD."""

    def __init__(self, *, tier: str = "pro", walk: bool = False, seed: int = 1) -> None:
        self.time = START
        self.exchange = Exchange(now=lambda: self.time, seed=seed, walk=walk)
        self.exchange.open_account("bot", {"USD": Decimal(100_000), "XBT": Decimal(2)}, tier)

    def ask(self, method: str, /, **params: object) -> Any:
        """Make a private call; the answer is Kraken's ``result``."""
        return self.ask_as("bot", method, **params)

    def ask_as(self, account: str, method: str, /, **params: object) -> Any:
        """Make a private call of another account."""
        self.exchange.tick()
        return self.exchange.private(account, method, params)

    def ask_under(self, met: Conditions, method: str, /, **params: object) -> Any:
        """Make a private call that meets faults of the exchange."""
        self.exchange.tick()
        return self.exchange.private("bot", method, params, met)

    def refused(self, method: str, /, **params: object) -> str:
        """Make a private call that must be refused; answer the error."""
        return self.refused_under(Conditions(), method, **params)

    def refused_under(self, met: Conditions, method: str, /, **params: object) -> str:
        """Make a private call that meets faults and must be refused; answer the error."""
        with pytest.raises(Rejected) as refusal:
            self.ask_under(met, method, **params)
        (error,) = refusal.value.errors
        return error

    def add(self, side: str, ordertype: str, volume: str, price: str = "", **more: object) -> str:
        """Place an order on XBT/USD; answer its txid."""
        answer = self.ask("AddOrder", **order(side, ordertype, volume, price), pair="XBTUSD", **more)
        (txid,) = answer["txid"]
        return str(txid)

    def look(self, txid: str) -> Any:
        """Answer an order as QueryOrders shows it."""
        return self.ask("QueryOrders", txid=txid, trades=True)[txid]

    def price(self, price: str) -> None:
        """Move XBT/USD."""
        self.exchange.set_price("XBTUSD", Decimal(price))

    def money(self) -> dict[str, tuple[str, str]]:
        """Answer balance and hold by asset."""
        balances = self.ask("BalanceEx")
        return {asset: (row["balance"], row["hold_trade"]) for asset, row in balances.items()}


def order(side: str, ordertype: str, volume: str, price: str = "", **more: object) -> dict[str, object]:
    """Answer the fields of an order."""
    fields: dict[str, object] = {"type": side, "ordertype": ordertype, "volume": volume}
    return fields | ({"price": price} if price else {}) | more
