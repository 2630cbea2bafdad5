"""Real, unmodified clients straight against the sandbox: a bot's day, and what each raises when refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import ccxt
import krakenex
import pytest
from kraken.exceptions import (
    KrakenInsufficientFundsError,
    KrakenInvalidAPIKeyError,
    KrakenInvalidNonceError,
    KrakenInvalidSignatureError,
    KrakenPermissionDeniedError,
    KrakenServiceUnavailableError,
    KrakenUnknownOrderError,
)
from kraken.spot import Trade, User
from requests import HTTPError

from signer.sandbox.control_client import MadeKey
from signer.sandbox.faults import Errors, Status
from signer.sandbox.permissions import TRADING
from signer.sandbox.server import RunningSandbox, Settings

NOBODY = "OAAAAA-AAAAA-AAAAAA"


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSandbox]:
    """Run one sandbox for all tests of this file."""
    with RunningSandbox(Settings(tier="unlimited")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: RunningSandbox) -> RunningSandbox:
    """The running sandbox, without faults of earlier tests."""
    running.control.clear_faults()
    return running


MakeKey = Callable[..., MadeKey]


@pytest.fixture
def make_key(sandbox: RunningSandbox, request: pytest.FixtureRequest) -> MakeKey:
    """Makes keys of an account that is the test's own: nonces of different libraries do not mix."""

    def make(**settings: Any) -> MadeKey:
        return sandbox.control.make_key(request.node.name, tier="unlimited", **settings)

    return make


def _krakenex(sandbox: RunningSandbox, key: MadeKey) -> Any:
    api = krakenex.API(key.api_key, key.api_secret)
    api.uri = sandbox.url
    return api


def _sdk(sandbox: RunningSandbox, key: MadeKey) -> dict[str, str]:
    return {"key": key.api_key, "secret": key.api_secret, "url": sandbox.url}


def _ccxt(sandbox: RunningSandbox, key: MadeKey) -> Any:
    urls = {"api": {"public": sandbox.url, "private": sandbox.url}}
    return ccxt.kraken({"apiKey": key.api_key, "secret": key.api_secret, "urls": urls, "enableRateLimit": False})


