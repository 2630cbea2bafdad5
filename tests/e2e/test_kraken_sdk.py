"""python-kraken-sdk, unmodified, through the gateway, by its clients that wait and by its async one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any, Literal

import pytest
from kraken.spot import Funding, Market, SpotAsyncClient, Trade, User

from tests.e2e.refusals import REFUSALS, Refusal, arranged
from tests.harness.bots import Bot, order
from tests.harness.gateways import RunningGateway


def login(bot: Bot) -> dict[str, Any]:
    """What its clients are made with."""
    return {"key": bot.api_key, "secret": bot.api_secret, "url": bot.url}


class Sdk:
    """`Caller` by the clients that wait."""

    def __init__(self, bot: Bot) -> None:
        self.user, self.trade, self.funding = User(**login(bot)), Trade(**login(bot)), Funding(**login(bot))

    def balance(self) -> Any:
        return self.user.get_account_balance()

    def order(self, pair: str = "XBT/USD", kind: Literal["limit", "market"] = "limit", size: float = 0.01) -> Any:
        return self.trade.create_order(kind, "buy", pair, str(size), None if kind == "market" else "20000")

    def withdraw(self) -> Any:
        return self.funding.withdraw_funds("XBT", "cold", "1")

    def unknown(self) -> Any:
        return self.user.request("POST", "/0/private/Nonsense")


class AsyncSdk:
    """`Caller` by the async client: what its calls return is awaited."""

    def __init__(self, client: SpotAsyncClient) -> None:
        self.client = client

    def _ask(self, endpoint: str, **params: Any) -> Any:
        return self.client.request("POST", f"/0/private/{endpoint}", params)

    def balance(self) -> Any:
        return self._ask("Balance")

    def order(self, pair: str = "XBT/USD", kind: Literal["limit", "market"] = "limit", size: float = 0.01) -> Any:
        price = {} if kind == "market" else {"price": "20000"}
        return self._ask("AddOrder", pair=pair, type="buy", ordertype=kind, volume=str(size), **price)

    def withdraw(self) -> Any:
        return self._ask("Withdraw", asset="XBT", key="cold", amount="1")

    def unknown(self) -> Any:
        return self._ask("Nonsense")


@pytest.fixture
async def async_client(gateway: RunningGateway, account: str) -> AsyncIterator[SpotAsyncClient]:
    """The async client of a new trader."""
    async with SpotAsyncClient(**login(gateway.client(account))) as client:
        yield client


def test_a_bot_trades(gateway: RunningGateway, account: str) -> None:
    """Balance, limit order, dry run, batch in JSON, amend, edit, open and closed orders, and cancels."""
    bot = gateway.client(account)
    user, trade = User(**login(bot)), Trade(**login(bot))
    assert Decimal(user.get_account_balance()["ZUSD"]) == 100_000
    (txid,) = trade.create_order("limit", "buy", "XBT/USD", "0.01", "20000")["txid"]
    assert "txid" not in trade.create_order("limit", "buy", "XBT/USD", "0.01", "20000", validate=True)
    rows = [{"ordertype": "limit", "type": "buy", "volume": "0.01", "price": price} for price in ("19000", "18000")]
    batch = [row["txid"] for row in trade.create_order_batch(rows, "XBT/USD")["orders"]]
    assert sorted(user.get_open_orders()["open"]) == sorted([txid, *batch])
    assert trade.amend_order(txid=batch[0], limit_price="19100")["amend_id"]
    edited = trade.edit_order(batch[1], "XBT/USD", volume="0.02", price="18100")["txid"]
    assert trade.cancel_order_batch([batch[0], edited])["count"] == 2
    assert trade.cancel_order(txid)["count"] == 1
    assert user.get_open_orders()["open"] == {}
    assert sorted(user.get_closed_orders()["closed"]) == sorted([txid, *batch, edited])
    assert gateway.made.orders(account)[batch[0]]["descr"]["price"] == "19100.0"


def test_public_calls_pass(gateway: RunningGateway) -> None:
    """Ticker and order book pass without a credential."""
    market = Market(url=gateway.url)
    assert "XXBTZUSD" in market.get_ticker(pair="XBTUSD")
    assert market.get_order_book(pair="XBTUSD", count=3)["XXBTZUSD"]["asks"]


async def test_an_async_bot_trades(gateway: RunningGateway, account: str, async_client: SpotAsyncClient) -> None:
    """Balance, limit order, dry run, batch in JSON, edit, cancel, ticker."""

    async def ask(endpoint: str, **params: Any) -> Any:
        nested = any(isinstance(value, list) for value in params.values())
        return await async_client.request("POST", f"/0/private/{endpoint}", params, do_json=nested)

    assert Decimal((await ask("Balance"))["ZUSD"]) == 100_000
    (txid,) = (await ask("AddOrder", **order()))["txid"]
    assert "txid" not in await ask("AddOrder", **order(validate="true"))
    rows = [{"ordertype": "limit", "type": "buy", "volume": 0.01, "price": price} for price in (19000, 18000)]
    batch = (await ask("AddOrderBatch", pair="XBT/USD", orders=rows))["orders"]
    edited = (await ask("EditOrder", pair="XBT/USD", txid=batch[0]["txid"], price="19100"))["txid"]
    assert sorted((await ask("OpenOrders"))["open"]) == sorted([txid, edited, batch[1]["txid"]])
    assert (await ask("CancelOrderBatch", orders=[txid, edited]))["count"] == 2
    ticker: Any = await async_client.request("GET", "/0/public/Ticker", {"pair": "XBTUSD"}, auth=False)
    assert "XXBTZUSD" in ticker
    assert gateway.made.orders(account)[edited]["status"] == "canceled"


async def test_parallel_calls_overtake_each_other(
    gateway: RunningGateway, account: str, async_client: SpotAsyncClient
) -> None:
    """Fifty orders at once from one client arrive out of order of their nonces, and every one is placed."""
    placed: list[Any] = await asyncio.gather(*(AsyncSdk(async_client).order() for _ in range(50)))
    txids = [answer["txid"][0] for answer in placed]
    assert len(set(txids)) == 50
    assert sorted(gateway.made.orders(account)) == sorted(txids)


@pytest.mark.filterwarnings("ignore:.*deprecated Kraken endpoint:DeprecationWarning")
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
def test_each_refusal(refusal: Refusal, gateway: RunningGateway, new_account: Callable[..., str]) -> None:
    """The client raises the class itself, not a parent of it, with our reason in its text."""
    with arranged(refusal, gateway, new_account) as bot:
        caller = Sdk(bot)
        with pytest.raises(refusal.sdk) as raised:
            refusal.ask(caller)
        assert type(raised.value) is refusal.sdk
        assert refusal.reason in str(raised.value)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
async def test_each_refusal_async(refusal: Refusal, gateway: RunningGateway, new_account: Callable[..., str]) -> None:
    """The async client raises the same exception for each refusal."""
    with arranged(refusal, gateway, new_account) as bot:
        async with SpotAsyncClient(**login(bot)) as client:
            with pytest.raises(refusal.sdk) as raised:
                await refusal.ask(AsyncSdk(client))
        assert type(raised.value) is refusal.sdk
        assert refusal.reason in str(raised.value)
