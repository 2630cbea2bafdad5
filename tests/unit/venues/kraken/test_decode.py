"""What a private request's bytes say, and that there is only one way to read them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from signer.errors import NotAuthentic, NotUnderstood
from signer.venues.kraken.answers import words
from signer.venues.kraken.decode import MAX_BODY, MAX_FIELDS, decode
from tests.harness.arriving import altered
from tests.harness.vectors import VECTORS, message_of
from tests.unit.venues.kraken.asking import FORM, JSON, refused, request


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda vector: vector["name"])
def test_the_signed_message_is_that_of_the_published_vectors(vector: dict[str, str]) -> None:
    """The message is the one that the vector's signature is over."""
    endpoint = vector["path"].removeprefix("/0/private/")
    assert decode(request(endpoint, vector["body"])).proof.messages[0] == message_of(vector)


def test_the_signed_message_is_over_the_bytes_as_they_came() -> None:
    """Escapes, blanks and order of the body are hashed as written, with the nonce's digits."""
    body = "&b=%5B1%5d+x&nonce=17&otp=9&a="
    as_written = message_of({"path": "/0/private/Balance", "nonce": "17", "body": body})
    assert decode(request("Balance", body)).proof.messages[0] == as_written


def test_nonce_and_otp_are_no_fields() -> None:
    """Neither reaches the parser, so neither can be forwarded."""
    assert decode(request("Balance", "nonce=1&otp=2&asset=XBT")).fields == {"asset": "XBT"}


@pytest.mark.parametrize(
    "body",
    [
        "a=1",
        "nonce=",
        "nonce=0",
        "nonce=-1",
        "nonce=%2B1",
        "nonce=01",
        "nonce=1.0",
        "nonce=1e3",
        "nonce=+1",
        "nonce=1_0",
        "nonce=%D9%A1",
        "nonce=18446744073709551616",
        "nonce=99999999999999999999",
        "nonce[0]=1",
        '{"nonce":1.5}',
        '{"nonce":true}',
        '{"nonce":["1"]}',
        '{"nonce":-1}',
        '{"nonce":" 1"}',
        "{}",
    ],
)
def test_an_unusable_nonce_is_kraken_s_invalid_nonce(body: str) -> None:
    """The answer has no suffix: clients compare it exactly."""
    with pytest.raises(NotAuthentic) as caught:
        decode(request("Balance", body))
    assert words(caught.value) == ("EAPI:Invalid nonce",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("close[price]", {"close": {"price": "1"}}),
        ("close%5Bprice%5D", {"close": {"price": "1"}}),
        ("orders[0]", {"orders": ["1"]}),
        ("orders[0][close][price]", {"orders": [{"close": {"price": "1"}}]}),
    ],
)
def test_bracket_names_are_the_tree_that_they_spell(name: str, value: dict[str, Any]) -> None:
    """Forms spell nested fields with brackets, raw or escaped."""
    assert decode(request("AddOrder", f"nonce=1&{name}=1")).fields == value


def test_bracket_names_in_json_are_the_same_tree() -> None:
    """api-go writes ``"close[price]"`` as a JSON key, at any level."""
    body = '{"nonce":1,"orders":[{"close[price]":1,"close[ordertype]":"limit"}]}'
    fields = decode(request("AddOrderBatch", body, JSON)).fields
    assert fields == {"orders": [{"close": {"price": "1", "ordertype": "limit"}}]}


def test_the_indices_of_a_list_may_come_in_any_order() -> None:
    """A sorted map puts 10 before 2."""
    names = sorted(f"orders[{index}]" for index in range(12))
    body = "nonce=1&" + "&".join(f"{name}={name[7:-1]}" for name in names)
    assert decode(request("CancelOrderBatch", body)).fields["orders"] == [str(index) for index in range(12)]


