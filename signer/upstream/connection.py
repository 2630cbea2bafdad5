"""Holds one connection to the venue: sends one call at a time and reads its answer strictly.

A call counts as *not sent* until ``transport.write`` gets its bytes, and as *unanswered* from then on. Only the owner
of the socket can tell the two apart. An answer that two readers could understand differently may hide whether an order
was placed, so ambiguous framing (RFC 9112 §6.3), unknown encodings and bytes after the end are refused.
"""

from __future__ import annotations

import asyncio
import select
import socket
import zlib
from typing import cast

import httptools

from signer.errors import TooLarge, Unanswered
from signer.model import WireAnswer, WireRequest
from signer.upstream.held import COUNTED_FROM, HeldAnswers
from signer.upstream.origin import Origin

HEAD_LIMIT = 64 * 1024
"""Most bytes of status line and headers, including interim answers and trailers."""

_FRAMING = frozenset({b"content-length", b"content-type", b"content-encoding", b"transfer-encoding"})
_WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
"""zlib's ``wbits`` for each content coding that is accepted (RFC 9110 §8.4.1)."""
_LESS = "ask for less at a time, or later"
_UNKNOWN = "look the call's outcome up before repeating it"


class AnswerReader:
    """Reads the answers of one connection, one after the other, as their bytes arrive."""

    def __init__(self, where: str, max_body: int, held: HeldAnswers | None = None) -> None:
        self._where = where
        self._limit = max_body
        self._held = held
        self._counted = 0
        self._parser = httptools.HttpResponseParser(self)
        self._keep(frozenset())
        self.expect(max_body)

    def expect(self, limit: int, headers: frozenset[str] = frozenset()) -> None:
        """Prepare for the next answer, whose body may have ``limit`` bytes; ``headers`` of it are kept."""
        if headers is not self._names:  # nearly every call wants the same ones
            self._keep(headers)
        self._max_body = min(limit, self._limit)
        self.let_go()
        self.complete = False
        self.keep_alive = False
        self._received = 0
        self._head_size = 0
        self._head_done = False
        self._until_eof = False
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_size = 0

    def _keep(self, headers: frozenset[str]) -> None:
        self._names = headers
        self._kept = [(name, name.encode()) for name in headers]
        self._wanted = _FRAMING.union(raw for _, raw in self._kept)

    def feed(self, data: bytes) -> bool:
        """Read ``data`` and return whether the answer is complete. Raises `Unanswered` for bytes that are no answer."""
        # This bounds what no callback sees: chunk headers, and a head that never ends.
        if self._received > (HEAD_LIMIT + self._max_body if self._head_done else HEAD_LIMIT):
            raise self._too_large()
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, Unanswered):
                raise error.__context__ from None
            raise
        except httptools.HttpParserError as error:
            raise self._no_answer(f"is malformed: {error}") from error
        except httptools.HttpParserUpgrade as error:
            raise self._no_answer("changes the protocol") from error
        return self.complete

    def end(self) -> bool:
        """Return whether the answer is complete now that the peer has closed its side in good order (RFC 9112 §8)."""
        self.complete = self.complete or self._until_eof
        return self.complete

    def answer(self) -> WireAnswer:
        """Return the complete answer with its body decoded. Raises `Unanswered` if the body does not decode."""
        content_type = self._headers.get(b"content-type", b"").decode("latin-1")
        found = [(name, self._headers[raw].decode("latin-1")) for name, raw in self._kept if raw in self._headers]
        body = b"".join(self._body)
        self.let_go()
        self._body.clear()  # otherwise an idle connection would keep the last export in memory
        return WireAnswer(self._status, content_type, self._decoded(body), tuple(found))

    def let_go(self) -> None:
        """Stop counting the bytes that have arrived: they were handed over, or nobody wants them."""
        if self._held is not None and self._counted:
            self._held.gone(self._counted)
            self._counted = 0

    def on_message_begin(self) -> None:
        """Refuse a second answer to one call. Called by httptools at the first byte of an answer."""
        if self.complete:
            raise self._no_answer("is followed by another that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header that is needed. Called by httptools for each header and trailer."""
        self._head_size += len(name) + len(value) + 4
        if self._head_size > HEAD_LIMIT:
            raise self._no_answer("has too large a head")
        name = name.lower()
        if name in self._wanted and not self._head_done:
            before = self._headers.get(name)
            self._headers[name] = value if before is None else before + b", " + value

    def on_headers_complete(self) -> None:
        """Judge status and framing. Called by httptools when the head is complete."""
        self._status = self._parser.get_status_code()
        if self._status < 200:  # an interim answer; the final one follows (RFC 9110 §15.2)
            self._headers.clear()
            return
        self._head_done = True
        coding = self._headers.get(b"transfer-encoding")
        length = self._headers.get(b"content-length")
        if coding is not None and coding.lower() != b"chunked":
            raise self._no_answer("has a transfer coding that we did not ask for")
        if length is not None and int(length) > self._max_body:
            raise self._too_large()
        if self._parser.get_http_version() not in {"1.1", "1.0"}:
            raise self._no_answer("is not HTTP/1")
        self._until_eof = coding is None and length is None
        self.keep_alive = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body, within the bounds. Called by httptools."""
        self._body_size += len(data)
        if self._body_size > self._max_body:
            raise self._too_large()
        if self._held is not None and self._max_body > COUNTED_FROM:
            if not self._held.arrives(len(data)):
                raise TooLarge("there is no room for more answers in memory", where=self._where, hint=_LESS)
            self._counted += len(data)
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Note that the answer is complete. Called by httptools at its last byte."""
        self.complete = self._head_done

    def _decoded(self, body: bytes) -> bytes:
        coding = self._headers.get(b"content-encoding", b"identity").lower()
        if coding == b"identity" or not body:
            return body
        if coding not in _WINDOW_BITS:
            raise self._no_answer("has a content coding that we did not ask for")
        inflate = zlib.decompressobj(_WINDOW_BITS[coding])
        try:
            plain = inflate.decompress(body, self._max_body)
        except zlib.error as error:
            raise self._no_answer(f"does not decompress: {error}") from error
        if not inflate.eof or inflate.unused_data:
            raise self._no_answer("does not decompress: it is too large, cut short, or goes on after its end")
        return plain

    def _too_large(self) -> TooLarge:
        kib = self._max_body // 1024
        bound = f"{kib // 1024} MiB" if kib >= 1024 else f"{kib} KiB"
        return TooLarge(f"the answer has more than {bound}", where=self._where, hint=_LESS)

    def _no_answer(self, why: str) -> Unanswered:
        return Unanswered(f"the answer {why}", where=self._where, hint="look the call's outcome up before repeating it")


class Connection(asyncio.Protocol):
    """A connection to the venue that is or was open."""

    def __init__(self, origin: Origin, sock: socket.socket, max_body: int, held: HeldAnswers | None) -> None:
        self._where = str(origin)
        self._tls = origin.tls
        self._arrived = select.poll()
        self._arrived.register(sock, select.POLLIN)
        self._reader = AnswerReader(self._where, max_body, held)
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[WireAnswer] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self.idle_since = 0.0

    @property
    def open(self) -> bool:
        """Whether it is connected, as far as the event loop knows."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def reusable(self) -> bool:
        """Whether its last exchange ended well, so that another may follow."""
        return self.open and self._reader.complete

    def quiet(self) -> bool:
        """Ask the kernel whether the connection is open and nothing has arrived.

        The event loop may not have noticed yet that the peer closed, or that it sent bytes before being asked, which
        would pass for the next call's answer.
        """
        return self.open and not self._arrived.poll(0)

    def exchange(self, message: bytes, deadline: float, request: WireRequest) -> asyncio.Future[WireAnswer]:
        """Send ``message``, the bytes of ``request``, in one write and return its answer, or `Unanswered`.

        The connection must be open.
        """
        assert self._transport is not None  # noqa: S101 - the pool asks `open` first
        loop = asyncio.get_running_loop()
        waiting = self._waiting = loop.create_future()
        self._deadline = deadline
        if self._timer is None or self._timer.when() > deadline:
            self._arm(loop)
        self._reader.expect(request.most_answer, request.answer_headers)
        self._transport.write(message)
        return waiting

    def close(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport. Called by asyncio once connected, after TLS's handshake."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's class is another with the same methods

    def data_received(self, data: bytes) -> None:
        """Read bytes of an answer; close if nobody waits for one. Called by asyncio."""
        if self._waiting is None:
            self.close()
            return
        try:
            if self._reader.feed(data):
                self._answered()
        except Unanswered as error:
            self._fail(error)

    def eof_received(self) -> None:
        """Complete an answer that ends with its connection. Called by asyncio, which then closes our side.

        Under TLS this completes no answer: asyncio does not tell a proper end from a cut on the way (RFC 8446 §6.1),
        so an answer without a length may not be whole.
        """
        if self._waiting is not None and not self._tls and self._reader.end():
            try:
                self._answered()
            except Unanswered as error:
                self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the call that waits. Called by asyncio when the connection is closed or broken."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._lose(f"the connection broke before the answer ({exc})" if exc else "the connection ended early")

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        """Fail a call whose time is over, else set the timer again.

        One timer serves many exchanges: a new one for each would cost as much as reading the answer.
        """
        self._timer = None
        if self._waiting is None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._deadline:
            self._arm(loop)
        else:
            self._lose("the answer did not come in time")

    def _answered(self) -> None:
        answer = self._reader.answer()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
        if not self._reader.keep_alive:
            self.close()

    def _lose(self, what: str) -> None:
        self._fail(Unanswered(what, where=self._where, hint=_UNKNOWN))

    def _fail(self, error: Unanswered) -> None:
        self._reader.let_go()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)
        self.close()
