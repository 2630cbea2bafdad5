"""Requests that the installed client libraries build, unmodified, taken where they would leave the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import ccxt
import krakenex
import pytest
import requests
from kraken.spot import Funding, Trade, User

from signer.model import Call
from tests.harness.arriving import arriving
from tests.unit.venues.kraken.asking import KRAKEN

TXID = "OQCLML-BW3P3-BUCMWZ"
SECRET = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="


class Sink(requests.adapters.BaseAdapter):
    """Takes the last request instead of sending it, and answers an empty success."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: requests.PreparedRequest | None = None

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Keep ``request``."""
        self.taken = request
        response = requests.Response()
        response.status_code, response._content = 200, b'{"error":[],"result":{}}'
        response.headers["Content-Type"] = "application/json"
        return response

    def close(self) -> None:
        """Close nothing: nothing is open."""

    def call(self) -> Call:
        """The taken request, read by us."""
        assert self.taken is not None
        assert self.taken.url is not None
        assert self.taken.body is not None
        body = self.taken.body if isinstance(self.taken.body, bytes) else str(self.taken.body).encode()
        return read(urlsplit(self.taken.url).path, body, self.taken.headers.get("Content-Type", ""))


def read(path: str, body: bytes, content_type: str) -> Call:
    """A request's bytes, read by us."""
    return KRAKEN.parse(KRAKEN.decode(arriving("POST", path, b"", content_type, "key", "sign", body, "127.0.0.1")))


def sdk_call(client: Callable[..., Any], ask: Callable[[Any], Any]) -> Call:
    """What python-kraken-sdk sends for ``ask``."""
    sink, spot = Sink(), client(key="key", secret=SECRET)
    spot._SpotClient__session.mount("https://", sink)
    ask(spot)
    return sink.call()


@pytest.mark.filterwarnings("ignore:.*deprecated Kraken endpoint:DeprecationWarning")
@pytest.mark.parametrize(
    ("client", "ask", "fields"),
    [
        (User, lambda user: user.get_account_balance(), {}),
        (User, lambda user: user.get_balances(), {}),
        (User, lambda user: user.get_trade_balance(), {"asset": "ZUSD"}),
        (User, lambda user: user.get_open_orders(trades=True), {"trades": True}),
        (User, lambda user: user.get_closed_orders(), {"closetime": "both"}),
        (User, lambda user: user.get_orders_info(txid=[TXID, "A"]), {"txid": f"{TXID},A", "consolidate_taker": True}),
        (User, lambda user: user.get_trades_history(), {"type": "all", "consolidate_taker": True}),
        (User, lambda user: user.get_trades_info(txid="TA"), {"txid": "TA"}),
        (User, lambda user: user.get_open_positions(), {"consolidation": "market"}),
        (User, lambda user: user.get_ledgers_info(), {"asset": "all", "aclass": "currency", "type": "all"}),
        (User, lambda user: user.get_ledgers(id_="LA"), {"id": "LA"}),
        (User, lambda user: user.get_trade_volume(pair="DOTUSD"), {"pair": "DOTUSD"}),
        (User, lambda user: user.get_order_amends(order_id=TXID), {"order_id": TXID}),
        (
            User,
            lambda user: user.request_export_report(report="ledgers", description="mine"),
            {"report": "ledgers", "format": "CSV", "description": "mine", "fields": "all"},
        ),
        (Funding, lambda funding: funding.get_deposit_methods(asset="XBT"), {"asset": "XBT"}),
        (
            Funding,
            lambda funding: funding.get_deposit_address(asset="XBT", method="Bitcoin"),
            {"asset": "XBT", "method": "Bitcoin"},
        ),
        (
            Trade,
            lambda trade: trade.create_order(
                ordertype="limit", side="buy", pair="BTC/USD", volume=1, price=50000, oflags=["post"], userref=5
            ),
            {
                "pair": "XXBTZUSD", "ordertype": "limit", "type": "buy", "volume": "1", "price": "50000",
                "stptype": "cancel-newest", "oflags": "post", "userref": 5,
            },
        ),
        (Trade, lambda trade: trade.cancel_order(txid=TXID), {"txid": TXID}),
        (Trade, lambda trade: trade.cancel_order_batch(orders=[TXID, 5]), {"orders": [TXID, 5]}),
        (Trade, lambda trade: trade.cancel_all_orders(), {}),
        (Trade, lambda trade: trade.cancel_all_orders_after_x(timeout=60), {"timeout": "60"}),
        (
            Trade,
            lambda trade: trade.edit_order(txid=TXID, pair="XBTUSD", volume=2, price=1),
            {"pair": "XXBTZUSD", "txid": TXID, "volume": "2", "price": "1"},
        ),
        (
            Trade,
            lambda trade: trade.amend_order(extra_params={"txid": TXID, "order_qty": 2}),
            {"txid": TXID, "order_qty": "2"},
        ),
    ],
)  # fmt: skip
def test_python_kraken_sdk_is_understood(
    client: Callable[..., Any], ask: Callable[[Any], Any], fields: dict[str, Any]
) -> None:
    """Its defaults are read too, which say nothing and are left out."""
    got = sdk_call(client, ask).fields
    assert {name: got[name] for name in fields} == fields
    assert got.keys() <= fields.keys() | {"consolidate_taker"}


