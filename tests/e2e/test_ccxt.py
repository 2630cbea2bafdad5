"""ccxt, unmodified, through the gateway, by its exchange that waits and by its async one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import ccxt
import ccxt.async_support
import pytest

from tests.e2e.refusals import REFUSALS, Refusal, arranged
from tests.harness.bots import Bot
from tests.harness.gateways import RunningGateway

SYMBOLS = {"XBT/USD": "BTC/USD", "ETH/EUR": "ETH/EUR"}
ADDRESS = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"


def options(bot: Bot) -> dict[str, Any]:
    """What an exchange is made with."""
    urls = {"api": {"public": bot.url, "private": bot.url}}
    return {"apiKey": bot.api_key, "secret": bot.api_secret, "urls": urls, "enableRateLimit": False}


class Ccxt:
    """`Caller` by an exchange of either kind: what the async one returns is awaited."""

    def __init__(self, exchange: Any) -> None:
        self.exchange = exchange

    def balance(self) -> Any:
        return self.exchange.fetch_balance()

    def order(self, pair: str = "XBT/USD", kind: Literal["limit", "market"] = "limit", size: float = 0.01) -> Any:
        return self.exchange.create_order(SYMBOLS[pair], kind, "buy", size, None if kind == "market" else 20000)

    def withdraw(self) -> Any:
        return self.exchange.withdraw("BTC", 1, ADDRESS, params={"key": "cold"})

    def unknown(self) -> Any:
        return self.exchange.request("Nonsense", "private", "POST", {})


@pytest.fixture(scope="module")
def loaded(shared_gateway: RunningGateway) -> Any:
    """An exchange that has loaded its markets through the gateway, which takes a second."""
    urls = {"api": {"public": shared_gateway.url, "private": shared_gateway.url}}
    exchange = ccxt.kraken({"urls": urls, "enableRateLimit": False})
    exchange.load_markets()
    return exchange


def with_markets_of(loaded: Any, exchange: Any) -> Any:
    """``exchange`` with its markets known, as if it had loaded them."""
    exchange.set_markets(loaded.markets, loaded.currencies)
    exchange.options["marketsByAltname"] = loaded.options["marketsByAltname"]
    return exchange


@pytest.fixture
def exchange(gateway: RunningGateway, account: str) -> Any:
    """The exchange of a new trader."""
    return ccxt.kraken(options(gateway.client(account)))


@pytest.fixture
async def async_exchange(gateway: RunningGateway, account: str) -> AsyncIterator[Any]:
    """The async exchange of a new trader."""
    async with ccxt.async_support.kraken(options(gateway.client(account))) as exchange:
        yield exchange


def test_a_bot_trades(gateway: RunningGateway, account: str, exchange: Any) -> None:
    """Balance, limit order, dry run, batch in JSON, amend, open and closed orders, and cancels."""
    assert exchange.fetch_balance()["USD"]["total"] == 100_000
    txid = exchange.create_order("BTC/USD", "limit", "buy", 0.01, 20000)["id"]
    assert exchange.create_order("BTC/USD", "limit", "buy", 0.01, 20000, {"validate": True})["id"] is None
    rows = [
        {"symbol": "BTC/USD", "type": "limit", "side": "buy", "amount": 0.01, "price": price}
        for price in (19000, 18000)
    ]
    batch = [row["id"] for row in exchange.create_orders(rows)]
    assert sorted(row["id"] for row in exchange.fetch_open_orders("BTC/USD")) == sorted([txid, *batch])
    exchange.edit_order(txid, "BTC/USD", "limit", "buy", 0.02, 20500)
    assert gateway.made.orders(account)[txid]["vol"] == "0.02000000"
    exchange.cancel_order(txid)
    exchange.cancel_orders(batch)
    assert exchange.fetch_open_orders() == []
    assert {row["status"] for row in exchange.fetch_closed_orders()} == {"canceled"}


def test_public_calls_pass(gateway: RunningGateway, exchange: Any) -> None:
    """Ticker, order book and time pass."""
    assert exchange.fetch_ticker("BTC/USD")["last"] > 0
    assert exchange.fetch_order_book("BTC/USD", 3)["bids"]
    assert exchange.fetch_time() > 0


async def test_an_async_bot_trades(gateway: RunningGateway, account: str, async_exchange: Any) -> None:
    """Balance, limit order, dry run, batch in JSON, amend, open orders, and cancels."""
    exchange = async_exchange
    assert (await exchange.fetch_balance())["USD"]["total"] == 100_000
    txid = (await exchange.create_order("BTC/USD", "limit", "buy", 0.01, 20000))["id"]
    assert (await exchange.create_order("BTC/USD", "limit", "buy", 0.01, 20000, {"validate": True}))["id"] is None
    rows = [
        {"symbol": "BTC/USD", "type": "limit", "side": "buy", "amount": 0.01, "price": price}
        for price in (19000, 18000)
    ]
    batch = [row["id"] for row in await exchange.create_orders(rows)]
    await exchange.edit_order(txid, "BTC/USD", "limit", "buy", 0.02, 20500)
    assert sorted(row["id"] for row in await exchange.fetch_open_orders("BTC/USD")) == sorted([txid, *batch])
    await exchange.cancel_order(txid)
    await exchange.cancel_orders(batch)
    assert {order["status"] for order in gateway.made.orders(account).values()} == {"canceled"}
    assert (await exchange.fetch_ticker("BTC/USD"))["last"] > 0


async def test_parallel_calls_overtake_each_other(gateway: RunningGateway, account: str, async_exchange: Any) -> None:
    """Fifty orders at once from one client arrive out of order of their nonces, and every one is placed."""
    made = await asyncio.gather(*(Ccxt(async_exchange).order() for _ in range(50)))
    assert sorted(gateway.made.orders(account)) == sorted(order["id"] for order in made)
    assert len(made) == 50


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
def test_each_refusal(refusal: Refusal, gateway: RunningGateway, new_account: Callable[..., str], loaded: Any) -> None:
    """ccxt raises the class itself, not a parent of it, with our reason in its text."""
    with arranged(refusal, gateway, new_account) as bot:
        caller = Ccxt(with_markets_of(loaded, ccxt.kraken(options(bot))))
        with pytest.raises(refusal.ccxt) as raised:
            refusal.ask(caller)
        assert type(raised.value) is refusal.ccxt
        assert refusal.reason in str(raised.value)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
async def test_each_refusal_async(
    refusal: Refusal, gateway: RunningGateway, new_account: Callable[..., str], loaded: Any
) -> None:
    """The async client raises the same exception for each refusal."""
    with arranged(refusal, gateway, new_account) as bot:
        async with ccxt.async_support.kraken(options(bot)) as exchange:
            with pytest.raises(refusal.ccxt) as raised:
                await refusal.ask(Ccxt(with_markets_of(loaded, exchange)))
        assert type(raised.value) is refusal.ccxt
        assert refusal.reason in str(raised.value)
