"""Threat: a request that we and somebody before or behind us frame, route or decode differently (request smuggling).

*Must hold* 1 and 3: bytes that do not read in exactly one way are refused, cheaply, and nothing of them reaches the
exchange. Sources: RFC 9112 §6 and §11.2, RFC 9110 §7.8 and §10.1.1, docs/kraken.md §11.
"""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.harness.bots import Bot
from tests.harness.rig import Rig, serving_rig
from tests.harness.wire import Wire, ask, http

PATH = "/0/private/Balance"
MAX_CONNECTIONS = 24


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A gateway of small patience."""
    settings = f"body_seconds = 1.5\nmax_connections = {MAX_CONNECTIONS}"
    with serving_rig(tmp_path_factory.mktemp("smuggling"), settings) as made:
        yield made


@pytest.fixture(scope="module")
def bot(rig: Rig) -> Bot:
    """A client that may do everything that a policy can allow: what is refused here, no policy refused."""
    return rig.bot("wide")


def still_serves(rig: Rig, bot: Bot) -> bool:
    """Whether the gateway answers an honest call."""
    return rig.call(bot, "Balance") == []


def signed(bot: Bot, *lines: str, body: bytes | None = None, length: bool = True) -> bytes:
    """A signed Balance with further header lines; another body, or no length, if asked for."""
    good, own = bot.signed(PATH)
    sent = good if body is None else body
    framing = [f"Content-Length: {len(sent)}"] if length else []
    head = [f"POST {PATH} HTTP/1.1", "Host: gateway", *own, *framing, *lines, "", ""]
    return "\r\n".join(head).encode("latin-1") + sent


def chunked(bot: Bot, chunks: Callable[[bytes], bytes], coding: str = "Transfer-Encoding: chunked") -> bytes:
    """A signed Balance whose body goes in ``chunks``."""
    body, own = bot.signed(PATH)
    return "\r\n".join([f"POST {PATH} HTTP/1.1", "Host: gateway", *own, coding, "", ""]).encode() + chunks(body)


def one_chunk(body: bytes) -> bytes:
    """A body as a single chunk."""
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


LENGTHS = ["+{}", "-{}", "{0}, {0}", "0x{:x}", "{}_", "{} 0", "{}.0", "", "99999999999999999999999"]
CODINGS = [
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: xchunked",
    'Transfer-Encoding: "chunked"',
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: \x0bchunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    "Transfer-Encoding:\r\n chunked",
    "X: y\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
]
CHUNKS: dict[str, Callable[[bytes], bytes]] = {
    "space": lambda body: one_chunk(body).replace(b"\r\n", b" \r\n", 1),
    "plus": lambda body: b"+" + one_chunk(body),
    "hex prefix": lambda body: b"0x" + one_chunk(body),
    "underscore": lambda body: b"0_" + one_chunk(body),
    "negative": lambda body: b"-" + one_chunk(body),
    "bare LF": lambda body: one_chunk(body).replace(b"\r\n", b"\n"),
    "too long a chunk": lambda body: b"%x\r\n%bXX0\r\n\r\n" % (len(body), body),
    "overflow": lambda body: b"1" + b"0" * 16 + one_chunk(body),
}


def refused(rig: Rig, bot: Bot, data: bytes) -> bool:
    """Whether the gateway refuses these bytes with a 4xx and ends the connection, and nothing reaches the exchange."""
    with rig.nothing_arrives():
        wire = Wire(rig.url)
        wire.send(data)
        answer = wire.answer()
        ended = wire.closed()
        wire.close()
    assert still_serves(rig, bot)
    return ended and (answer is None or 400 <= answer.status < 500)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_length_that_is_not_plain_digits_is_refused(rig: Rig, bot: Bot, length: str) -> None:
    """``Content-Length`` with a sign, a list, a prefix, a space … is read by some as a number and by others not."""
    body, own = bot.signed(PATH)
    text = length.format(len(body))
    head = [f"POST {PATH} HTTP/1.1", "Host: gateway", *own, f"Content-Length: {text}", "", ""]
    assert refused(rig, bot, "\r\n".join(head).encode() + body)


@pytest.mark.parametrize("second", ["Content-Length: 0", "content-length: {}", "Transfer-Encoding: chunked"])
def test_two_framings_are_refused(rig: Rig, bot: Bot, second: str) -> None:
    """Two lengths, equal ones too, and a length beside a transfer coding (CL.CL, CL.TE)."""
    assert refused(rig, bot, signed(bot, second.format(38)))


@pytest.mark.parametrize("coding", CODINGS)
def test_a_transfer_coding_that_is_not_exactly_chunked_is_refused(rig: Rig, bot: Bot, coding: str) -> None:
    """Doubled, listed, quoted, padded and folded codings (TE.TE), and a coding followed by a length (TE.CL)."""
    assert refused(rig, bot, chunked(bot, one_chunk, coding))


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_a_malformed_chunk_is_refused(rig: Rig, bot: Bot, chunks: Callable[[bytes], bytes]) -> None:
    """Chunk sizes are plain hex digits, lines end with CRLF, and a chunk is as long as it says."""
    assert refused(rig, bot, chunked(bot, chunks))


def test_a_chunked_body_is_one_body(rig: Rig, bot: Bot) -> None:
    """Node clients send chunks (quirk 4): the signature is checked over the body whole, and trailers are no headers."""
    halves = chunked(bot, lambda b: b"5\r\n%b\r\n%x\r\n%b\r\n0\r\nAPI-Key: x\r\n\r\n" % (b[:5], len(b) - 5, b[5:]))
    answer = ask(rig.url, halves)
    assert answer is not None
    assert answer.errors == []


@pytest.mark.parametrize(
    "target",
    ["http://api.kraken.com" + PATH, "https://evil.example" + PATH, "api.kraken.com:443", "*", "0/private/Balance"],
)
def test_a_target_that_is_not_a_path_is_refused(rig: Rig, bot: Bot, target: str) -> None:
    """Absolute, authority and asterisk form (RFC 9112 §3.2) are for proxies, and could name another host."""
    body, own = bot.signed(PATH)
    assert refused(rig, bot, http("POST", target, body, *own))


@pytest.mark.parametrize(
    "path",
    [
        "/" + PATH,
        "/0//private/Balance",
        "/0/private//Balance",
        "/0/private/../private/Balance",
        "/0/private/./Balance",
        "/0/public/../private/Balance",
        "/0/private/%2e%2e/private/Balance",
        "/0/private/..%2fprivate/Balance",
        "/0/%70rivate/Balance",
        "/0/private/%42alance",
        "/0/private/Balance%00",
        "/0/private/Balance%20",
        "/0/private/Balance%3Fa=b",
        "/0/private/Balance/",
        "/0/private/Balance;a=b",
        "/0/private;a/Balance",
        "/0/private/Balance#a",
        "/0/private/balance",
        "/0/Private/Balance",
        "/0\\private\\Balance",
        "/0/private/",
        "/0/private",
        "/1/private/Balance",
        "/funding/v1/addresses",
        "/oauth/fast-api-key",
    ],
)
def test_only_the_exact_path_is_a_call(rig: Rig, bot: Bot, path: str) -> None:
    """No path is decoded, resolved or repaired, whether the bot signed the plain one or the odd one."""
    body, own = bot.signed(PATH)
    odd_body, odd = bot.signed(path)
    with rig.nothing_arrives():
        for answer in (ask(rig.url, http("POST", path, body, *own)), ask(rig.url, http("POST", path, odd_body, *odd))):
            assert answer is not None
            known = {"EGeneral:Unknown method", "EAPI:Invalid signature"}
            assert answer.status in {400, 404} or answer.errors[0] in known
    assert still_serves(rig, bot)


def test_a_query_on_a_private_call_is_refused(rig: Rig, bot: Bot) -> None:
    """A query is refused, since no signature is over it."""
    body, own = bot.signed(PATH)
    with rig.nothing_arrives():
        answer = ask(rig.url, http("POST", PATH + "?asset=XBT", body, *own))
    assert answer is not None
    assert answer.errors[0] == "EGeneral:Invalid arguments"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "POSTX", "PRI"])
def test_only_post_is_a_private_call(rig: Rig, bot: Bot, method: str) -> None:
    """Whatever a header says that the method should have been."""
    body, own = bot.signed(PATH)
    override = [f"{name}: POST" for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")]
    with rig.nothing_arrives():
        answer = ask(rig.url, http(method, PATH, body, *own, *override))
    assert answer is not None
    assert answer.errors == ["EGeneral:Unknown method"]


@pytest.mark.parametrize("method", ["post", "Post", "P@ST", "POST\t", "", " POST"])
def test_a_malformed_method_is_refused(rig: Rig, bot: Bot, method: str) -> None:
    """Methods are capital letters (RFC 9110 §9.1: they are case-sensitive)."""
    body, own = bot.signed(PATH)
    assert refused(rig, bot, http(method, PATH, body, *own))


@pytest.mark.parametrize(
    "data",
    [
        b"GET /0/public/Time\r\n\r\n",
        b"GET /0/public/Time HTTP/0.9\r\n\r\n",
        b"GET /0/public/Time HTTP/1.2\r\nHost: x\r\n\r\n",
        b"GET /0/public/Time HTTP/2.0\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /0/public/Time HTTP/1.1\nHost: x\n\n",
        b"GET /0/public/Time HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET /0/public/Time HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"GET /0/public/Time HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    ],
    ids=["0.9", "HTTP/0.9", "1.2", "2.0", "h2 preface", "TLS", "bare LF", "no colon", "NUL", "two hosts"],
)
def test_what_is_not_http_1_is_refused(rig: Rig, bot: Bot, data: bytes) -> None:
    """Other protocols and versions, and heads that are not lines of fields."""
    assert refused(rig, bot, data + b"\r\n\r\n")


def test_malformed_bytes_leave_no_traceback_in_the_log(rig: Rig, bot: Bot) -> None:
    """*Must hold* 2: whoever sends rubbish can neither fill the log with tracebacks nor see one."""
    assert refused(rig, bot, b"rubbish\r\n\r\n")
    assert "Traceback" not in rig.gateway.log()


def test_a_websocket_upgrade_is_no_way_in(rig: Rig, bot: Bot) -> None:
    """An upgrade is an ordinary GET of a path that does not exist."""
    lines = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: aGVsbG8="]
    assert refused(rig, bot, http("GET", "/v2", b"", *lines))


def test_an_upgrade_to_http_2_is_ignored(rig: Rig, bot: Bot) -> None:
    """h2c smuggling needs a server that switches; ours answers the one call over HTTP/1.1, and stays on it."""
    h2c = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]
    before = len(rig.arrivals())
    wire = Wire(rig.url)
    wire.send(signed(bot, *h2c))
    answer = wire.answer()
    assert answer is not None
    assert (answer.status, answer.errors) == (200, [])
    assert len(rig.arrivals()) == before + 1
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    after = wire.answer()
    assert after is not None
    assert after.status == 400
    wire.close()


@pytest.mark.parametrize(
    "lines",
    [["X: " + "a" * 5000], ["X: a"] * 60, ["X-" + "a" * 5000 + ": a"]],
    ids=["long value", "many fields", "long name"],
)
def test_an_oversized_head_is_refused(rig: Rig, bot: Bot, lines: list[str]) -> None:
    """The size of a header field and the number of fields have a bound."""
    assert refused(rig, bot, signed(bot, *lines))


def test_an_oversized_target_is_refused(rig: Rig, bot: Bot) -> None:
    """The request line has a bound."""
    assert refused(rig, bot, http("GET", "/0/public/Ticker?pair=" + "A" * 9000))


def test_an_endless_head_is_refused(rig: Rig, bot: Bot) -> None:
    """A head that has no end is not collected."""
    assert refused(rig, bot, b"GET / HTTP/1.1\r\n" + b"A" * 1_000_000)


@pytest.mark.parametrize("declared", [True, False])
def test_an_oversized_body_is_refused(rig: Rig, bot: Bot, declared: bool) -> None:
    """A body is refused by its declared length before it is read, and in chunks as soon as it is too long."""
    body = b"nonce=1&a=" + b"a" * 70_000
    data = signed(bot, body=body) if declared else chunked(bot, lambda _: one_chunk(body))
    assert refused(rig, bot, data)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity"])
def test_a_coded_body_is_refused(rig: Rig, bot: Bot, coding: str) -> None:
    """What is signed, what is parsed and what a decoder makes of it would be three things; a bomb too."""
    assert refused(rig, bot, signed(bot, f"Content-Encoding: {coding}", body=gzip.compress(b"nonce=1")))


@pytest.mark.parametrize("header", ["API-Key", "api-sign", "Content-Type", "CONTENT-ENCODING"])
def test_a_header_that_stands_twice_is_refused(rig: Rig, bot: Bot, header: str) -> None:
    """Both copies of a header are refused, since servers differ in which they believe."""
    assert refused(rig, bot, signed(bot, f"{header}: x", f"{header}: x"))


@pytest.mark.parametrize("sent", [b"", b"PO", b"POST /0/private/Balance HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_slow_head_is_not_waited_for(rig: Rig, bot: Bot, sent: bytes) -> None:
    """A connection that sends nothing, or a head without end (slowloris), is closed."""
    wire = Wire(rig.url)
    wire.send(sent)
    ended = wire.closed()
    wire.close()
    assert ended
    assert still_serves(rig, bot)


def test_a_slow_body_is_not_waited_for(rig: Rig, bot: Bot) -> None:
    """The time for a body is bounded as a whole, not from byte to byte."""
    assert refused(rig, bot, signed(bot)[:-5])


def test_a_body_may_come_behind_its_head(rig: Rig, bot: Bot) -> None:
    """A body that arrives in pieces is the same body."""
    data = signed(bot)
    wire = Wire(rig.url)
    for start, end in ((0, -20), (-20, -10), (-10, None)):
        wire.send(data[start:end])
        assert still_serves(rig, rig.bot("tracker"))  # by then what was sent before it has been read
    answer = wire.answer()
    wire.close()
    assert answer is not None
    assert answer.errors == []


@pytest.mark.parametrize(
    "lines",
    [["Connection: close"], ["Connection: close", "Connection: keep-alive"], ["Connection: keep-alive, close"]],
    ids=["plain", "and then not", "in a list"],
)
def test_whoever_asks_for_the_end_gets_it(rig: Rig, bot: Bot, lines: list[str]) -> None:
    """The call is answered, and nothing behind it is read, however the end is asked for (RFC 9112 §9.6)."""
    call = signed(bot, *lines)
    before = len(rig.arrivals())
    wire = Wire(rig.url)
    wire.send(call + signed(bot))
    answer = wire.answer()
    ended = wire.closed()
    wire.close()
    assert answer is not None
    assert (answer.errors, ended, len(rig.arrivals())) == ([], True, before + 1)


def test_an_answer_to_head_has_no_body(rig: Rig) -> None:
    """An answer to HEAD has no body, which would be read as the next answer (RFC 9110 §9.3.2)."""
    wire = Wire(rig.url)
    wire.send(http("HEAD", "/0/public/Time"))
    wire.send(http("HEAD", "/-/health"))  # which ends the connection
    answers = b"".join(iter(lambda: wire.socket.recv(65536), b""))
    wire.close()
    assert answers.count(b"HTTP/1.1 ") == 2
    assert [part for part in answers.split(b"\r\n\r\n") if not part.startswith(b"HTTP/1.1 ")] == [b""]


def test_a_client_that_hangs_up_in_its_body_has_asked_nothing(rig: Rig, bot: Bot) -> None:
    """*Must hold* 3: half a call is no call."""
    with rig.nothing_arrives():
        wire = Wire(rig.url)
        wire.send(signed(bot)[:-5])
        wire.close()
        assert rig.call(bot, "GetApiKeyInfo") == []


def test_connections_are_bounded(rig: Rig, bot: Bot) -> None:
    """One connection too many is closed; the others are served; a place is free again when one leaves."""
    wires = [Wire(rig.url) for _ in range(MAX_CONNECTIONS)]
    one_more = Wire(rig.url)
    refused_at_once = one_more.closed()
    one_more.close()
    wires[0].send(signed(bot))
    answer = wires[0].answer()
    assert answer is not None
    assert answer.errors == []
    for wire in wires:
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.closed()
        wire.close()
    assert refused_at_once
    assert still_serves(rig, bot)
