"""Properties of the Kraken parser: it round-trips, it knows no float, and nothing but `Refused` comes out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import given
from hypothesis import strategies as st

from signer.errors import Refused
from signer.model import Call, Order, Price
from signer.venues.kraken.answers import words
from signer.venues.kraken.decode import decode
from signer.venues.kraken.endpoints import ENDPOINTS
from tests.unit.venues.kraken.asking import FORM, JSON, KRAKEN, named, request

amounts = st.decimals("0.00000001", "99999999", places=8).map(lambda number: f"{number:f}")
relative = st.builds("{}{}{}".format, st.sampled_from("+-#"), amounts, st.sampled_from(["", "%"]))
offsets = st.builds("{}{}".format, st.just("+"), amounts)
prices = amounts | relative
PRICED = {
    "market": [],
    "limit": ["price"],
    "iceberg": ["price"],
    "stop-loss": ["price"],
    "take-profit-limit": ["price", "price2"],
    "trailing-stop": ["price"],
    "trailing-stop-limit": ["price", "price2"],
}
NESTED = ["limit", "stop-loss", "take-profit-limit", "trailing-stop"]


@st.composite
def priced(draw: st.DrawFn, types: list[str]) -> dict[str, Any]:
    """An order type with the prices that it has."""
    order_type = draw(st.sampled_from(types))
    source = offsets if order_type.startswith("trailing") else prices
    return {"ordertype": order_type} | {name: draw(source) for name in PRICED[order_type]}


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """An order without its pair, as a client may state it."""
    row = draw(priced(list(PRICED))) | {"type": draw(st.sampled_from(["buy", "sell"])), "volume": draw(amounts)}
    if row["ordertype"] == "iceberg":
        row["displayvol"] = draw(amounts)
    optional = {
        "leverage": st.sampled_from(["2", "5:1", "none", "0"]),
        "reduce_only": st.sampled_from(["true", "False", "1", "0"]),
        "oflags": st.sampled_from(["post", "fciq,post", "nompp"]),
        "timeinforce": st.sampled_from(["GTC", "IOC", "GTD", "FOK"]),
        "starttm": st.sampled_from(["0", "+5", "1800000000"]),
        "stptype": st.just("cancel-newest"),
        "userref": st.integers(-(2**31), 2**31 - 1).map(str),
        "close": priced(NESTED),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(optional))))
    return row | {name: draw(optional[name]) for name in sorted(chosen)}


pairs = st.sampled_from(["XBTUSD", "XXBTZUSD", "BTC/USD", "eth/eur", "DOGEUSD"])
common = st.fixed_dictionaries({}, optional={"validate": st.sampled_from(["true", "false"])})


def flat(fields: dict[str, Any], inside: str = "") -> dict[str, str]:
    """Fields with their nesting spelled in brackets."""
    spelled: dict[str, str] = {}
    for name, value in fields.items():
        label = f"{inside}[{name}]" if inside else name
        items = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(items, dict):
            spelled |= flat({str(key): item for key, item in items.items()}, label)
        else:
            spelled[label] = value
    return spelled


def read(endpoint: str, body: str, content_type: str) -> Call:
    """The call of a body."""
    return KRAKEN.parse(KRAKEN.decode(request(endpoint, body, content_type)))


def unnamed(call: Call) -> Call:
    """The call without names of its orders."""

    def without(fields: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if name not in {"userref", "cl_ord_id"}}

    fields = without(call.fields)
    if "orders" in fields:
        fields["orders"] = [without(row) for row in fields["orders"]]
    orders = (replace(order, client_tag=None, client_id=None) for order in call.orders)
    return replace(call, fields=fields, orders=tuple(orders))


def check_all_spellings(endpoint: str, fields: dict[str, Any]) -> Call:
    """Every shape of the same fields is the same call, and so are the bytes that we make of it."""
    fields = {"nonce": "17", **fields}
    spelled = flat(fields)
    raw = "&".join(f"{name}={quote(value)}" for name, value in spelled.items())
    calls = [
        read(endpoint, urlencode(spelled), FORM),
        read(endpoint, raw, ""),
        read(endpoint, "&" + urlencode(dict(reversed(spelled.items()))), f"{FORM}; charset=utf-8"),
        read(endpoint, json.dumps(fields), JSON),
        read(endpoint, json.dumps(spelled, indent=1), f"{JSON}; charset=utf-8"),
    ]
    assert all(call == calls[0] for call in calls)
    wire, message = KRAKEN.encode(named(calls[0]), 99, "KEY")
    decoded = KRAKEN.decode(request(endpoint, wire.body, wire.headers[0][1]))
    assert unnamed(KRAKEN.parse(decoded)) == unnamed(calls[0])
    assert (decoded.freshness, decoded.proof.messages) == (99, (message,))
    return calls[0]


@given(rows(), pairs, common)
def test_an_order_round_trips_in_every_spelling(row: dict[str, Any], pair: str, more: dict[str, Any]) -> None:
    """A call that is encoded and read again is the same call, as a form and as JSON, nested and in brackets."""
    call = check_all_spellings("AddOrder", {"pair": pair, **row, **more})
    assert call.orders[0].volume == Decimal(row["volume"])
    _check_no_float(call)


@given(st.lists(rows(), min_size=2, max_size=4), pairs, common)
def test_a_batch_round_trips_in_every_spelling(batch: list[dict[str, Any]], pair: str, more: dict[str, Any]) -> None:
    """A list of orders reads alike in every spelling."""
    call = check_all_spellings("AddOrderBatch", {"pair": pair, "orders": batch, **more})
    assert [order.volume for order in call.orders] == [Decimal(row["volume"]) for row in batch]
    _check_no_float(call)


@given(st.lists(rows(), min_size=2, max_size=3), pairs, st.integers(1, 2**31 - 9))
def test_names_of_ours_survive_the_wire(batch: list[dict[str, Any]], pair: str, first: int) -> None:
    """What was held under a name of ours is what is sent with it."""
    call = read("AddOrderBatch", json.dumps({"nonce": "1", "pair": pair, "orders": batch}), JSON)
    numbers = count(first)
    held = KRAKEN.with_own_names(call, lambda _: next(numbers), lambda _: False)
    wire, _ = KRAKEN.encode(held, 1, "KEY")
    arrived = read("AddOrderBatch", wire.body.decode(), JSON)
    assert [one.client_id or one.client_tag for one in arrived.orders] == [one.own for one in held.orders]
    assert [bool(one.client_id) for one in arrived.orders] == [bool(one.client_id) for one in held.orders]
    assert unnamed(arrived) == unnamed(call)


def _check_no_float(value: object) -> None:
    """Nowhere in a call, at any depth."""
    assert not isinstance(value, float)
    if isinstance(value, dict):
        for item in value.values():
            _check_no_float(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_no_float(item)
    elif isinstance(value, Call | Order | Price):
        for one in fields(value):
            _check_no_float(getattr(value, one.name))


endpoints = st.sampled_from(sorted(ENDPOINTS))
content_types = st.sampled_from(["", FORM, JSON, f"{JSON}; charset=utf-8"]) | st.text(max_size=30)
names = (
    st.sampled_from(["nonce", "pair", "volume", "price", "close[price]", "orders[0][type]", "txid", "otp"]) | st.text()
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(names, inner),
    max_leaves=8,
)
form_bodies = st.lists(st.tuples(names, st.text()), max_size=6).map(urlencode).map(str.encode)
json_bodies = st.dictionaries(names, json_values, max_size=6).map(json.dumps).map(str.encode)
bodies = st.binary(max_size=200) | form_bodies | json_bodies


@given(endpoints | st.text(max_size=20), bodies, content_types)
def test_nothing_but_refused_comes_out_of_the_parser(endpoint: str, body: bytes, content_type: str) -> None:
    """Whatever arrives is a call or a refusal whose answer is safe to show."""
    for candidate in (body, b"nonce=1&" + body, b'{"nonce":1,"x":' + body + b"}"):
        outcome = call_or_refusal(endpoint, candidate, content_type)
        if isinstance(outcome, Refused):
            assert all(text.isascii() and text.isprintable() and len(text) < 500 for text in words(outcome))


def call_or_refusal(endpoint: str, body: bytes, content_type: str) -> Call | Refused:
    """Return the call or the refusal; any other exception fails the test."""
    try:
        return KRAKEN.parse(KRAKEN.decode(request(endpoint, body, content_type)))
    except Refused as refused:
        return refused


@given(bodies, content_types)
def test_what_is_read_can_be_written_again(body: bytes, content_type: str) -> None:
    """No half letters or control characters survive decoding."""
    try:
        decoded = decode(request("Withdraw", b'{"nonce":1,"x":' + body + b"}", content_type))
    except Refused:
        return
    text = json.dumps(decoded.fields, ensure_ascii=False)
    assert text.encode().decode() == text
    assert not any(ord(letter) < 0x20 for letter in text)