def test_json_numbers_keep_their_digits() -> None:
    """No float comes between the wire and the parser."""
    body = '{"nonce":1,"a":0.1000000000000000055511151231257827,"b":60000.0,"c":50000,"d":true}'
    expected = {"a": "0.1000000000000000055511151231257827", "b": "60000.0", "c": "50000", "d": True}
    assert decode(request("AddOrder", body, JSON)).fields == expected


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        FORM,
        f"{FORM}; charset=utf-8",
        f"{FORM};charset=UTF-8",
        "Application/X-WWW-Form-Urlencoded",
        f'{FORM}; charset="utf-8"',
        f"{FORM};",
    ],
)
def test_a_form_may_be_announced_in_each_usual_way(content_type: str) -> None:
    """A form passes with a charset, without one, and without a content type."""
    assert decode(request("Balance", "nonce=1&asset=XBT", content_type)).fields == {"asset": "XBT"}


@pytest.mark.parametrize("content_type", ["", JSON, f"{JSON}; charset=utf-8", FORM])
def test_json_is_known_by_its_content(content_type: str) -> None:
    """No form begins with a brace, so nothing can be mistaken."""
    assert decode(request("Balance", ' \n{"nonce":1,"asset":"XBT"}', content_type)).fields == {"asset": "XBT"}


BAD_BODIES = {
    "a name given twice": "nonce=1&pair=A&pair=B",
    "a name given twice, once escaped": "nonce=1&pair=A&p%61ir=B",
    "a list value": "nonce=1&txid=A&txid=B",
    "two spellings in a form": "nonce=1&close=x&close[price]=1",
    "two spellings in a form, turned": "nonce=1&close[price]=1&close=x",
    "a leaf that is also a branch": "nonce=1&orders[0]=A&orders[0][price]=1",
    "a gap in a list": "nonce=1&orders[0]=A&orders[2]=B",
    "an index with a zero before it": "nonce=1&orders[00]=A&orders[1]=B",
    "a list that is also an object": "nonce=1&orders[0]=A&orders[x]=B",
    "five levels": "nonce=1&a[b][c][d][e]=1",
    "a name without value": "nonce=1&validate",
    "a value without name": "nonce=1&=x",
    "two ampersands": "nonce=1&&pair=A",
    "a broken escape": "nonce=1&pair=%",
    "another broken escape": "nonce=1&pair=%4",
    "an escape that is no hexadecimal": "nonce=1&pair=%zz",
    "an escape that is not UTF-8": "nonce=1&pair=%ff",
    "an overlong escape": "nonce=1&pair=%c0%af",
    "an escaped NUL": "nonce=1&pair=XBTUSD%00",
    "an escaped line end": "nonce=1&pair=A%0d%0aB",
    "a raw line end": "nonce=1&pair=A\r\n",
    "too many fields": "nonce=1&" + "&".join(f"a{index}=1" for index in range(MAX_FIELDS)),
    "too long": "nonce=1&pair=" + "A" * MAX_BODY,
    "JSON name given twice": '{"nonce":1,"pair":"A","pair":"B"}',
    "JSON name given twice, once escaped": '{"nonce":1,"pair":"A","p\\u0061ir":"B"}',
    "JSON name given twice inside": '{"nonce":1,"close":{"price":1,"price":2}}',
    "two spellings in JSON": '{"nonce":1,"close":{"ordertype":"limit"},"close[price]":1}',
    "two spellings in JSON, turned": '{"nonce":1,"close[price]":1,"close":{"ordertype":"limit"}}',
    "an exponent": '{"nonce":1,"price":1e5}',
    "a big exponent": '{"nonce":1,"price":1E400}',
    "not a number": '{"nonce":1,"price":NaN}',
    "infinity": '{"nonce":1,"price":-Infinity}',
    "deep": '{"nonce":1,"a":{"b":{"c":{"d":{"e":1}}}}}',
    "very deep": '{"nonce":1,"a":' + "[" * 5000 + "]" * 5000 + "}",
    "JSON control character": '{"nonce":1,"pair":"A\\u0000"}',
    "JSON control character in a name": '{"nonce":1,"pa\\u000air":"A"}',
    "half a letter": '{"nonce":1,"pair":"\\ud800"}',
    "half a letter among whole ones": '{"nonce":1,"pair":"XBT\\ud800\\u00e9"}',
    "JSON with more behind it": '{"nonce":1}{"nonce":2}',
    "JSON cut short": '{"nonce":1,"pair":"A',
    "JSON with a comment": '{"nonce":1/**/}',
    "JSON with single quotes": "{'nonce':1}",
    "many JSON values": '{"nonce":1,"a":[' + ",".join("1" * (MAX_FIELDS + 1)) + "]}",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_what_two_parsers_could_read_differently_is_refused(body: str) -> None:
    """Strictness is the point: a bypass lives where two readers disagree."""
    with pytest.raises(NotUnderstood) as caught:
        decode(request("AddOrder", body))
    assert words(caught.value)[0] == "EGeneral:Invalid arguments"


@pytest.mark.parametrize("name", ["close[price", "close[]", "close[price]x", "close]", "[price]", "close[a b]"])
def test_a_name_with_odd_brackets_is_a_name_that_no_order_has(name: str) -> None:
    """The name spells no tree, and the order is refused for it by name."""
    assert decode(request("Balance", urlencode({"nonce": "1", name: "1"}))).fields == {name: "1"}
    assert "is not known" in refused("AddOrder", urlencode({"nonce": "1", name: "1"}))[1]


@pytest.mark.parametrize("body", [b"nonce=1&pair=\xff", b'{"nonce":1,"pair":"\xff"}', '{"nonce":1}'.encode("utf-16")])
def test_a_body_that_is_not_utf_8_is_refused(body: bytes) -> None:
    """Such a body is neither a form nor JSON; UTF-16 JSON, which Python would detect, is refused too."""
    with pytest.raises(NotUnderstood):
        decode(request("AddOrder", body))


def test_a_form_that_says_it_is_json_is_refused() -> None:
    """A reader that believed the content type would find no field in it."""
    with pytest.raises(NotUnderstood, match="not a JSON object"):
        decode(request("Balance", "nonce=1", JSON))


def test_a_list_at_the_top_is_no_json_object() -> None:
    """Only an object has parameters."""
    with pytest.raises(NotUnderstood):
        decode(request("AddOrder", '[{"nonce":1}]', JSON))


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "multipart/form-data; boundary=x",
        f"{FORM}; charset=utf-16",
        f"{JSON}; charset=latin-1",
        f"{FORM}, {JSON}",
        f"{FORM}; charset=utf-8; charset=utf-16",
        "application/xml",
        "application/json-patch+json",
    ],
)
def test_other_content_types_and_charsets_are_refused(content_type: str) -> None:
    """A reader that believed them would read other fields than we do."""
    with pytest.raises(NotUnderstood):
        decode(request("Balance", "nonce=1", content_type))


