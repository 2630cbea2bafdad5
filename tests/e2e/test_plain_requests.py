"""Plain `requests` code as Kraken's own tutorial shows it (docs/kraken.md §2a), pointed at the gateway.

It signs by the tutorial's own function, as users copy it, and not by `tests.harness`: so it also checks the harness.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import urllib.parse
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

import pytest
import requests

from tests.e2e.refusals import REFUSALS, Refusal, arranged
from tests.harness.bots import Bot, errors_of, order
from tests.harness.gateways import RunningGateway


def get_kraken_signature(urlpath: str, data: dict[str, Any], secret: str) -> str:
    """Kraken's example, word for word."""
    postdata = urllib.parse.urlencode(data)
    encoded = (str(data["nonce"]) + postdata).encode()
    message = urlpath.encode() + hashlib.sha256(encoded).digest()
    mac = hmac.new(base64.b64decode(secret), message, hashlib.sha512)
    return base64.b64encode(mac.digest()).decode()


def kraken_request(bot: Bot, uri_path: str, data: dict[str, Any]) -> requests.Response:
    """Kraken's example, but for the address."""
    data = {"nonce": str(time.time_ns()), **data}
    headers = {"API-Key": bot.api_key, "API-Sign": get_kraken_signature(uri_path, data, bot.api_secret)}
    return requests.post(bot.url + uri_path, headers=headers, data=data, timeout=60)


class Tutorial:
    """`Caller` by the tutorial's functions."""

    def __init__(self, bot: Bot) -> None:
        self.bot = bot

    def _ask(self, endpoint: str, data: dict[str, Any]) -> Any:
        response = kraken_request(self.bot, f"/0/private/{endpoint}", data)
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("application/json")
        return response.json()

    def balance(self) -> Any:
        return self._ask("Balance", {})

    def order(self, pair: str = "XBT/USD", kind: Literal["limit", "market"] = "limit", size: float = 0.01) -> Any:
        fields = order(volume=str(size), ordertype=kind, pair=pair)
        if kind == "market":
            del fields["price"]
        return self._ask("AddOrder", fields)

    def withdraw(self) -> Any:
        return self._ask("Withdraw", {"asset": "XBT", "key": "cold", "amount": 1})

    def unknown(self) -> Any:
        return self._ask("Nonsense", {})


def test_a_bot_trades(gateway: RunningGateway, account: str) -> None:
    """Balance, limit order, dry run, open orders, edit, cancel."""
    bot = gateway.client(account)

    def ask(endpoint: str, **data: str) -> Any:
        answer = kraken_request(bot, f"/0/private/{endpoint}", data).json()
        assert answer["error"] == []
        return answer["result"]

    assert Decimal(ask("Balance")["ZUSD"]) == 100_000
    (txid,) = ask("AddOrder", **order())["txid"]
    assert "txid" not in ask("AddOrder", **order(validate="true"))
    assert list(ask("OpenOrders")["open"]) == [txid]
    edited = ask("EditOrder", txid=txid, pair="XBTUSD", price="19000", volume="0.02")["txid"]
    assert ask("CancelOrder", txid=edited)["count"] == 1
    assert {row["status"] for row in gateway.made.orders(account).values()} == {"canceled"}


def test_public_calls_pass(gateway: RunningGateway) -> None:
    """GET with a query and POST with a form, as clients do."""
    ticker = requests.get(f"{gateway.url}/0/public/Ticker", params={"pair": "XBTUSD"}, timeout=60).json()
    posted = requests.post(f"{gateway.url}/0/public/Ticker", data={"pair": "XBTUSD"}, timeout=60).json()
    assert ticker["error"] == posted["error"] == []
    assert list(ticker["result"]) == list(posted["result"]) == ["XXBTZUSD"]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
def test_each_refusal(refusal: Refusal, gateway: RunningGateway, new_account: Callable[..., str]) -> None:
    """The answer is HTTP 200 and JSON, with Kraken's own words first, our reason second, and no result."""
    with arranged(refusal, gateway, new_account) as bot:
        errors = errors_of(refusal.ask(Tutorial(bot)))
        assert errors[0].startswith(refusal.answer)
        assert refusal.reason in " ".join(errors)


def test_the_same_bytes_again_are_a_replay(gateway: RunningGateway, account: str) -> None:
    """A client that sends a lost POST again (docs/kraken.md §8.15) does not place its order twice."""
    bot = gateway.client(account)
    first, again = (bot.post("AddOrder", order(), nonce=5).json() for _ in range(2))
    assert first["error"] == []
    assert errors_of(again) == ["EAPI:Invalid nonce"]
    assert list(gateway.made.orders(account)) == first["result"]["txid"]


def test_a_strict_client_may_not_overtake_itself(gateway: RunningGateway, account: str) -> None:
    """``nonces = "strict"`` is Kraken's own rule: what a window lets pass is refused."""
    strict, loose = gateway.client(account, nonces="strict"), gateway.client(account)
    for bot, errors in ((strict, ["EAPI:Invalid nonce"]), (loose, [])):
        assert bot.post("Balance", {}, nonce=10).json()["error"] == []
        assert bot.post("Balance", {}, nonce=9).json()["error"] == errors
