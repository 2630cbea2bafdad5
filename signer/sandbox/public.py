"""Answers public market data (docs/kraken.md §1a) in the form of Kraken's answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice

from signer.sandbox.candles import INTERVALS, candles
from signer.sandbox.fields import Fields
from signer.sandbox.instruments import class_asked
from signer.sandbox.market import LEVELS, Market, Print
from signer.sandbox.pairs import Asset, SimulatedPair
from signer.sandbox.rejected import invalid

_DAY = 86_400
_TRADES = 1_000

_INFO = {
    "leverage": ("leverage_buy", "leverage_sell"),
    "fees": ("fees", "fees_maker", "fee_volume_currency"),
    "margin": ("margin_call", "margin_stop"),
}


@dataclass(frozen=True, slots=True)
class Query:
    """One public call, as its method gets it."""

    market: Market
    fields: Fields


def _time(query: Query) -> object:
    now = query.market.now()
    written = datetime.fromtimestamp(now, UTC).strftime("%a, %d %b %y %H:%M:%S +0000")
    return {"unixtime": int(now), "rfc1123": written}


def _system_status(query: Query) -> object:
    return {
        "status": "online",
        "timestamp": datetime.fromtimestamp(query.market.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _assets(query: Query) -> object:
    instruments, asset_class = query.market.instruments, class_asked(query.fields, "aclass")
    listed, names = instruments.assets[asset_class], query.fields.words("asset")
    chosen = [instruments.asset(name) for name in names] if names else list(listed.values())
    return {asset.id: _asset_json(asset, asset_class) for asset in chosen if asset.id in listed}


def _asset_json(asset: Asset, asset_class: str) -> dict[str, object]:
    return {
        "aclass": asset_class,
        "altname": asset.altname,
        "decimals": asset.decimals,
        "display_decimals": asset.display_decimals,
        "collateral_value": 1.0,
        "status": "enabled",
    }


def _asset_pairs(query: Query) -> object:
    chosen = query.market.instruments.asked_pairs(query.fields, class_asked(query.fields, "aclass_base"))
    info = query.fields.one_of("info", ("info", *_INFO), "info")
    if info == "info":
        return {pair.id: pair.row for pair in chosen}
    return {pair.id: {field: pair.row.get(field) for field in _INFO[info]} for pair in chosen}


def _ticker(query: Query) -> object:
    chosen = query.market.instruments.asked_pairs(query.fields, class_asked(query.fields))
    return {pair.id: _ticker_json(query.market, pair) for pair in chosen}


def _ticker_json(market: Market, pair: SimulatedPair) -> dict[str, object]:
    """Answer the ticker. The sandbox has one day only, so *today* and *24 hours* are the same."""
    prints = [trade for trade in market.tape(pair) if trade.time > market.now() - _DAY]
    shown = [trade.price for trade in prints] or [market.last(pair)]
    volume = sum((trade.volume for trade in prints), Decimal(0))
    average = sum((t.price * t.volume for t in prints), Decimal(0)) / volume if volume else market.last(pair)
    price, text = pair.price_text, pair.volume_text
    ask, bid = ((next(market.levels(pair, side))[1]) for side in ("buy", "sell"))
    return {
        "a": [price(market.ask(pair)), f"{ask:.0f}", f"{ask:.3f}"],
        "b": [price(market.bid(pair)), f"{bid:.0f}", f"{bid:.3f}"],
        "c": [price(market.last(pair)), text(prints[-1].volume if prints else Decimal(0))],
        "v": [text(volume)] * 2,
        "p": [price(average)] * 2,
        "t": [len(prints)] * 2,
        "l": [price(min(shown))] * 2,
        "h": [price(max(shown))] * 2,
        "o": price(shown[0]),
    }


def _ohlc(query: Query) -> object:
    pair = query.market.instruments.asked_pair(query.fields)
    interval = query.fields.integer("interval") or 1
    if interval not in INTERVALS:
        raise invalid("interval")
    rows = candles(query.market, pair, interval, since=query.fields.integer("since") or 0)
    return {pair.id: rows, "last": int(query.market.now()) // (interval * 60) * interval * 60}


def _depth(query: Query) -> object:
    pair = query.market.instruments.asked_pair(query.fields)
    count = query.fields.integer("count") or 100
    if not 0 < count <= LEVELS:
        raise invalid("count")
    return {
        pair.id: {"asks": _levels(query.market, pair, "buy", count), "bids": _levels(query.market, pair, "sell", count)}
    }


def _levels(market: Market, pair: SimulatedPair, taker: str, count: int) -> list[list[object]]:
    now = int(market.now())
    return [
        [pair.price_text(price), f"{volume:.3f}", now] for price, volume in islice(market.levels(pair, taker), count)
    ]


def _trades(query: Query) -> object:
    pair = query.market.instruments.asked_pair(query.fields)
    count, since = query.fields.integer("count") or _TRADES, query.fields.integer("since") or 0
    if not 0 < count <= _TRADES:
        raise invalid("count")
    newer = [trade for trade in query.market.tape(pair) if _nanoseconds(trade.time) > _nanosecond_mark(since)]
    rows = newer[:count] if since else newer[-count:]
    last = _nanoseconds(rows[-1].time) if rows else _nanosecond_mark(since)
    return {pair.id: [_print_json(pair, trade) for trade in rows], "last": str(last)}


def _nanosecond_mark(since: int) -> int:
    """Read ``since``, which clients send in seconds or nanoseconds, as nanoseconds."""
    return since * 10**9 if since < 10**12 else since


def _nanoseconds(moment: float) -> int:
    return int(moment * 10**9)


def _print_json(pair: SimulatedPair, trade: Print) -> list[object]:
    price, volume = pair.price_text(trade.price), pair.volume_text(trade.volume)
    return [price, volume, trade.time, trade.side, trade.ordertype, "", trade.id]


def _spread(query: Query) -> object:
    pair = query.market.instruments.asked_pair(query.fields)
    since = query.fields.integer("since") or 0
    quotes: Iterable[tuple[float, Decimal, Decimal]] = query.market.quotes(pair)
    rows = [[int(at), pair.price_text(bid), pair.price_text(ask)] for at, bid, ask in quotes if int(at) >= since]
    return {pair.id: rows[-200:], "last": int(query.market.now())}


METHODS: Mapping[str, Callable[[Query], object]] = {
    "Time": _time,
    "SystemStatus": _system_status,
    "Assets": _assets,
    "AssetPairs": _asset_pairs,
    "Ticker": _ticker,
    "OHLC": _ohlc,
    "Depth": _depth,
    "Trades": _trades,
    "Spread": _spread,
}
