"""Threat: a client's own header or field reaches the exchange and means something there (header smuggling).

*Must hold* 1: what is forwarded is never the client's bytes. The exchange sees exactly the headers that we write.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs

import pytest

from signer.sandbox.arrivals import Arrival
from tests.harness.bots import FORM, LIMIT, Bot
from tests.harness.rig import Rig
from tests.harness.wire import ask, http

SMUGGLED = [
    "API-Nonce: 1",
    "API-OTP: 123456",
    "Authorization: Bearer x",
    "Proxy-Authorization: Basic x",
    "Cookie: session=x",
    "Forwarded: for=1.2.3.4;host=evil.example",
    "X-Forwarded-For: 1.2.3.4",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Proto: http",
    "X-Real-IP: 1.2.3.4",
    "X-Original-URL: /0/private/Withdraw",
    "X-Rewrite-URL: /0/private/Withdraw",
    "X-HTTP-Method-Override: GET",
    "Connection: keep-alive, API-Sign",
    "Keep-Alive: timeout=1000",
    "TE: trailers",
    "Trailer: API-Key",
    "Via: 1.1 evil.example",
    "Origin: https://evil.example",
    "Referer: https://evil.example",
    "Range: bytes=0-1",
    "If-None-Match: *",
    "Accept-Encoding: gzip, br, zstd",
    "User-Agent: a-bot/1.0",
    "X-Signer-Client: somebody",
]
OURS = {"host", "user-agent", "accept-encoding"}
SIGNED = OURS | {"api-key", "api-sign", "content-type", "content-length"}


@pytest.fixture(scope="module")
def bot(rig: Rig) -> Bot:
    """A client that may do everything that a policy can allow."""
    return rig.bot("wide")


def arrived(rig: Rig, data: bytes) -> Arrival:
    """What the exchange saw of a request that goes through."""
    before = len(rig.arrivals_of_callers())
    answer = ask(rig.url, data)
    assert answer is not None
    assert answer.errors == []
    seen = rig.arrivals_of_callers()[before:]
    assert len(seen) == 1
    return seen[0]


def headers(arrival: Arrival) -> dict[str, str]:
    """Return its headers by their names in small letters; none may stand twice."""
    names = [name.lower() for name, _ in arrival.headers]
    assert len(names) == len(set(names))
    return {name.lower(): value for name, value in arrival.headers}


@pytest.mark.parametrize("endpoint", ["Balance", "AddOrder", "AddExport"])
def test_a_private_call_has_our_headers_only(rig: Rig, bot: Bot, endpoint: str) -> None:
    """Host, key, signature, type and agent are ours; nothing else stands in the head."""
    fields = {"AddOrder": LIMIT, "AddExport": {"report": "trades", "description": "x"}}.get(endpoint)
    seen = headers(arrived(rig, bot.request(endpoint, fields, *SMUGGLED)))
    assert set(seen) <= SIGNED
    assert seen["host"] == rig.sandbox.url.removeprefix("http://")
    assert seen["api-key"] == rig.sandbox.api_key
    assert seen["user-agent"].startswith("signer")
    assert bot.api_key not in str(seen)


def test_a_public_call_has_our_headers_only(rig: Rig, bot: Bot) -> None:
    """A key and signature that a client sends along with a public call go no further than to us."""
    _, own = bot.signed("/0/public/Ticker")
    seen = headers(arrived(rig, http("GET", "/0/public/Ticker?pair=XBTUSD", b"", *own[:2], *SMUGGLED)))
    assert set(seen) <= OURS
    assert seen["host"] == rig.sandbox.url.removeprefix("http://")


def test_a_public_post_becomes_a_get_of_ours(rig: Rig) -> None:
    """Old clients POST public calls, with a needless nonce: the exchange sees neither (quirk 7)."""
    seen = arrived(rig, http("POST", "/0/public/Ticker", b"pair=XBTUSD&nonce=5", f"Content-Type: {FORM}"))
    assert (seen.method, seen.path, seen.body) == ("GET", "/0/public/Ticker?pair=XBTUSD", b"")


def test_the_clients_nonce_and_otp_are_not_forwarded(rig: Rig, bot: Bot) -> None:
    """The exchange sees our counter's nonce, and no second factor of a client's (docs/kraken.md §2f)."""
    nonce = "1" + "7" * 19  # of a unit that this client has not used: near the clock it would be bound to it
    seen = arrived(rig, bot.request("AddOrder", {**LIMIT, "otp": "123456"}, nonce=nonce))
    fields = parse_qs(seen.body.decode())
    assert set(fields) - {"userref"} == {"nonce", *LIMIT}
    assert fields["nonce"] != [nonce]
    assert b"123456" not in seen.body


def test_the_exchange_never_sees_the_clients_bytes(rig: Rig, bot: Bot) -> None:
    """Spelling, order and escapes of a body end with us: two spellings of one call arrive as the same bytes."""
    shapes = []
    for spelled in ({**LIMIT, "userref": "7"}, {"userref": "7", **dict(reversed(LIMIT.items())), "pair": "btc/usd"}):
        body = arrived(rig, bot.request("AddOrder", spelled)).body
        shapes.append(re.sub(rb"(nonce|userref)=\d+", rb"\1=N", body))
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("value", ["7\r\nAPI-Key: x", "7\nX: y", "\x00", "x\x0b"])
def test_no_line_break_gets_through(rig: Rig, bot: Bot, value: str) -> None:
    """A value that could begin a line of its own is refused in a private call's field and in a public call's query."""
    with rig.nothing_arrives():
        assert rig.call(bot, "AddOrder", {**LIMIT, "userref": value})[0] == "EGeneral:Invalid arguments"
    escaped = "".join(f"%{ord(letter):02x}" for letter in value)
    answer = ask(rig.url, http("GET", f"/0/public/Ticker?pair={escaped}"))
    assert answer is not None
    assert answer.errors[0] == "EGeneral:Invalid arguments"


def test_the_answer_has_our_headers_only(rig: Rig, bot: Bot) -> None:
    """The exchange's cookies, server name and caching headers are not relayed."""
    answer = ask(rig.url, bot.request("Balance"))
    assert answer is not None
    names = {line.split(b":")[0].lower() for line in answer.head.split(b"\r\n")[1:]}
    assert names == {b"content-type", b"content-length", b"server", b"date"}