def test_krakenex_is_understood() -> None:
    """A krakenex order with close keys and a userref is understood."""
    sink, api = Sink(), krakenex.API(key="key", secret=SECRET)
    api.session.mount("https://", sink)
    api.query_private(
        "AddOrder",
        {"pair": "XBTEUR", "type": "sell", "ordertype": "limit", "price": "50000", "volume": 0.5, "userref": 1,
         "close[ordertype]": "limit", "close[price]": "#5%"},
    )  # fmt: skip
    assert sink.call().fields == {
        "pair": "XXBTZEUR", "ordertype": "limit", "type": "sell", "volume": "0.5", "price": "50000",
        "close": {"ordertype": "limit", "price": "#5%"}, "userref": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("endpoint", "params", "fields"),
    [
        ("Balance", {}, {}),
        (
            "AddOrder",
            {"pair": "XXBTZUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "50000.1",
             "close": {"ordertype": "limit", "price": "51000"}, "reduce_only": True, "oflags": "post"},
            {"pair": "XXBTZUSD", "ordertype": "limit", "type": "buy", "volume": "0.01", "price": "50000.1",
             "reduce_only": True, "oflags": "post", "close": {"ordertype": "limit", "price": "51000"}},
        ),
        (
            "AddOrder",
            {"pair": "XXBTZUSD", "type": "sell", "ordertype": "trailing-stop", "volume": "0.01", "price": "+5%",
             "trigger": "last"},
            {"pair": "XXBTZUSD", "ordertype": "trailing-stop", "type": "sell", "volume": "0.01", "price": "+5%",
             "trigger": "last"},
        ),
        ("CancelOrderBatch", {"orders": [TXID]}, {"orders": [TXID]}),
        ("AmendOrder", {"txid": TXID, "order_qty": "1", "limit_price": "2", "post_only": "true"},
         {"txid": TXID, "order_qty": "1", "limit_price": "2", "post_only": True}),
    ],
)  # fmt: skip
def test_ccxt_is_understood(endpoint: str, params: dict[str, Any], fields: dict[str, Any]) -> None:
    """Requests as ccxt's `sign` builds them are understood, as forms with bare brackets and as JSON."""
    signed = ccxt.kraken({"apiKey": "key", "secret": SECRET}).sign(endpoint, ["private"], "POST", params)
    call = read(urlsplit(signed["url"]).path, signed["body"].encode(), signed["headers"]["Content-Type"])
    assert call.fields == fields
