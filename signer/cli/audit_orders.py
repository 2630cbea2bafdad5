"""Finds the orders in an audit record, in words and in columns: pair, side, size, price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from signer.model import Json

Fields = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class OrderWords:
    """Holds an order, or a change of one, as the call wrote it. Missing parts are empty."""

    pair: str
    side: str
    order_type: str
    volume: str
    price: str

    def __str__(self) -> str:
        price = f"@ {self.price}" if self.price else ""
        return " ".join(word for word in (self.side, self.volume, self.pair, self.order_type, price) if word)


def orders(record: Fields) -> Iterator[OrderWords]:
    """Find the orders that a record's call places or changes; one for each row of a batch."""
    fields = record.get("fields")
    if not isinstance(fields, dict):
        return
    rows = fields.get("orders")
    if isinstance(rows, list):
        for row in rows:
            if isinstance(row, dict):
                yield _words({"pair": fields.get("pair"), **row})
    elif fields.keys() & {"pair", "volume", "order_qty", "price", "limit_price", "trigger_price"}:
        yield _words(fields)


def venue_ids(record: Fields) -> Iterator[str]:
    """Find every order id in a record: the ids that the venue gave, and the ids that the call names."""
    ids = record.get("venue_ids")
    if isinstance(ids, list):
        yield from (each for each in ids if isinstance(each, str))
    fields = record.get("fields")
    if isinstance(fields, dict):
        named = fields.get("txid")
        yield from str(named).split(",") if isinstance(named, str) else ()
        rows = fields.get("orders")
        yield from (each for each in rows if isinstance(each, str)) if isinstance(rows, list) else ()


def _words(fields: Fields) -> OrderWords:
    prices = [_text(fields, name) for name in ("price", "price2", "trigger_price", "limit_price")]
    return OrderWords(
        _text(fields, "pair"),
        _text(fields, "type"),
        _text(fields, "ordertype"),
        _text(fields, "volume") or _text(fields, "order_qty"),
        " / ".join(price for price in prices if price),
    )


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
