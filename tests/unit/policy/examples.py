"""Pairs, policies and calls that the policy tests are written with."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from signer.model import Action, Call, Change, Facts, Order, OrderRef, Pair, PlacedOrder, Price
from signer.policy import Policy
from signer.policy.resolve import resolve
from signer.policy.schema import policy_form
from signer.venues.kraken.vocabulary import WORDS

XBT_USD = Pair("XXBTZUSD", "XBTUSD", "XBT/USD", "XBT", "USD")
ETH_USD = Pair("XETHZUSD", "ETHUSD", "ETH/USD", "ETH", "USD")
XDG_EUR = Pair("XDGEUR", "XDGEUR", "XDG/EUR", "XDG", "EUR")
APPLE = Pair("AAPLxUSD", "AAPLxUSD", "AAPLx/USD", "AAPLx", "USD", "tokenized_asset")
PAIRS: Mapping[str, Pair] = {pair.id: pair for pair in (XBT_USD, ETH_USD, XDG_EUR, APPLE)}

SPELLINGS: Mapping[Pair, tuple[str, ...]] = {
    XBT_USD: ("XXBTZUSD", "XBTUSD", "XBT/USD", "BTC/USD", "BTCUSD"),
    ETH_USD: ("XETHZUSD", "ETHUSD", "ETH/USD"),
    XDG_EUR: ("XDGEUR", "XDG/EUR", "DOGE/EUR"),
    APPLE: ("AAPLxUSD", "AAPLx/USD"),
}
_BY_SPELLING = {spelling: pair for pair, spellings in SPELLINGS.items() for spelling in spellings}
KNOWN = [pair.wsname for pair in PAIRS.values()]

TRADER: Mapping[str, Any] = {
    "version": 1,
    "permissions": ["query-funds", "modify-trades", "close-trades"],
    "pairs": ["XBT/USD", "ETH/USD"],
    "sides": ["buy", "sell"],
    "order_types": ["limit", "market", "iceberg", "stop-loss", "stop-loss-limit", "trailing-stop"],
    "max_order_size": ["0.5 XBT", "10 ETH"],
    "max_order_notional": ["2500 USD"],
    "cap": [{"max_notional": "10000 USD", "window": "24h"}, {"max_orders": 60, "window": "1m"}],
}

MODIFY = frozenset({"modify-trades"})
CLOSE = frozenset({"close-trades"})
EITHER = MODIFY | CLOSE


def find(text: str) -> Pair | None:
    """The pair of any spelling."""
    return _BY_SPELLING.get(text)


def policy(**changes: Any) -> Policy:
    """TRADER with some keys stated otherwise (None: not stated)."""
    made, problems = make(**changes)
    assert made is not None, "\n".join(map(str, problems))
    return made


def make(**changes: Any) -> tuple[Policy | None, list[str]]:
    """TRADER with some keys stated otherwise, and its problems."""
    tables = {key: value for key, value in {**TRADER, **changes}.items() if value is not None}
    made, problems = resolve("trader", WORDS, policy_form(WORDS).model_validate(tables), find, KNOWN)
    return made, [str(problem) for problem in problems]


def policy_file(path: Path, text: str) -> Path:
    """``path`` with ``text`` in it."""
    path.write_text(text, encoding="utf-8")
    return path


def order(volume: str = "0.01", price: str | Price | None = "50000", **fields: Any) -> Order:
    """A limit buy of XBT/USD, or what ``fields`` say."""
    given = Price(Decimal(price)) if isinstance(price, str) else price
    defaults: dict[str, Any] = {"pair": "XXBTZUSD", "side": "buy", "order_type": "limit"}
    return Order(volume=Decimal(volume), price=given, **{**defaults, **fields})


def add(*orders: Order, dry_run: bool = False) -> Call:
    """AddOrder, or AddOrderBatch for several."""
    batch = len(orders) > 1
    needs = (MODIFY, CLOSE) if batch else (MODIFY,)
    endpoint = "AddOrderBatch" if batch else "AddOrder"
    return Call(endpoint, Action.ORDER, {}, needs, orders=orders, dry_run=dry_run)


def cancel(*refs: OrderRef) -> Call:
    """CancelOrder or CancelOrderBatch."""
    return Call("CancelOrder", Action.CANCEL, {}, (EITHER,), targets=refs)


def edit(ref: OrderRef, **changes: Any) -> Call:
    """EditOrder."""
    change = Change(replaces=True, **changes)
    return Call("EditOrder", Action.ORDER, {}, (MODIFY, CLOSE), targets=(ref,), change=change)


def amend(ref: OrderRef, **changes: Any) -> Call:
    """AmendOrder."""
    change = Change(replaces=False, **changes)
    return Call("AmendOrder", Action.ORDER, {}, (EITHER,), targets=(ref,), change=change)


def read(endpoint: str, *needs: frozenset[str]) -> Call:
    """A call that changes nothing."""
    return Call(endpoint, Action.READ, {}, needs)


TXID = OrderRef("venue-id", "OAAAAA-AAAAA-AAAAAA")


def placed(by: str = "bot", was: Order | None = None, txid: str = TXID.value) -> PlacedOrder:
    """An order that the book knows."""
    return PlacedOrder("main", by, txid, was or order(), 1)


def facts(known: Mapping[OrderRef, tuple[PlacedOrder, ...]] | None = None) -> Facts:
    """What `decide` may know."""
    return Facts(PAIRS, known or {})
