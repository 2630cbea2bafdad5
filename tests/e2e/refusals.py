"""Every way in which a bot is told no, and what each client library makes of it (docs/kraken.md §9)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import ccxt
from kraken import exceptions as sdk

from signer.sandbox.faults import CloseAfterActing, Status
from tests.harness.bots import Bot
from tests.harness.gateways import RunningGateway
from tests.harness.rig import ASKED_BY_US


class Caller(Protocol):
    """The same few calls by any client library, which return or raise what the library does."""

    def balance(self) -> Any:
        """Balance."""

    def order(self, pair: str = "XBT/USD", kind: Literal["limit", "market"] = "limit", size: float = 0.01) -> Any:
        """A buy at 20,000."""

    def withdraw(self) -> Any:
        """Withdraw."""

    def unknown(self) -> Any:
        """An endpoint that nobody knows."""


Ask = Callable[[Caller], Any]
Arrange = Callable[[RunningGateway, Callable[..., str]], Iterator[Bot]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way to be told no: how it comes about, what is asked, and what the bot sees."""

    name: str
    arrange: Arrange
    ask: Ask
    answer: str
    """The first string of the error array, up to any reason of ours."""
    reason: str
    """What stands in the answer for a person."""
    sdk: type[Exception]
    ccxt: type[Exception]
    arrives: bool = False
    """Whether the call reaches the exchange."""


def _with(policy: str) -> Arrange:
    def arrange(gateway: RunningGateway, new_account: Callable[..., str]) -> Iterator[Bot]:
        yield gateway.client(new_account(), policy)

    return arrange


def _used_up(policy: str, orders: int) -> Arrange:
    """A client that has placed ``orders`` orders of 200 USD already."""

    def arrange(gateway: RunningGateway, new_account: Callable[..., str]) -> Iterator[Bot]:
        bot = gateway.client(new_account(), policy)
        fields = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "20000"}
        for nonce in range(1, orders + 1):
            assert bot.post("AddOrder", fields, nonce).json()["error"] == []
        yield bot

    return arrange


def _another_secret(gateway: RunningGateway, new_account: Callable[..., str]) -> Iterator[Bot]:
    account = new_account()
    yield replace(gateway.client(account), api_secret=gateway.client(account).api_secret)


def _another_key(gateway: RunningGateway, new_account: Callable[..., str]) -> Iterator[Bot]:
    yield replace(gateway.client(new_account()), api_key="A" * 56)


def _nonces_behind(gateway: RunningGateway, new_account: Callable[..., str]) -> Iterator[Bot]:
    bot = gateway.client(new_account(), nonces="strict")
    an_hour_ahead = time.time_ns() + 3600 * 10**9
    assert bot.post("OpenOrders", {}, an_hour_ahead).json()["error"] == []
    yield bot


def _halted(gateway: RunningGateway, new_account: Callable[..., str]) -> Iterator[Bot]:
    bot = gateway.client(new_account())
    gateway.made.here("halt", "--client", bot.name, "--reason", "out for lunch")
    yield bot


def _cancel_only(gateway: RunningGateway, new_account: Callable[..., str]) -> Iterator[Bot]:
    bot = gateway.client(new_account())
    gateway.made.here("halt", "--client", bot.name, "--cancel-only", "--reason", "out for lunch")
    yield bot


def _exchange_gone(gateway: RunningGateway, new_account: Callable[..., str]) -> Iterator[Bot]:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        yield gateway.client(new_account(origin=f"http://127.0.0.1:{nobody.getsockname()[1]}"))


def _exchange_down(gateway: RunningGateway, new_account: Callable[..., str]) -> Iterator[Bot]:
    bot = gateway.client(new_account())
    for endpoint in ("Balance", "BalanceEx"):  # libraries differ in which they ask
        gateway.made.sandbox.control.add_fault(Status(endpoint=endpoint, status=503))
    yield bot


def _answer_lost(gateway: RunningGateway, new_account: Callable[..., str]) -> Iterator[Bot]:
    bot = gateway.client(new_account())
    gateway.made.sandbox.control.add_fault(CloseAfterActing(endpoint="AddOrder"))
    yield bot


def _order(**how: Any) -> Ask:
    return lambda caller: caller.order(**how)