def _order(price: str, **more: str) -> dict[str, str]:
    return {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": price, **more}


def test_krakenex_trades(sandbox: RunningSandbox, make_key: MakeKey) -> None:
    """krakenex reads balances, and places, lists, edits and cancels orders, one with a close and a batch among them."""
    key = make_key()
    api = _krakenex(sandbox, key)

    def ask(method: str, data: dict[str, str] | None = None) -> Any:
        answer = api.query_private(method, data)
        assert answer["error"] == []
        return answer["result"]

    assert Decimal(ask("Balance")["ZUSD"]) == 100_000
    (txid,) = ask("AddOrder", _order("20000", **{"close[ordertype]": "limit", "close[price]": "30000"}))["txid"]
    assert ask("OpenOrders")["open"][txid]["descr"]["close"] == "close position @ limit 30000.0"
    rows = {
        f"orders[{row}][{name}]": value
        for row, price in enumerate(("19000", "18000"))
        for name, value in _order(price).items()
        if name != "pair"
    }
    batch = [row["txid"] for row in ask("AddOrderBatch", {"pair": "XBTUSD", **rows})["orders"]]
    edited = ask("EditOrder", {"pair": "XBTUSD", "txid": batch[0], "price": "19500", "volume": "0.02"})["txid"]
    assert ask("CancelOrder", {"txid": edited})["count"] == 1
    assert sorted(ask("OpenOrders")["open"]) == sorted([txid, batch[1]])
    assert sandbox.control.orders(key.account)[edited]["status"] == "canceled"


def test_krakenex_refused(sandbox: RunningSandbox, make_key: MakeKey) -> None:
    """krakenex hands the error array over, and raises for an HTTP error only."""
    api = _krakenex(sandbox, make_key())
    withdrawal = {"asset": "XBT", "key": "cold", "amount": "1"}
    assert api.query_private("Withdraw", withdrawal) == {"error": ["EGeneral:Permission denied"]}
    assert api.query_private("AddOrder", _order("20000") | {"volume": "900"}) == {
        "error": ["EOrder:Insufficient funds"]
    }
    sandbox.control.add_fault(Status(endpoint="AddOrder", status=502))
    with pytest.raises(HTTPError, match="502"):
        api.query_private("AddOrder", _order("20000"))


def test_sdk_trades(sandbox: RunningSandbox, make_key: MakeKey) -> None:
    """python-kraken-sdk reads balances, and places, lists, amends, edits and cancels orders, a batch among them."""
    key = make_key()
    user, trade = User(**_sdk(sandbox, key)), Trade(**_sdk(sandbox, key))
    assert Decimal(user.get_account_balance()["ZUSD"]) == 100_000
    (txid,) = trade.create_order(
        "limit", "buy", "XBTUSD", "0.01", "20000", close_ordertype="limit", close_price="30000"
    )["txid"]
    rows = [{"ordertype": "limit", "type": "buy", "volume": "0.01", "price": price} for price in ("19000", "18000")]
    batch = [row["txid"] for row in trade.create_order_batch(rows, "XBTUSD")["orders"]]
    assert sorted(user.get_open_orders()["open"]) == sorted([txid, *batch])
    assert trade.amend_order(txid=batch[0], limit_price="19100")["amend_id"]
    edited = trade.edit_order(batch[1], "XBTUSD", volume="0.02", price="18100")["txid"]
    assert trade.cancel_order_batch([batch[0], edited])["count"] == 2
    assert trade.cancel_order(txid)["count"] == 1
    assert user.get_open_orders()["open"] == {}
    assert sandbox.control.orders(key.account)[batch[0]]["descr"]["price"] == "19100.0"


def test_sdk_refused(sandbox: RunningSandbox, make_key: MakeKey) -> None:
    """python-kraken-sdk raises its own class for each refusal."""
    key = make_key()
    trade = Trade(**_sdk(sandbox, key))
    with pytest.raises(KrakenInsufficientFundsError):
        trade.create_order("limit", "buy", "XBTUSD", "900", "20000")
    with pytest.raises(KrakenUnknownOrderError):
        trade.cancel_order(NOBODY)
    with pytest.raises(KrakenInvalidSignatureError):
        User(**(_sdk(sandbox, key) | {"secret": make_key().api_secret})).get_account_balance()
    with pytest.raises(KrakenInvalidAPIKeyError):
        User(**(_sdk(sandbox, key) | {"key": "A" * 56})).get_account_balance()
    with pytest.raises(KrakenPermissionDeniedError):
        Trade(**_sdk(sandbox, make_key(permissions=TRADING - {"modify-trades"}))).create_order(
            "limit", "buy", "XBTUSD", "0.01", "20000"
        )
    sandbox.control.add_fault(Errors(endpoint="AddOrder", errors=("EService:Unavailable",)))
    with pytest.raises(KrakenServiceUnavailableError):
        trade.create_order("limit", "buy", "XBTUSD", "0.01", "20000")
    sandbox.control.add_fault(Errors(endpoint="Balance", errors=("EAPI:Invalid nonce",)))
    with pytest.raises(KrakenInvalidNonceError):
        User(**_sdk(sandbox, key)).get_account_balance()


def test_libraries_with_other_units_cannot_share_a_key(sandbox: RunningSandbox, make_key: MakeKey) -> None:
    """ccxt's milliseconds are refused after the SDK's finer nonces, as at the exchange."""
    key = make_key()
    User(**_sdk(sandbox, key)).get_account_balance()
    with pytest.raises(ccxt.InvalidNonce):
        _ccxt(sandbox, key).fetch_balance()


def test_ccxt_trades(sandbox: RunningSandbox, make_key: MakeKey) -> None:
    """ccxt reads balances, and places, lists, amends and cancels orders, a batch among them."""
    key = make_key()
    exchange = _ccxt(sandbox, key)
    assert exchange.fetch_balance()["USD"]["total"] == 100_000
    order = exchange.create_order("BTC/USD", "limit", "buy", 0.01, 20000)["id"]
    batch = [
        row["id"]
        for row in exchange.create_orders(
            [
                {"symbol": "BTC/USD", "type": "limit", "side": "buy", "amount": 0.01, "price": price}
                for price in (19000, 18000)
            ]
        )
    ]
    assert sorted(row["id"] for row in exchange.fetch_open_orders("BTC/USD")) == sorted([order, *batch])
    exchange.edit_order(order, "BTC/USD", "limit", "buy", 0.02, 20500)
    assert sandbox.control.orders(key.account)[order]["vol"] == "0.02000000"
    exchange.cancel_order(order)
    exchange.cancel_orders(batch)
    assert exchange.fetch_open_orders() == []
    assert {row["status"] for row in exchange.fetch_closed_orders()} == {"canceled"}


def test_ccxt_refused(sandbox: RunningSandbox, make_key: MakeKey) -> None:
    """ccxt raises its own class for each refusal."""
    key = make_key()
    exchange = _ccxt(sandbox, key)
    exchange.load_markets()
    with pytest.raises(ccxt.InsufficientFunds):
        exchange.create_order("BTC/USD", "limit", "buy", 900, 20000)
    with pytest.raises(ccxt.OrderNotFound):
        exchange.cancel_order(NOBODY)
    with pytest.raises(ccxt.PermissionDenied):
        exchange.withdraw("BTC", 1, "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", params={"key": "cold"})
    with pytest.raises(ccxt.AuthenticationError):
        _ccxt(sandbox, MadeKey("", "", "A" * 56, key.api_secret)).fetch_balance()
    sandbox.control.add_fault(Status(endpoint="AddOrder", status=520))
    with pytest.raises(ccxt.ExchangeNotAvailable):
        exchange.create_order("BTC/USD", "limit", "buy", 0.01, 20000)
    sandbox.control.add_fault(Errors(endpoint="AddOrder", errors=("EAPI:Rate limit exceeded",)))
    with pytest.raises(ccxt.DDoSProtection):
        exchange.create_order("BTC/USD", "limit", "buy", 0.01, 20000)
    assert sandbox.control.orders(key.account) == {}
