"""Reads answers of the venue. What is not complete and well-formed in every respect is no answer.

An answer that two readers could understand differently may hide whether an order was placed, so framing that is
ambiguous (RFC 9112 §6.3), unknown encodings and bytes after the end are refused rather than guessed at.
"""

from __future__ import annotations

import zlib

import httptools

from signer.errors import TooLarge, Unanswered
from signer.model import WireAnswer
from signer.upstream.held import COUNTED_FROM, HeldAnswers

HEAD_LIMIT = 64 * 1024
"""Most bytes of status line and headers, interim answers and trailers included."""

_WANTED = frozenset({b"content-length", b"content-type", b"content-encoding", b"transfer-encoding", b"retry-after"})
_WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
"""zlib's ``wbits`` for each content coding that we undo (RFC 9110 §8.4.1)."""


_LESS = "ask for less at a time, or later"


class AnswerReader:
    """Reads the answers of one connection, one after the other, as their bytes arrive."""

    def __init__(self, where: str, max_body: int, held: HeldAnswers | None = None) -> None:
        self._where = where
        self._limit = max_body
        self._held = held
        self._counted = 0
        self._parser = httptools.HttpResponseParser(self)
        self.expect(max_body)

    def expect(self, limit: int) -> None:
        """Begin with the next answer, whose body may have ``limit`` bytes."""
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

    def feed(self, data: bytes) -> bool:
        """Take bytes as they arrived; whether the answer is complete. Raises `Unanswered` if it is none."""
        # Counts what no callback shows: chunk headers, and a head that never ends.
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
        """The peer closed its side in good order; whether that completes the answer (RFC 9112 §8)."""
        self.complete = self.complete or self._until_eof
        return self.complete

    def answer(self) -> WireAnswer:
        """The complete answer, its body decoded. Raises `Unanswered` if it does not decode."""
        content_type = self._headers.get(b"content-type", b"").decode("latin-1")
        retry_after = self._headers.get(b"retry-after", b"").decode("latin-1")
        body = b"".join(self._body)
        self.let_go()
        self._body.clear()  # an idle connection must not keep the last export in memory
        return WireAnswer(self._status, content_type, self._decoded(body), retry_after)

    def let_go(self) -> None:
        """What has arrived so far is counted no more: it was handed over, or nobody wants it."""
        if self._held is not None and self._counted:
            self._held.gone(self._counted)
            self._counted = 0

    def on_message_begin(self) -> None:
        """httptools: the first byte of an answer."""
        if self.complete:
            raise self._no_answer("is followed by another that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one header, or a trailer."""
        self._head_size += len(name) + len(value) + 4
        if self._head_size > HEAD_LIMIT:
            raise self._no_answer("has too large a head")
        name = name.lower()
        if name in _WANTED and not self._head_done:
            before = self._headers.get(name)
            self._headers[name] = value if before is None else before + b", " + value

    def on_headers_complete(self) -> None:
        """httptools: the head is complete."""
        self._status = self._parser.get_status_code()
        if self._status < 200:  # interim: the answer comes after it (RFC 9110 §15.2)
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
        """httptools: a piece of the body."""
        self._body_size += len(data)
        if self._body_size > self._max_body:
            raise self._too_large()
        if self._held is not None and self._max_body > COUNTED_FROM:
            if not self._held.arrives(len(data)):
                raise TooLarge("there is no room for more answers in memory", where=self._where, hint=_LESS)
            self._counted += len(data)
        self._body.append(data)

    def on_message_complete(self) -> None:
        """httptools: the answer's last byte."""
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
