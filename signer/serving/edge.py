"""Turns bytes into a `Request`, and a `Response` into bytes. Refuses every odd request before it is read further."""

from __future__ import annotations

import asyncio
import ipaddress
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from signer.contracts import Clock, Venue
from signer.errors import NotServed
from signer.model import Network, Request, Response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[Response, bool], Awaitable[None]]
"""Sends one whole answer. If the second argument is true, the connection ends after it."""

MAX_BODY = 64 * 1024
"""Bytes of a request's body. The largest call, a batch of fifteen orders, takes about 6 KiB."""
TOO_LARGE = f"the body is too large: a request may have {MAX_BODY} bytes"
SOONEST_ANSWER_S = 0.0011
"""Fewest seconds from a request to our own answer. Many bots use milliseconds as nonce and would repeat one
(docs/kraken.md §8.14). The exchange itself never answers that fast.
"""
DEFECT = "a defect in the gateway; look the order up"
FORWARDED = b"x-forwarded-for"
CERTIFIED = "signer.certified"
"""Key of the scope: the name in the peer's certificate, if the listener asks for one."""
BODY = "signer.body"
"""Key of the scope: the whole body, if it came with its head, so that there is nothing to wait for."""
SHOWN_KEY = "signer.shown_key"
"""Key of the scope: the API key of a private request."""
GO_ON = "signer.go_on"
"""Key of the scope: says ``100 Continue`` to a client that waits for it before it sends its body."""
CONTINUE = "100-continue"
PLAIN = "text/plain; charset=utf-8"


UNIX = "unix"
"""The source of a caller on a unix socket. It is no address, so a client with bound addresses is refused."""