DENIED = "EGeneral:Permission denied"
UNAVAILABLE = "EService:Unavailable"
NO, LIMIT, RATE = sdk.KrakenPermissionDeniedError, sdk.KrakenInvalidOrderError, sdk.KrakenRateLimitExceededError
GONE = sdk.KrakenServiceUnavailableError

REFUSALS = [
    Refusal("withdrawal", _with("trader"), lambda caller: caller.withdraw(),
            DENIED, "never-list", NO, ccxt.PermissionDenied),
    Refusal("unknown endpoint", _with("trader"), lambda caller: caller.unknown(),
            "EGeneral:Unknown method", "", sdk.KrakenUnknownMethodError, ccxt.ExchangeError),
    Refusal("orders by a reader", _with("tracker"), _order(),
            DENIED, "permissions", NO, ccxt.PermissionDenied),
    Refusal("pair not allowed", _with("trader"), _order(pair="ETH/EUR", size=0.1),
            DENIED, "pairs", NO, ccxt.PermissionDenied),
    Refusal("order type not allowed", _with("trader"), _order(kind="market"),
            DENIED, "order-types", NO, ccxt.PermissionDenied),
    Refusal("size over limit", _with("trader"), _order(size=1.5),
            "EOrder:Invalid order", "order-size", LIMIT, ccxt.InvalidOrder),
    Refusal("notional over limit", _with("trader"), _order(size=0.3),
            "EOrder:Invalid order", "order-notional", LIMIT, ccxt.InvalidOrder),
    Refusal("rolling cap used up", _used_up("thrifty", 2), _order(),
            "EOrder:Invalid order", "100 USD left", LIMIT, ccxt.InvalidOrder),
    Refusal("orders per window used up", _used_up("slow", 1), _order(),
            "EOrder:Rate limit exceeded", "orders 1 / 24h", RATE, ccxt.DDoSProtection),
    Refusal("bad signature", _another_secret, lambda caller: caller.balance(),
            "EAPI:Invalid signature", "", sdk.KrakenInvalidSignatureError, ccxt.ExchangeError),
    Refusal("unknown key", _another_key, lambda caller: caller.balance(),
            "EAPI:Invalid key", "", sdk.KrakenInvalidAPIKeyError, ccxt.AuthenticationError),
    Refusal("replayed nonce", _nonces_behind, lambda caller: caller.balance(),
            "EAPI:Invalid nonce", "", sdk.KrakenInvalidNonceError, ccxt.InvalidNonce),
    Refusal("halted", _halted, _order(),
            DENIED, "out for lunch", NO, ccxt.PermissionDenied),
    Refusal("only cancels", _cancel_only, _order(),
            "EService:Market in cancel_only mode", "out for lunch", sdk.KrakenMarketInOnlyCancelModeError,
            ccxt.OnMaintenance),
    Refusal("exchange not reached", _exchange_gone, _order(),
            UNAVAILABLE, "nothing was sent", GONE, ccxt.ExchangeNotAvailable),
    Refusal("exchange down", _exchange_down, lambda caller: caller.balance(),
            UNAVAILABLE, "HTTP 503", GONE, ccxt.ExchangeNotAvailable, arrives=True),
    Refusal("unknown outcome", _answer_lost, _order(),
            UNAVAILABLE, "the outcome is unknown", GONE, ccxt.ExchangeNotAvailable, arrives=True),
]  # fmt: skip


@contextmanager
def arranged(refusal: Refusal, gateway: RunningGateway, new_account: Callable[..., str]) -> Iterator[Bot]:
    """The bot that will be refused. At the end: nothing of it reached the exchange that should not have."""
    with ExitStack() as stack:
        bot = stack.enter_context(contextmanager(refusal.arrange)(gateway, new_account))
        before = _arrived(gateway, bot)
        yield bot
        assert _arrived(gateway, bot) - before == refusal.arrives


def _arrived(gateway: RunningGateway, bot: Bot) -> int:
    """Count the requests at the exchange for the bot's account, without those that the gateway makes by itself."""
    arrived = gateway.made.arrivals(bot.account, "")
    return len([arrival for arrival in arrived if arrival.endpoint not in ASKED_BY_US])
