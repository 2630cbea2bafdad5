"""What unmodified clients always send beside a call, through the gateway to the exchange (docs/clients.md)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import ccxt
import krakenex
import pytest
from kraken.exceptions import KrakenInvalidOrderError
from kraken.spot import Trade

from tests.harness.bots import Bot, order
from tests.harness.gateways import RunningGateway


def api_of(bot: Bot) -> Any:
    """krakenex, which sends what it is given."""
    api = krakenex.API(bot.api_key, bot.api_secret)
    api.uri = bot.url
    return api


def arrived(gateway: RunningGateway, account: str, endpoint: str) -> dict[str, list[str]]:
    """The fields of the last call of that endpoint at the exchange, without its nonce."""
    fields = parse_qs(gateway.made.arrivals(account, endpoint)[-1].body.decode(), keep_blank_values=True)
    assert fields.pop("nonce")
    return fields


def test_an_order_of_a_german_resident_carries_the_agreement(gateway: RunningGateway, account: str) -> None:
    """ccxt sends the agreement, as under freqtrade, and Kraken would refuse the order without it."""
    bot = gateway.client(account)
    urls = {"api": {"public": bot.url, "private": bot.url}}
    exchange = ccxt.kraken({"apiKey": bot.api_key, "secret": bot.api_secret, "urls": urls, "enableRateLimit": False})
    placed = exchange.create_order("BTC/USD", "limit", "buy", 0.01, 20000, {"trading_agreement": "agree"})
    assert placed["id"] in gateway.made.orders(account)
    assert arrived(gateway, account, "AddOrder")["trading_agreement"] == ["agree"]
    assert [each["id"] for each in exchange.fetch_open_orders("BTC/USD", since=1)] == [placed["id"]]


def test_an_order_loses_what_means_nothing(gateway: RunningGateway, account: str) -> None:
    """XChange's, nautilus' and node-kraken-rest-api's habits at once; the record names what was dropped."""
    bot = gateway.client(account)
    habits = {"close": "{}", "position": "0", "broker": "AA00", "https[rejectUnauthorized]": "false", "oflags": ""}
    assert api_of(bot).query_private("AddOrder", {**order(), **habits})["error"] == []
    assert not arrived(gateway, account, "AddOrder").keys() & {"close", "position", "broker", "https", "oflags"}
    intent = gateway.made.wait_for_record(client=bot.name, kind="intent")
    assert sorted(intent["dropped"]) == ["broker", "https", "position"]


def test_a_read_with_strange_parameters_is_answered(gateway: RunningGateway, account: str) -> None:
    """What is plain reaches the exchange, the rest does not."""
    bot = gateway.client(account)
    strange = {"kwargs": "{}", "ticker_pair": "XBTUSD", "a-b": "1", "users": "all", "x" * 50: "1"}
    assert api_of(bot).query_private("Balance", strange)["error"] == []
    assert arrived(gateway, account, "Balance") == {"kwargs": ["{}"], "ticker_pair": ["XBTUSD"]}


@pytest.mark.parametrize("price", [None, "20000"])
def test_a_grid_bot_s_test_of_its_key_passes(gateway: RunningGateway, account: str, price: str | None) -> None:
    """A market order that is only validated, with and without a price, and a cancel of nothing."""
    trader = (gateway.made.home.policies / "trader.toml").read_text(encoding="utf-8")
    grid = trader.replace('order_types = ["limit"]', 'order_types = ["limit", "market"]')
    (gateway.made.home.policies / "grid.toml").write_text(grid, encoding="utf-8")
    bot = gateway.client(account, "grid")
    trade = Trade(key=bot.api_key, secret=bot.api_secret, url=bot.url)
    checked = trade.create_order("market", "buy", "BTC/USD", "0.01", price, validate=True)
    assert "descr" in checked
    assert "price" not in arrived(gateway, account, "AddOrder")
    with pytest.raises(KrakenInvalidOrderError):
        trade.request("POST", "/0/private/CancelOrder", {"txid": "", "cl_ord_id": ""})
    assert gateway.made.arrivals(account, "CancelOrder") == []