def test_a_query_string_on_a_private_path_is_refused() -> None:
    """Whether Kraken reads it is not documented; it is not in what is signed."""
    with pytest.raises(NotUnderstood) as caught:
        decode(request("Balance", "nonce=1", query=b"asset=XBT"))
    assert "query string" in words(caught.value)[1]


@pytest.mark.parametrize(
    "path",
    [
        "/0/public/Time",
        "/0/private",
        "/0/private/",
        "/0/private//Balance",
        "/0/private/Balance/",
        "/0/private/../public/Time",
        "/0/private/%42alance",
        "/0/private/Balance;x=1",
        "/0/private/Balance\n",
        "/0/private/a/b/c",
        "//0/private/Balance",
        "/1/private/Balance",
        "/0/Private/Balance",
        "http://api.kraken.com/0/private/Balance",
        "/funding/v1/withdrawals",
    ],
)
def test_only_exact_paths_are_known(path: str) -> None:
    """A path that needs interpreting is an unknown method."""
    with pytest.raises(NotUnderstood) as caught:
        decode(altered(request("Balance", "nonce=1"), path=path))
    assert words(caught.value) == ("EGeneral:Unknown method",)


@pytest.mark.parametrize("method", ["GET", "PUT", "post", "DELETE", ""])
def test_private_calls_are_posts(method: str) -> None:
    """Exactly, in capitals."""
    with pytest.raises(NotUnderstood) as caught:
        decode(replace(request("Balance", "nonce=1"), method=method))
    assert words(caught.value) == ("EGeneral:Unknown method",)
