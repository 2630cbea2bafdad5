"""Public data has Kraken's shapes and follows the market."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from signer.sandbox.exchange import PRIVATE_METHODS, PUBLIC_METHODS, Rejected
from tests.unit.sandbox.desk import START, Desk


def _public(desk: Desk, method: str, /, **params: object) -> Any:
    return desk.exchange.public(method, params)


def test_the_methods_are_those_of_the_spot_api() -> None:
    """All of docs/kraken.md §1b to §1f but the two that are the key's own affair, and nothing of §1g."""
    assert len(PRIVATE_METHODS) == 45
    assert {"AddOrder", "Earn/Allocate", "RetrieveExport", "Level3", "ListWalletAccounts"} <= PRIVATE_METHODS
    assert not {"AddStrategy", "CreateSubaccount", "GetApiKeyInfo", "GetWebSocketsToken", "Stake"} & PRIVATE_METHODS
    assert len(PUBLIC_METHODS) == 9


def test_pairs_have_all_that_clients_read(desk: Desk) -> None:
    """A thousand pairs and more; the limits of XBT/USD are Kraken's."""
    pairs = _public(desk, "AssetPairs")
    assert len(pairs) >= 1_000
    pair = pairs["XXBTZUSD"]
    assert (pair["altname"], pair["wsname"], pair["base"], pair["quote"]) == ("XBTUSD", "XBT/USD", "XXBT", "ZUSD")
    assert (pair["tick_size"], pair["ordermin"], pair["costmin"], pair["pair_decimals"]) == ("0.1", "0.00005", "0.5", 1)
    assert pair["fees"][0] == [0, 0.4]
    assert set(_public(desk, "AssetPairs", pair="btcusd,ETH/USD", info="leverage")) == {"XXBTZUSD", "XETHZUSD"}
    assert not set(pairs) & set(_public(desk, "AssetPairs", aclass_base="tokenized_asset"))


def test_every_pairs_assets_are_listed(desk: Desk) -> None:
    """Assets knows both sides of every pair, and finds one by its common name."""
    assets = _public(desk, "Assets")
    assert {row[side] for row in _public(desk, "AssetPairs").values() for side in ("base", "quote")} == set(assets)
    assert _public(desk, "Assets", asset="btc")["XXBT"]["decimals"] == 10


def test_no_two_pairs_share_a_spelling(desk: Desk) -> None:
    """Each altname and wsname leads to its own pair."""
    for name, row in _public(desk, "AssetPairs").items():
        assert set(_public(desk, "Ticker", pair=f"{row['altname']},{row.get('wsname', name)},{name.lower()}")) == {name}


def test_the_ticker_follows_the_price(desk: Desk) -> None:
    """Ask and bid stand one tick around the last price."""
    desk.price("61000")
    ticker = _public(desk, "Ticker", pair="XBTUSD")["XXBTZUSD"]
    assert (ticker["a"][0], ticker["b"][0], ticker["c"][0]) == ("61000.1", "60999.9", "61000.0")
    assert (ticker["o"], ticker["h"][0], ticker["l"][0]) == ("60000.0", "61000.0", "60000.0")
    desk.time += 2 * 86_400
    assert _public(desk, "Ticker", pair="XBTUSD")["XXBTZUSD"]["v"] == ["0.00000000"] * 2


def test_a_customers_trade_is_on_the_public_tape(desk: Desk) -> None:
    """The trade is on the tape, and no newer one behind it."""
    desk.time += 1
    desk.add("sell", "market", "0.1")
    trades = _public(desk, "Trades", pair="XBTUSD")
    assert trades["XXBTZUSD"][-1][:5] == ["59999.9", "0.10000000", START + 1, "s", "m"]
    assert _public(desk, "Trades", pair="XBTUSD", since=trades["last"])["XXBTZUSD"] == []
    assert len(_public(desk, "Trades", pair="XBTUSD", since=str(int(START)))["XXBTZUSD"]) == 1


def test_candles_carry_the_price_through_quiet_time(desk: Desk) -> None:
    """A minute without trades stands at the close before it."""
    desk.price("61000")
    desk.time += 120
    rows = _public(desk, "OHLC", pair="XBTUSD")["XXBTZUSD"]
    assert len(rows) == 720
    assert [row[4] for row in rows[-4:]] == ["60000.0", "61000.0", "61000.0", "61000.0"]
    assert rows[-3][1:4] == ["60000.0", "61000.0", "60000.0"]
    assert rows[-1][7] == 0
    assert len(_public(desk, "OHLC", pair="XBTUSD", interval="60", since=str(int(START) - 7200))["XXBTZUSD"]) == 2


def test_depth_and_spread_agree_with_the_ticker(desk: Desk) -> None:
    """Best levels first, as many as asked for."""
    book = _public(desk, "Depth", pair="XBTUSD", count="2")["XXBTZUSD"]
    assert [row[0] for row in book["asks"]] == ["60000.1", "60006.1"]
    assert [row[0] for row in book["bids"]] == ["59999.9", "59993.9"]
    assert _public(desk, "Spread", pair="XBTUSD")["XXBTZUSD"] == [[int(START), "59999.9", "60000.1"]]


def test_the_time_is_the_exchanges(desk: Desk) -> None:
    """Both spellings of the time are the injected clock's."""
    assert _public(desk, "Time") == {"unixtime": int(START), "rfc1123": "Tue, 14 Nov 23 22:13:20 +0000"}
    assert _public(desk, "SystemStatus") == {"status": "online", "timestamp": "2023-11-14T22:13:20Z"}


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("Ticker", {"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ("Assets", {"asset": "NOPE"}, "EQuery:Unknown asset"),
        ("OHLC", {}, "EGeneral:Invalid arguments:pair"),
        ("OHLC", {"pair": "XBTUSD", "interval": "7"}, "EGeneral:Invalid arguments:interval"),
        ("Depth", {"pair": "XBTUSD", "count": "501"}, "EGeneral:Invalid arguments:count"),
        ("Trades", {"pair": "XBTUSD", "count": "-1"}, "EGeneral:Invalid arguments:count"),
        ("AssetPairs", {"info": "all"}, "EGeneral:Invalid arguments:info"),
    ],
)
def test_a_bad_public_call_is_refused(desk: Desk, method: str, params: dict[str, object], error: str) -> None:
    """A bad public call is refused in Kraken's words."""
    with pytest.raises(Rejected) as refusal:
        _public(desk, method, **params)
    assert refusal.value.errors == (error,)


@pytest.mark.parametrize("price", ["0", "-1", "60000.05", "100000000"])
def test_a_price_that_no_market_could_have_is_not_set(desk: Desk, price: str) -> None:
    """The market stays where it was."""
    with pytest.raises(Rejected):
        desk.exchange.set_price("XBTUSD", Decimal(price))
    assert _public(desk, "Ticker", pair="XBTUSD")["XXBTZUSD"]["c"][0] == "60000.0"
