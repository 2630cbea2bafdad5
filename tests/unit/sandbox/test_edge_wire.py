"""Bodies: every spelling that clients use becomes one shape."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.sandbox.wire import Malformed, decode

FORM = "application/x-www-form-urlencoded"
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FLAT = st.dictionaries(NAMES, TEXTS, min_size=1, max_size=4)
ORDERS = st.lists(st.one_of(TEXTS, FLAT), min_size=1, max_size=12)
NESTED = st.dictionaries(NAMES, st.one_of(TEXTS, FLAT, ORDERS), max_size=5)


def _pairs(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(prefix, value)]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [pair for name, item in items for pair in _pairs(f"{prefix}[{name}]" if prefix else str(name), item)]


@given(
    NESTED, st.sampled_from([quote, quote_plus]), st.booleans(), st.sampled_from([FORM, "", FORM + "; charset=utf-8"])
)
def test_a_form_says_what_the_nested_shape_says(
    params: dict[str, Any], percent: Any, raw_brackets: bool, content_type: str
) -> None:
    """Nested fields written as bracket keys, in any percent spelling, decode to what they were."""
    safe = "[]" if raw_brackets else ""
    body = "&".join(f"{percent(name, safe=safe)}={percent(text, safe='')}" for name, text in _pairs("", params))
    assert decode(body.encode(), content_type) == params


@given(NESTED, st.booleans(), st.sampled_from(["application/json", "application/json; charset=utf-8", FORM, ""]))
def test_json_says_what_the_nested_shape_says(params: dict[str, Any], ascii_only: bool, content_type: str) -> None:
    """JSON decodes to the same, escaped or not, whatever the content type calls it."""
    assert decode(json.dumps(params, ensure_ascii=ascii_only).encode(), content_type) == params


@given(st.binary(max_size=60), st.sampled_from([FORM, "application/json", ""]))
def test_no_body_breaks_the_reader(body: bytes, content_type: str) -> None:
    """Any bytes either decode or are malformed; nothing else is raised."""
    try:
        assert isinstance(decode(body, content_type), dict)
    except Malformed:
        assert content_type == "application/json" or body.lstrip()[:1] == b"{" or b"[" in body or b"%5" in body


@pytest.mark.parametrize(
    ("body", "params"),
    [
        (b"&pair=XBTUSD", {"pair": "XBTUSD"}),
        (b"oflags=&pair=X", {"oflags": "", "pair": "X"}),
        (b"price=%2B5%25&x=a+b%20c", {"price": "+5%", "x": "a b c"}),
        (b"pair=A&pair=B", {"pair": "B"}),
        (b"txid[]=A&txid[]=B", {"txid": ["A", "B"]}),
        (b"close=x&close[price]=1", {"close": {"price": "1"}}),
        (b"orders[1]=B&orders[0]=A", {"orders": ["A", "B"]}),
        (b"orders[0][close][price]=%2B5%25", {"orders": [{"close": {"price": "+5%"}}]}),
        (b'{"nonce":17000000000000000000,"volume":1.10}', {"nonce": "17000000000000000000", "volume": "1.10"}),
        (b'{"close[price]":5,"validate":true,"otp":null}', {"close": {"price": "5"}, "validate": True}),
        (b' {"orders":[{"close":{"price":60000.0}}],"cl_ord_ids":[]}', {
            "orders": [{"close": {"price": "60000.0"}}],
            "cl_ord_ids": [],
        }),
        ("name=é".encode(), {"name": "é"}),
    ],
)  # fmt: skip
def test_spellings_seen_on_the_wire(body: bytes, params: dict[str, Any]) -> None:
    """Bodies as captured from real clients (docs/kraken.md §8)."""
    assert decode(body, "") == params


@pytest.mark.parametrize("body", [b"{", b"{]", b'{"a":' * 100_000, b"[1]", b"a[b][c][d][e][f]=1", b'"text"'])
def test_what_is_neither_form_nor_object_is_malformed(body: bytes) -> None:
    """Broken or too deep bodies are refused, not crashed on."""
    with pytest.raises(Malformed):
        decode(body, "application/json" if body[:1] in b'{["' else FORM)
