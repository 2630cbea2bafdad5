"""krakenex, unmodified, through the gateway. It hands every error array over to its caller."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

import krakenex
import pytest

from tests.e2e.refusals import DENIED, REFUSALS, Refusal, arranged
from tests.harness.bots import Bot, errors_of, order
from tests.harness.gateways import RunningGateway


def client_of(bot: Bot) -> Any:
    """Make the client as its user does."""
    api = krakenex.API(bot.api_key, bot.api_secret)
    api.uri = bot.url
    return api


def result(answer: dict[str, Any]) -> Any:
    """The result of an answer that says yes."""
    assert answer["error"] == []
    return answer["result"]


class Krakenex:
    """`Caller` by krakenex."""

    def __init__(self, bot: Bot) -> None:
        self.api = client_of(bot)

    def balance(self) -> Any:
        return self.api.query_private("Balance")

    def order(self, pair: str = "XBT/USD", kind: Literal["limit", "market"] = "limit", size: float = 0.01) -> Any:
        fields = order(volume=str(size), ordertype=kind, pair=pair)
        if kind == "market":
            del fields["price"]
        return self.api.query_private("AddOrder", fields)

    def withdraw(self) -> Any:
        return self.api.query_private("Withdraw", {"asset": "XBT", "key": "cold", "amount": "1"})

    def unknown(self) -> Any:
        return self.api.query_private("Nonsense")


def test_a_bot_trades(gateway: RunningGateway, account: str) -> None:
    """Balance, limit order, dry run, batch, edit, amend, open and closed orders, and each kind of cancel."""
    bot = gateway.client(account)
    api = client_of(bot)

    def ask(endpoint: str, **fields: str) -> Any:
        return result(api.query_private(endpoint, fields))

    assert Decimal(ask("Balance")["ZUSD"]) == 100_000
    (txid,) = ask("AddOrder", **order())["txid"]
    assert "txid" not in ask("AddOrder", **order(validate="true"))
    rows = {
        f"orders[{row}][{name}]": value
        for row, price in enumerate(("19000", "18000", "17000"))
        for name, value in order(price).items()
        if name != "pair"
    }
    batch = [row["txid"] for row in ask("AddOrderBatch", pair="XBTUSD", **rows)["orders"]]
    edited = ask("EditOrder", pair="XBTUSD", txid=batch[0], price="19500", volume="0.02")["txid"]
    assert ask("AmendOrder", txid=batch[1], limit_price="18100")["amend_id"]
    assert sorted(ask("OpenOrders")["open"]) == sorted([txid, edited, *batch[1:]])
    assert ask("CancelOrder", txid=txid)["count"] == 1
    assert ask("CancelOrderBatch", **{"orders[0]": edited, "orders[1]": batch[1]})["count"] == 2
    assert list(ask("OpenOrders")["open"]) == [batch[2]]
    assert sorted(ask("ClosedOrders")["closed"]) == sorted([txid, edited, *batch[:2]])

    truth = gateway.made.orders(account)
    assert truth[batch[1]]["descr"]["price"] == "18100.0"
    assert Decimal(truth[edited]["vol"]) == Decimal("0.02")
    intents = gateway.made.records(client=bot.name, kind="intent")
    assert [intent["endpoint"] for intent in intents] == [
        "AddOrder", "AddOrderBatch", "EditOrder", "AmendOrder", "CancelOrder", "CancelOrderBatch"
    ]  # fmt: skip


def test_public_calls_pass(gateway: RunningGateway) -> None:
    """Ticker, order book and time pass without a credential."""
    api = krakenex.API()
    api.uri = gateway.url
    assert "XXBTZUSD" in result(api.query_public("Ticker", {"pair": "XBTUSD"}))
    assert result(api.query_public("Depth", {"pair": "XBTUSD", "count": "3"}))["XXBTZUSD"]["bids"]
    assert abs(result(api.query_public("Time"))["unixtime"] - time.time()) < 60


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
def test_each_refusal(refusal: Refusal, gateway: RunningGateway, new_account: Callable[..., str]) -> None:
    """The answer has Kraken's own words first, our reason second, and no result."""
    with arranged(refusal, gateway, new_account) as bot:
        errors = errors_of(refusal.ask(Krakenex(bot)))
        assert errors[0].startswith(refusal.answer)
        assert errors[0] == refusal.answer or refusal.answer == "EOrder:Invalid order"
        assert refusal.reason in " ".join(errors)


def test_denials_at_once_are_no_replays(gateway: RunningGateway, account: str) -> None:
    """A bare millisecond is its nonce: a bot that is denied in less and asks again would repeat it."""
    api = client_of(gateway.client(account, "tracker"))
    answers = [api.query_private("AddOrder", order()) for _ in range(60)]
    assert {errors_of(answer)[0] for answer in answers} == {DENIED}


def test_two_calls_with_one_nonce_are_two_calls(
    gateway: RunningGateway, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two calls within one millisecond have one nonce and two signatures; only the same bytes again are a replay."""
    api = client_of(gateway.client(account))
    now = time.time()
    monkeypatch.setattr(krakenex.api.time, "time", lambda: now)
    result(api.query_private("Balance"))
    result(api.query_private("OpenOrders"))
    assert errors_of(api.query_private("Balance")) == ["EAPI:Invalid nonce"]
