"""gunicorn's HTTP/1.1 protocol, with further bounds and checks (tests/security/test_smuggling.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol, _get_cached_date_header

from signer.model import Response
from signer.model.one_source import one_source
from signer.secret import fingerprint
from signer.serving.edge import BODY, CERTIFIED, GO_ON, SHOWN_KEY, UNIX, Scope
from signer.serving.shares import ConnectionPlace
from signer.upstream.held import COUNTED_FROM

KEEP_ALIVE_S = 75.0
"""How long a connection may wait for its next request."""
STATUS_LINES = {each.value: f"{each.value} {each.phrase}" for each in HTTPStatus}
PIECE = 256 * 1024
"""Bytes of a large answer that are given to the transport at once."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SERVER = "Server: gunicorn/asgi\r\n"


class Body:
    """The body of one request. gunicorn's protocol feeds it, and the application receives it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.complete = False
        self._gone = False
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, part: bytes) -> None:
        """Take a piece from the parser."""
        self._parts.append(part)
        self._wake()

    def set_complete(self) -> None:
        """Note that the parser has given the last piece."""
        self.complete = True
        self._wake()

    def signal_disconnect(self) -> None:
        """Note that the client hung up. Called by gunicorn."""
        self._gone = True
        self._wake()

    @property
    def begun(self) -> bool:
        """Return whether a part of it has arrived, or it is empty."""
        return bool(self._parts) or self.complete

    def whole(self) -> bytes | None:
        """Return the whole body if it has arrived and none of it was received. Call it once, instead of `receive`."""
        return b"".join(self._parts) if self.complete and not self._gone else None

    async def receive(self) -> MutableMapping[str, Any]:
        """Return the bytes that have arrived since the last call, or wait for some. This is ASGI's ``receive``."""
        while not (self._parts or self.complete or self._gone):
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._gone:
            return {"type": "http.disconnect"}
        parts, self._parts = self._parts, []
        return {"type": "http.request", "body": b"".join(parts), "more_body": not self.complete}

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class GatewayProtocol(ASGIProtocol):  # type: ignore[misc]  # gunicorn has no types
    """One connection. HTTP/1 only: an ``Upgrade`` to anything else is ignored, as RFC 9110 §7.8 allows."""

    _ends = False
    """Whether the answer says ``Connection: close``."""
    _is_outdated = False
    """Whether its client was admitted by a CA that was replaced since."""
    _certified: str | None = None
    """The name in the client's certificate."""
    _watch: asyncio.TimerHandle | None = None
    _head_waiter: asyncio.Future[None] | None = None
    """Tells the connection's task that the next head is complete."""
    _task: asyncio.Task[None] | None
    _current_request: Scope | None
    _body_receiver: Body | None
    _peer: tuple[str, int] | None = None
    """Address and port of the client; none on a unix socket."""

    def __init__(self, worker: Any, place: ConnectionPlace, venue: str) -> None:
        """``venue`` is the name of that which the listener serves."""
        super().__init__(worker)
        self._place = place
        self._venue = venue

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Accept the connection, unless the worker stops."""
        certificate = transport.get_extra_info("peercert")
        self._certified = _common_name(certificate) if certificate else None
        peername = transport.get_extra_info("peername")
        self._peer = tuple(peername[:2]) if peername else None
        super().connection_made(transport)
        self.worker.connections.add(self)
        self._waits_since: float = self.worker.loop.time()
        if self.worker.alive:
            self._watch_again()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget an idle connection at once; a request that is being answered runs to its end."""
        self.worker.connections.discard(self)
        self._place.leave()
        if self._watch is not None:
            self._watch.cancel()
        if self._current_request is None and self._task is not None:
            self._task.cancel()
            self._task = None  # gunicorn would keep it for the grace period: a flood of connections would fill memory
        super().connection_lost(exc)
        self._flow_control.resume_writing()  # a writer that waits learns that the client is gone

    def close_if_idle(self) -> None:
        """Take no further request, because the worker stops. A request under way ends the connection itself."""
        if self._current_request is None:
            self.transport.close()

    def let_in_anew(self) -> None:
        """Require a new handshake, because the CA that admitted this client was replaced."""
        if self._certified is not None:
            self._is_outdated = True
            self.close_if_idle()

    def _watch_again(self) -> None:
        self._watch = self.worker.loop.call_later(self.app.request_seconds, self._end_if_idle)

    def _end_if_idle(self) -> None:
        """Close a connection whose client sends its head slowly (slowloris), or sends nothing."""
        first, waited = self.req_count <= 1, self.worker.loop.time() - self._waits_since
        if self._current_request is None and (first or waited > KEEP_ALIVE_S):
            self.transport.abort()
        else:
            self._watch_again()

    def data_received(self, data: bytes) -> None:
        """Parse. Bytes that are not HTTP end the connection. gunicorn would write the parser's error to the log.

        gunicorn's own asks first whether the connection is HTTP/2 or a WebSocket, which none is.
        """
        try:
            self._callback_parser.feed(data)
        except ValueError as error:  # the common base of the fast parser's errors
            if not self._handle_h1c_exception(error):
                self._send_error_response(400, "Bad Request")
                self._close_transport()

    def _on_headers_complete(self) -> bool:
        """Make ASGI's scope from the parsed head, with only the keys that our application uses."""
        parser = self._callback_parser
        path, _, query = parser.path.partition(b"?")
        self._current_request = {
            "type": "http",
            "http_version": "1.1" if parser.http_version == (1, 1) else "1.0",
            "method": parser.method.decode("ascii"),
            "raw_path": path,
            "query_string": query,
            "headers": parser.asgi_headers,
            "client": self._peer,
            CERTIFIED: self._certified,
            GO_ON: self._go_on,
        }
        self._body_receiver = Body()
        if self._head_waiter is not None and not self._head_waiter.done():
            self._head_waiter.set_result(None)
        return bool(parser.method == b"HEAD")  # whose body is not read

    def _go_on(self) -> None:
        """Ask a client for the body that it holds back. A client that has begun to send needs no such answer."""
        if self._body_receiver is not None and not self._body_receiver.begun:
            self._safe_write(CONTINUE)

    async def _handle_connection(self) -> None:
        """Serve one request after the other. It replaces gunicorn's own, more general loop."""
        try:
            while True:
                self.req_count += 1
                if self._current_request is None:
                    self._head_waiter = self.worker.loop.create_future()
                    await self._head_waiter
                if self._closed or not await self._answer():
                    break
                self._await_next()
        except asyncio.CancelledError:
            pass  # the client hung up
        finally:
            self._close_transport()

    async def _answer(self) -> bool:
        """Let the application answer; whether another request may follow."""
        request, body, parser = self._current_request, self._body_receiver, self._callback_parser
        assert request is not None  # noqa: S101 - made by the parser's callback
        assert body is not None  # noqa: S101 - made with it
        request[BODY] = body.whole()
        await self.app.answers[self._venue](request, body.receive, partial(self._send, request))
        # The parser keeps the last of two Connection headers; we close if either says so.
        first = parser.get_header(b"connection") or b""
        keep = parser.should_keep_alive and first.strip().lower() != b"close" and not self._ends
        keep = keep and body.complete and not parser.remaining_truncated
        return keep and self.worker.alive and not self._is_outdated

    def _await_next(self) -> None:
        """Parse what came behind the last request as the beginning of the next one.

        gunicorn would drop these bytes, and take the rest for a request.
        """
        behind = self._callback_parser.remaining()
        self._callback_parser.reset()
        self._current_request = self._body_receiver = None
        self._waits_since = self.worker.loop.time()
        if behind:
            self.data_received(behind)

    async def _send(self, request: Scope, response: Response, ends: bool) -> None:
        """Send one whole answer, or drop it if the client has hung up (`signer.serving.edge.Send`)."""
        if self._closed:
            return
        self._ends = ends
        body = b"" if request["method"] == "HEAD" else response.body
        self._safe_write(_head(request["http_version"], response, ends) + body[:COUNTED_FROM])
        if len(body) > COUNTED_FROM or self._flow_control.write_paused:
            await self._deliver(memoryview(body)[COUNTED_FROM:], self._holder(request))

    async def _deliver(self, rest: memoryview, holder: str) -> None:
        """Send the rest of an answer as fast as its client reads, within the time limit.

        It sends pieces, because a TLS transport accepts any amount, and does not tell how much is still unsent.
        """
        hold = self.app.held.hold(holder, len(rest) + COUNTED_FROM, lambda: self._drop("answers_mib", holder))
        try:
            async with asyncio.timeout(self.app.answer_seconds):
                await self._flow_control.drain()
                for start in range(0, len(rest), PIECE):
                    if self._closed:
                        return
                    self._safe_write(rest[start : start + PIECE])
                    await self._flow_control.drain()
        except TimeoutError:
            self._drop("answer_seconds", holder)
        finally:
            hold.release()

    def _drop(self, bound: str, holder: str) -> None:
        self.app.answer_dropped(bound, holder)
        self._closed = True
        self.transport.abort()

    def _holder(self, request: Scope) -> str:
        """Return the client or source whose share holds an answer. Clients of large private answers are proven."""
        key = request.get(SHOWN_KEY)
        if key:
            return f"the client with the key {fingerprint(key)}"
        return one_source(self._peer[0]) if self._peer else UNIX


def _head(version: str, response: Response, ends: bool) -> bytes:
    """Write status line and headers. The length is that of the whole body, also for HEAD."""
    # A network before the exchange has statuses of its own (520 and more), and a reason phrase may be empty.
    status = STATUS_LINES.get(response.status) or f"{response.status} "
    lines = f"HTTP/{version} {status}\r\ncontent-type: {response.content_type}\r\n"
    lines += f"content-length: {len(response.body)}\r\n"
    for name, value in response.headers:
        lines += f"{name}: {value}\r\n"
    if ends:
        lines += "connection: close\r\n"
    lines += SERVER
    return b"".join((lines.encode("latin-1"), _get_cached_date_header(), b"\r\n"))


def _common_name(certificate: Mapping[str, Any]) -> str:
    """Return the one CN of a subject (see `ssl.SSLSocket.getpeercert`); empty, which is no client's, if not one."""
    names = [value for rdn in certificate["subject"] for kind, value in rdn if kind == "commonName"]
    return str(names[0]) if len(names) == 1 else ""
