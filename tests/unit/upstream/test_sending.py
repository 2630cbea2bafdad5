"""The line between *not sent* and *unanswered*, proved by the bytes that the venue got."""

from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from signer.errors import NotSent, Unanswered
from signer.model import WireRequest
from signer.upstream import UpstreamPool
from signer.upstream.connecting import connect
from signer.upstream.connection import Connection
from tests.unit.upstream.venue import OK, ORDER, Play, Venue, send

T = TypeVar("T")
WHOLE = (
    "POST /0/private/AddOrder HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAPI-Key: key\r\nAccept-Encoding: identity\r\n"
    "Content-Length: 16\r\n\r\nnonce=1&volume=1"
)
HEAD = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(bytes(100_000))

NO_ANSWER = {
    "closed": Play(b"", "close"),
    "reset": Play(b"", "reset"),
    "half a head": Play(b"HTTP/1.1 200 OK\r\nContent-Le", "close"),
    "half a body": Play(HEAD + b"Content-Length: 10\r\n\r\n{}", "close"),
    "reset in the body": Play(HEAD + b"Content-Length: 10\r\n\r\n{}", "reset"),
    "half the chunks": Play(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "close"),
    "not HTTP": Play(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "HTTP/2": Play(b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
    "bad status": Play(b"HTTP/1.1 two OK\r\nContent-Length: 2\r\n\r\n{}"),
    "bad header": Play(HEAD + b"A B: c\r\nContent-Length: 2\r\n\r\n{}"),
    "folded header": Play(HEAD + b"A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}"),
    "bare line feeds": Play(b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}"),
    "bad length": Play(HEAD + b"Content-Length: -2\r\n\r\n{}"),
    "two lengths": Play(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "length and chunks": Play(HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    "chunks and length": Play(HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    "bad chunk size": Play(HEAD + b"Transfer-Encoding: chunked\r\n\r\nxx\r\n{}\r\n0\r\n\r\n"),
    "chunk too long": Play(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n"),
    "unknown transfer coding": Play(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    "chunked is not last": Play(HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "close"),
    "two answers": Play(OK + OK),
    "bytes after the end": Play(OK + b"x"),
    "bytes after the last answer": Play(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}x"),
    "other protocol": Play(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    "other protocol, unnamed": Play(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    "endless head": Play(HEAD + b"A: " + b"b" * 200_000),
    "large head": Play(HEAD + b"A: bbbbbbbbbbb\r\n" * 5000 + b"Content-Length: 2\r\n\r\n{}"),
    "endless interim answers": Play(b"HTTP/1.1 103 Early Hints\r\nA: bbbbbbbbbbb\r\n\r\n" * 5000),
    "large body": Play(HEAD + b"Content-Length: 20001\r\n\r\n" + bytes(20_001)),
    "large body announced": Play(HEAD + b"Content-Length: 99999999\r\n\r\n"),
    "large body until the end": Play(HEAD + b"\r\n" + bytes(20_001), "close"),
    "large chunked body": Play(HEAD + b"Transfer-Encoding: chunked\r\n\r\n4e21\r\n" + bytes(20_001) + b"\r\n0\r\n\r\n"),
    "endless chunk header": Play(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"x" * 400_000),
    "unknown content coding": Play(HEAD + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}"),
    "two content codings": Play(
        HEAD + b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"{}"), "close"
    ),
    "no gzip": Play(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
    "half a gzip": Play(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 15\r\n\r\n" + gzip.compress(b"{}")[:15]),
    "gzip and more": Play(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"{}") + b"x", "close"),
    "gzip bomb": Play(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
}

ANSWERS = {
    "length": (Play(HEAD + b"Content-Type: a/b\r\nContent-Length: 2\r\n\r\n{}"), 200, "a/b", b"{}"),
    "chunks": (
        Play(HEAD + b"Transfer-Encoding: Chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\nContent-Type: a/b\r\n\r\n"),
        200,
        "",
        b"{}",
    ),
    "until the end": (Play(HEAD + b"\r\n{}", "close"), 200, "", b"{}"),
    "HTTP/1.0": (Play(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"), 200, "", b"{}"),
    "HTTP/1.0 until the end": (Play(b"HTTP/1.0 200 OK\r\n\r\n{}", "close"), 200, "", b"{}"),
    "no content": (Play(b"HTTP/1.1 204 No Content\r\n\r\n"), 204, "", b""),
    "not modified": (Play(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"), 304, "", b""),
    "redirect": (Play(b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n"), 302, "", b""),
    "Cloudflare": (Play(b"HTTP/1.1 520 \r\nContent-Length: 4\r\n\r\noops"), 520, "", b"oops"),
    "interim": (
        Play(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nContent-Type: a/b\r\n\r\n" + OK),
        200,
        "application/json",
        b"{}",
    ),
    "gzip": (Play(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"{}"), "close"), 200, "", b"{}"),
    "deflate": (Play(HEAD + b"Content-Encoding: deflate\r\n\r\n" + zlib.compress(b"{}"), "close"), 200, "", b"{}"),
    "identity": (Play(HEAD + b"Content-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}"), 200, "", b"{}"),
    "gzip of nothing": (Play(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"), 200, "", b""),
}


async def at_once(call: Awaitable[T]) -> T:
    """The call's result, which must not wait for a far deadline."""
    return await asyncio.wait_for(call, 20)


@pytest.mark.parametrize("play", NO_ANSWER.values(), ids=NO_ANSWER.keys())
async def test_what_is_no_whole_answer_is_unanswered(venue: Venue, play: Play) -> None:
    """The venue got the whole request exactly once, so whatever it then does short of a whole, well-formed answer
    leaves the outcome unknown; and its connection is not used again."""
    venue.plays = [play, Play()]
    upstream = UpstreamPool.open(venue.origin, max_body=20_000)
    with pytest.raises(Unanswered):
        await at_once(send(upstream, within_s=1000))
    assert venue.received == [WHOLE.format(port=venue.port).encode()]
    assert (await send(upstream)).body == b"{}"
    assert len(venue.received) == 2
    upstream.close()


@pytest.mark.parametrize(
    ("method", "states_length"), [("PUT", True), ("PATCH", True), ("DELETE", False), ("GET", False)]
)
async def test_every_method_is_sent_and_wanted_headers_kept(venue: Venue, method: str, states_length: bool) -> None:
    """An empty body's length is stated where a server expects one."""
    venue.plays = [Play(OK.replace(b"\r\n\r\n", b"\r\nX-Limit: 7\r\nX-Other: 8\r\n\r\n", 1))]
    upstream = UpstreamPool.open(venue.origin)
    wanted = WireRequest(method, "/orders/1", (("API-Key", "key"),), b"", answer_headers=frozenset({"x-limit"}))
    assert (await send(upstream, wanted)).headers == (("x-limit", "7"),)
    assert venue.received[0].startswith(f"{method} /orders/1 HTTP/1.1\r\n".encode())
    assert (b"Content-Length: 0" in venue.received[0]) == states_length
    upstream.close()


@pytest.mark.parametrize(("play", "status", "content_type", "body"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_whole_answers_are_read(venue: Venue, play: Play, status: int, content_type: str, body: bytes) -> None:
    """Every framing that HTTP/1 knows is read to its exact end."""
    venue.plays = [play]
    upstream = UpstreamPool.open(venue.origin)
    answer = await send(upstream)
    assert (answer.status, answer.content_type, answer.body) == (status, content_type, body)
    assert venue.received == [WHOLE.format(port=venue.port).encode()]
    upstream.close()


async def test_silence_until_the_deadline_is_unanswered(venue: Venue) -> None:
    """A venue that hangs has the request: the outcome is unknown. The far deadline of the call before on the same
    connection does not matter."""
    venue.plays = [Play(), Play(b"")]
    upstream = UpstreamPool.open(venue.origin)
    await send(upstream, within_s=1000)
    with pytest.raises(Unanswered, match="in time"):
        await at_once(send(upstream, within_s=0.3))
    assert venue.received == [2 * WHOLE.format(port=venue.port).encode()]
    upstream.close()


async def test_a_late_timer_does_not_end_a_longer_call(venue: Venue) -> None:
    """A timer left from a shorter call rings during a longer one, which goes on."""
    venue.plays = [Play(), Play(b"")]
    upstream = UpstreamPool.open(venue.origin)
    loop = asyncio.get_running_loop()
    await send(upstream, within_s=0.2)
    rung = asyncio.Event()
    loop.call_later(0.4, rung.set)
    call = asyncio.create_task(send(upstream, within_s=100))
    await rung.wait()
    assert not call.done()
    venue.say_now(OK)
    assert (await call).body == b"{}"
    upstream.close()


async def test_nobody_listens() -> None:
    """A refused connection is not sent."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NotSent, match="no connection"):
        await send(UpstreamPool.open(f"http://127.0.0.1:{port}"))


@contextmanager
def deaf_address() -> Iterator[tuple[str, int]]:
    """An address of this machine where connecting takes for ever: the queue of those to be accepted is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield full.getsockname()
        for filler in fillers:
            filler.close()


async def test_a_connection_that_is_never_accepted_is_not_sent() -> None:
    """Connecting is bounded by its own limit, however far the deadline."""
    with deaf_address() as (_, port), pytest.raises(NotSent, match="in time"):
        await at_once(send(UpstreamPool.open(f"http://127.0.0.1:{port}", connect_s=0.2), within_s=1000))


async def test_a_deadline_that_is_over_sends_nothing(venue: Venue) -> None:
    """Neither on a fresh connection nor on a kept one does a byte leave after the deadline."""
    venue.plays = [Play()]
    upstream = UpstreamPool.open(venue.origin)
    with pytest.raises(NotSent):
        await send(upstream, within_s=-1)
    await send(upstream)
    with pytest.raises(NotSent, match="over before"):
        await send(upstream, within_s=-1)
    assert b"".join(venue.received) == WHOLE.format(port=venue.port).encode()
    upstream.close()


async def test_a_venue_that_speaks_first_gets_nothing(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that came before the request could pass for its answer, so no request is written behind them."""

    async def connect_and_be_greeted(*arguments: Any) -> Connection:
        connection = await connect(*arguments)
        while not venue.writers:
            await asyncio.sleep(0)
        venue.say_now(OK)
        return connection

    monkeypatch.setattr("signer.upstream.connect", connect_and_be_greeted)
    with pytest.raises(NotSent, match="spoke before it was asked"):
        await send(UpstreamPool.open(venue.origin))
    while not venue.ended:
        await asyncio.sleep(0)
    assert venue.received == [b""]


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_name_that_does_not_resolve_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed look-up is not sent."""

    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(NotSent, match="Name or service not known"):
        await send(UpstreamPool.open("https://api.kraken.test"))


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_localhost_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain HTTP goes to loopback addresses only, whatever the resolver says `localhost` is."""
    elsewhere = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: elsewhere)
    with pytest.raises(NotSent, match="no usable address"):
        await send(UpstreamPool.open("http://localhost"))


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_the_next_address_is_tried(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an address that refuses nor one that never answers hides the one behind it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()
    with deaf_address() as deaf:
        addresses = (closed, deaf, ("127.0.0.1", venue.port))
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        venue.plays = [Play()]
        upstream = UpstreamPool.open("http://localhost", connect_s=1.0)
        assert (await send(upstream)).status == 200
    upstream.close()


@pytest.mark.parametrize(
    "request_",
    [
        WireRequest("POST", "/a\r\nX: y", (), b""),
        WireRequest("POST", "/a b", (), b""),
        WireRequest("POST", "http://elsewhere/", (), b""),
        WireRequest("POST", "/a\x00", (), b""),
        WireRequest("BREW", "/a", (), b""),
        WireRequest("POST /b HTTP/1.1\r\nA: b\r\n\r\nPOST", "/a", (), b""),
        WireRequest("POST", "/a", (("A", "b\tc"),), b""),
        WireRequest("POST", "/a", (("A", "b\r"), ("B", "\nc")), b""),
        WireRequest("POST", "/ä", (), b""),
        WireRequest("POST", "/a", (("A", "b\r\nX: y"),), b""),
        WireRequest("POST", "/a", (("A", "b\nX: y"),), b""),
        WireRequest("POST", "/a", (("A", "b\r"),), b""),
        WireRequest("POST", "/a", (("A", "\udcff"),), b""),
        WireRequest("POST", "/a", (("A: b\r\nX", "y"),), b""),
        WireRequest("POST", "/a", (("A b", "c"),), b""),
        WireRequest("POST", "/a", (("", "c"),), b""),
        WireRequest("POST", "/a", (("Host", "elsewhere"),), b""),
        WireRequest("POST", "/a", (("content-length", "9"),), b""),
        WireRequest("POST", "/a", (("Transfer-Encoding", "chunked"),), b""),
        WireRequest("POST", "/a", (("Connection", "close"),), b""),
    ],
    ids=lambda request: repr((request.target, *request.headers)),
)
async def test_a_head_that_could_be_read_otherwise_is_not_sent(venue: Venue, request_: WireRequest) -> None:
    """A line break, a space or a framing header in what we were given would let one request become two."""
    with pytest.raises(NotSent, match="not plain HTTP"):
        await send(UpstreamPool.open(venue.origin), request_)
    assert venue.received == []


async def test_a_read_has_no_body(venue: Venue) -> None:
    """A GET is sent with its query and headers in order, and no length."""
    venue.plays = [Play()]
    upstream = UpstreamPool.open(venue.origin)
    await send(upstream, WireRequest("GET", "/0/public/Ticker?pair=XBTUSD", (("User-Agent", "a/1"), ("B", "")), b""))
    expected = (
        f"GET /0/public/Ticker?pair=XBTUSD HTTP/1.1\r\nHost: 127.0.0.1:{venue.port}\r\nUser-Agent: a/1\r\nB: \r\n"
        "Accept-Encoding: identity\r\n\r\n"
    )
    assert venue.received == [expected.encode()]
    upstream.close()


async def test_a_cancelled_call_takes_its_connection_along(venue: Venue) -> None:
    """The answer to a call that nobody waits for is never taken for the answer to the next."""
    venue.plays = [Play(b""), Play()]
    upstream = UpstreamPool.open(venue.origin)
    call = asyncio.create_task(send(upstream))
    await venue.requests.acquire()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await send(upstream)).status == 200
    assert venue.received == 2 * [WHOLE.format(port=venue.port).encode()]
    upstream.close()


async def test_large_requests_arrive_whole(venue: Venue) -> None:
    """A body larger than the kernel's buffers arrives byte for byte."""
    venue.plays = [Play()]
    upstream = UpstreamPool.open(venue.origin)
    body = bytes(range(256)) * 4096
    await send(upstream, WireRequest("POST", ORDER.target, (), body))
    assert venue.received[0].endswith(b"\r\n\r\n" + body)
    upstream.close()