class Sources:
    """Trusts ``X-Forwarded-For`` only from the named proxies."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._unix = UNIX in trusted
        self._networks: list[Network] = [ipaddress.ip_network(text) for text in trusted if text != UNIX]

    def trusts(self, peer: str) -> bool:
        """Tell whether ``peer`` is one of the proxies."""
        if peer == UNIX:
            return self._unix
        return bool(self._networks) and any(ipaddress.ip_address(peer) in network for network in self._networks)

    def source(self, peer: str, forwarded: Sequence[str]) -> str:
        """Return the caller's address, by the values of the header. Raises ValueError if a proxy does not name it.

        Each proxy appends its own caller, so the list is read from its end. The first address that is no proxy of ours
        is the source. The addresses before it are only a claim of that source.
        """
        if not self.trusts(peer):
            return peer
        for text in reversed([part.strip() for value in forwarded for part in value.split(",")]):
            source = str(ipaddress.ip_address(text))
            if not self.trusts(source):
                return source
        raise ValueError("the proxy names no source")


NO_PROXIES = Sources(())


class BadRequest(Exception):
    """Raised for a request that we do not read at all. The connection is closed after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Edge:
    """Routes a request by its exact path."""

    def __init__(
        self,
        venue: Venue,
        private: Callable[[Request], Awaitable[Response]],
        public: Callable[[Request], Awaitable[Response]],
        local: Callable[[str], Response | None],
        *,
        clock: Clock,
        body_seconds: float,
        on_defect: Callable[[str], None],
        sources: Sources = NO_PROXIES,
    ) -> None:
        self._venue = venue
        self._once = {name.encode(): name for name in FRAMING | venue.headers}
        self._private = private
        self._public = public
        self._local = local
        self._sources = sources
        self._clock = clock
        self._body_seconds = body_seconds
        self._on_defect = on_defect
        self.under_way = 0
        """How many requests are being answered, including those whose client has hung up."""
        self._ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        self.under_way += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self.under_way -= 1
            self._ended.set()

    async def drained(self) -> None:
        """Wait until no request is being answered."""
        while self.under_way:
            self._ended.clear()
            await self._ended.wait()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = self._clock.monotonic()
        try:
            response = await self._respond(scope, receive)
        except BadRequest as bad:
            await send(Response(bad.status, PLAIN, f"{bad.reason}\n".encode(), ours=True), True)
            return
        except Exception as defect:  # noqa: BLE001 - a defect of ours must still be answered, and never in silence
            self._on_defect(_place(defect))
            response = self._venue.refusal(NotServed.unavailable(DEFECT))
        if response.ours:
            early = started + SOONEST_ANSWER_S - self._clock.monotonic()
            if early > 0:
                await asyncio.sleep(early)
        await send(response, False)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        path = _exact_path(scope)
        access = self._venue.access(path)
        if access == "private":
            request = await self._request(scope, receive)
            scope[SHOWN_KEY] = self._venue.key_id(request)
            return await self._private(request)
        if access == "public":
            return await self._public(await self._request(scope, receive))
        local = self._local(path) if scope["method"] == "GET" else None
        if local is None:
            raise BadRequest(404, f"not found: bots call {' and '.join(f'{base}…' for base in self._venue.bases)}")
        return local

    async def _request(self, scope: Scope, receive: Receive) -> Request:
        headers = self._headers(scope["headers"])
        _check_framing(headers)
        if int(headers.get("content-length", "0")) > MAX_BODY:
            raise BadRequest(413, TOO_LARGE)
        body: bytes | None = scope.get(BODY)
        if body is None:
            if "expect" in headers and scope["http_version"] == "1.1":  # RFC 9110 §10.1.1: HTTP/1.0 has no Expect
                scope[GO_ON]()
            body = await self._body_in_time(receive)
        if len(body) > MAX_BODY:
            raise BadRequest(413, TOO_LARGE)
        return Request(
            venue=self._venue.name,
            method=scope["method"],
            target=scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b""),
            headers={name: value for name, value in headers.items() if name in self._venue.headers},
            body=body,
            source=self._source(scope),
            certified=scope.get(CERTIFIED),
        )

    def _headers(self, pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
        """Return the few headers that we read. Refuse a repeated one, because it could mean two things."""
        found: dict[str, str] = {}
        for raw, value in pairs:
            name = self._once.get(raw.lower())
            if name is not None:
                if name in found:
                    raise BadRequest(400, f"the header {name} stands twice")
                found[name] = value.decode("latin-1")
        return found

    async def _body_in_time(self, receive: Receive) -> bytes:
        try:
            async with asyncio.timeout(self._body_seconds):
                return await _body(receive)
        except TimeoutError:
            raise BadRequest(408, "the body did not arrive in time") from None

    def _source(self, scope: Scope) -> str:
        peer = scope["client"][0].removeprefix("::ffff:") if scope["client"] else UNIX  # IPv4 on a socket of IPv6
        if not self._sources.trusts(peer):
            return str(peer)
        said = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == FORWARDED]
        try:
            return self._sources.source(peer, said)
        except ValueError:
            raise BadRequest(400, "the proxy must say in X-Forwarded-For who called") from None


def _place(defect: Exception) -> str:
    """Name the exception and its place. A traceback's text could quote secret data."""
    frames = traceback.extract_tb(defect.__traceback__)
    return f"{type(defect).__name__} at " + " < ".join(
        f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-4:])
    )


def _exact_path(scope: Scope) -> str:
    """Return the path exactly as it stood in the request line, without decoding or repair."""
    raw: bytes = scope["raw_path"]
    if not raw.startswith(b"/") or not raw.isascii():
        raise BadRequest(400, "the request target must be a plain absolute path")
    return raw.decode("ascii")


FRAMING = frozenset({"content-length", "content-encoding", "transfer-encoding", "expect", "host"})
"""The headers that we read for every venue."""


def _check_framing(headers: Mapping[str, str]) -> None:
    """Refuse a head that a proxy could read in another way (RFC 9112 §6.1, §11.2), and that the parser lets pass."""
    if "content-encoding" in headers:
        raise BadRequest(415, "compressed bodies are not accepted")
    if headers.get("transfer-encoding", "chunked").lower() != "chunked":
        raise BadRequest(400, "the only transfer coding accepted is chunked")
    if headers.get("expect", CONTINUE).lower() != CONTINUE:
        raise BadRequest(417, f"the only expectation that is met is {CONTINUE}")


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise BadRequest(400, "the connection closed before the body was whole")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise BadRequest(413, TOO_LARGE)
        if not message.get("more_body"):
            return b"".join(parts)
