"""The simulator's clients: they place, change and cancel orders at random, several at a time, and remember it all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from tests.simulator.asks import CLIENTS, Ask
from tests.simulator.life import Life
from tests.simulator.world import START_US, World

PRICES_FROM = 300_000
"""In tenths of a USD: far below the market, so that no order trades."""


class Bots:
    """All clients, with what they remember of every life of the gateway."""

    def __init__(self, world: World, asks: list[Ask]) -> None:
        self._world = world
        self._asks = asks
        self._marks = 0
        self._nonces = dict.fromkeys(CLIENTS, 0)

    async def call(self, life: Life, ask: Ask) -> None:
        """Make one call, and hear the answer if the machine lives so long."""
        nonce = max(self._nonces[ask.client] + 1, START_US + round(self._world.now * 1_000_000))
        self._nonces[ask.client] = nonce
        ask.asked_at = self._world.now
        self._asks.append(ask)
        self._world.note(f"{ask.client} asks {ask.endpoint} {dict(ask.fields)}")
        response = await life.gateway.answer(ask.request(nonce))
        if self._world.alive:
            ask.hear(response)
            self._world.note(f"{ask.client} hears {response.body[:150].decode()}")

    async def trade(self, life: Life, client: str, calls: int) -> None:
        """Make so many calls, some of them at the same time."""
        random = self._world.random
        while calls > 0:
            together = min(calls, random.choice((1, 1, 2, 3, 5)))
            calls -= together
            await asyncio.gather(*(self.call(life, self.some_ask(client)) for _ in range(together)))
            await asyncio.sleep(random.choice((0.0, 0.01, 0.3, 2.0)))

    def some_ask(self, client: str) -> Ask:
        """Any call that a bot may make."""
        kinds: Mapping[str, int] = {
            "add": 6,
            "add with cl_ord_id": 3,
            "add with userref": 3,
            "validate": 1,
            "batch": 2,
            "edit": 3,
            "amend": 3,
            "amend price": 2,
            "amend volume": 2,
            "amend by cl_ord_id": 2,
            "cancel": 2,
            "cancel by userref": 2,
            "cancel by cl_ord_id": 1,
            "read": 1,
            "denied": 1,
            "bad signature": 1,
            "key info": 1,
        }
        (kind,) = self._world.random.choices(list(kinds), list(kinds.values()))
        return self.ask(client, kind)

    def ask(self, client: str, kind: str) -> Ask:
        """A call of that kind."""
        makers: Mapping[str, Callable[[str], Ask]] = {
            "add": self._add,
            "add with cl_ord_id": lambda who: self._add(who, cl_ord_id=f"{who}-{self._marks}"),
            "add with userref": lambda who: self._add(who, userref="7"),
            "validate": lambda who: self._add(who, validate="true"),
            "batch": self._batch,
            "edit": self._edit,
            "amend": lambda who: self._amend(who, "txid", price=True, volume=True),
            "amend price": lambda who: self._amend(who, "txid", price=True, volume=False),
            "amend volume": lambda who: self._amend(who, "txid", price=False, volume=True),
            "amend by cl_ord_id": lambda who: self._amend(who, "cl_ord_id", price=True, volume=True),
            "cancel": lambda who: Ask(who, "CancelOrder", {"txid": self._target(who, "txid")}),
            "cancel by userref": lambda who: Ask(who, "CancelOrder", {"txid": "7"}),
            "cancel by cl_ord_id": lambda who: Ask(who, "CancelOrder", {"cl_ord_id": self._target(who, "cl_ord_id")}),
            "read": lambda who: Ask(who, "OpenOrders", {}),
            "denied": lambda who: Ask(who, "Withdraw", {"asset": "XBT", "key": "cold", "amount": "1"}),
            "bad signature": lambda who: Ask(who, "Balance", {}, good_signature=False),
            "key info": lambda who: Ask(who, "GetApiKeyInfo", {}),
        }
        return makers[kind](client)

    def _add(self, client: str, **more: str) -> Ask:
        price = self._price()
        marks = () if "validate" in more else (price,)
        return Ask(client, "AddOrder", {"pair": "XBTUSD", **self._order(price), **more}, marks)

    def _batch(self, client: str) -> Ask:
        prices = tuple(self._price() for _ in range(self._world.random.randint(2, 4)))
        rows = [self._order(price) for price in prices]
        if self._world.random.random() < 0.2:
            rows[0]["volume"] = "0.00001"  # below the venue's least
        return Ask(client, "AddOrderBatch", {"pair": "XBTUSD", "orders": rows}, prices)

    def _edit(self, client: str) -> Ask:
        mark, change = self._change("price", "volume")
        return Ask(client, "EditOrder", {"pair": "XBTUSD", "txid": self._target(client, "txid"), **change}, (mark,))

    def _amend(self, client: str, by: str, *, price: bool, volume: bool) -> Ask:
        mark, change = self._change("limit_price" if price else "", "order_qty" if volume else "")
        return Ask(client, "AmendOrder", {by: self._target(client, by), **change}, (mark,))

    def _change(self, price: str, volume: str) -> tuple[str, dict[str, str]]:
        """New values for some fields, and the mark among them."""
        change = {}
        if volume:
            self._marks += 1
            change[volume] = f"0.00{self._world.random.randint(1, 9)}{self._marks:04d}"
        if price and (not volume or self._world.random.random() < 0.5):
            change[price] = self._price()
        return (change[price] if price in change else change[volume]), change

    def _order(self, price: str) -> dict[str, str]:
        volume = self._world.random.choice(("0.001", "0.002", "0.004"))
        return {"type": "buy", "ordertype": "limit", "volume": volume, "price": price}

    def _price(self) -> str:
        """A price that no other call has: low, or high enough that caps matter."""
        self._marks += 1
        return f"{(PRICES_FROM + self._marks + self._world.random.choice((0, 100_000))) / 10:.1f}"

    def _target(self, client: str, by: str) -> str:
        """An order of the client's that it may know of, its newest ones first of all."""
        asks = [ask for ask in self._asks if ask.client == client]
        if by == "cl_ord_id":
            names = [str(ask.fields["cl_ord_id"]) for ask in asks if "cl_ord_id" in ask.fields]
        else:
            names = [txid for ask in asks for txid in ask.txids.values()]
        return self._world.random.choice(names[-4:]) if names else "OAAAAA-AAAAA-AAAAAA"
