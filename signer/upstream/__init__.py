"""Step 7's way out: our own connections to one fixed origin.

No redirects are followed, no proxy is taken from the environment, nothing is sent twice. The socket is ours because
only its owner knows whether an order's bytes left (*unanswered*: the outcome is unknown) or not (*not sent*).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import final

from signer.errors import ExportUnderWay, NotSent
from signer.model import WireAnswer, WireRequest
from signer.upstream.connecting import connect
from signer.upstream.connection import Connection
from signer.upstream.held import HeldAnswers
from signer.upstream.loop import OwnAddresses
from signer.upstream.origin import Origin, tls_context

__all__ = ["MOST_UNDER_WAY", "NOWHERE", "Upstream"]

MAX_BODY = 64 * 1024 * 1024
"""Most bytes of one answer's body, before and after decompression: RetrieveExport's archives are the largest."""

LARGE = 4 * 1024 * 1024
"""Bytes; of answers that may be larger, one at a time is fetched."""

MOST_UNDER_WAY = 128
"""Most calls under way to one origin, each on a connection of its own."""

NOWHERE = OwnAddresses()
"""For who does not listen."""

_HEAD = re.compile(
    rb"(?:GET|POST) /[!-~]* HTTP/1\.1\r\n"
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [ -~]*\r\n)+\r\n"
)
"""A request head of whole lines of printable ASCII (RFC 9112 §3, §5)."""

_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect", "upgrade"})
"""Headers that say how the request is framed and where it goes: nobody sets them but us."""


@final
class UpstreamPool:
    """A pool of connections to one origin (`signer.contracts.Upstream`)."""

    def __init__(
        self,
        origin: Origin,
        tls: ssl.SSLContext | None,
        *,
        own: OwnAddresses = NOWHERE,
        connect_s: float = 5.0,
        idle_s: float = 10.0,
        keep: int = 16,
        limit: int = MOST_UNDER_WAY,
        max_body: int = MAX_BODY,
        held: HeldAnswers | None = None,
    ) -> None:
        self.origin = origin
        self._authority = origin.authority
        self._own = own
        self._tls = tls
        self._connect_s = connect_s
        self._idle_s = idle_s
        self._keep = keep
        self._limit = limit
        self._max_body = max_body
        self._held = held
        self._large = False
        self._idle: list[Connection] = []
        self._in_use = 0

    @classmethod
    def open(
        cls,
        origin: str,
        *,
        addresses: Sequence[str] = (),
        own: OwnAddresses = NOWHERE,
        ca_file: Path | None = None,
        connect_s: float = 5.0,
        idle_s: float = 10.0,
        keep: int = 16,
        limit: int = MOST_UNDER_WAY,
        max_body: int = MAX_BODY,
        held: HeldAnswers | None = None,
    ) -> UpstreamPool:
        """The way to ``origin``; connects when first needed. Raises `ConfigError` for an origin that cannot be used.

        A connection may take ``connect_s`` to be made, and is not used again after ``idle_s`` unused; ``keep`` of
        them wait for the next call, and ``limit`` calls may be under way. ``addresses`` stand in for the resolver's
        answer, and no call is sent to an address of ``own``. What arrives is counted in ``held``.
        """
        parsed = Origin.parse(origin, addresses)
        tls = tls_context(ca_file) if parsed.tls else None
        return cls(
            parsed,
            tls,
            own=own,
            connect_s=connect_s,
            idle_s=idle_s,
            keep=keep,
            limit=limit,
            max_body=max_body,
            held=held,
        )

    async def send(self, request: WireRequest, deadline: float) -> WireAnswer:
        """One attempt. Raises `NotSent` (no byte left) or `Unanswered` (bytes left, no whole answer).

        ``deadline`` is in the event loop's time. Whoever cancels this call does not learn the outcome.
        """
        message = self._message(request)
        if self._in_use >= self._limit:
            raise self._not_sent(f"{self._limit} calls are under way already", "try again later")
        large = request.most_answer > LARGE
        if large and self._large:
            raise ExportUnderWay("another export is being fetched", where=str(self.origin), hint="try again later")
        self._in_use += 1
        self._large = self._large or large
        try:
            connection = self._kept() or await self._fresh(deadline)
            return await self._exchange(connection, message, deadline, request.most_answer)
        finally:
            self._in_use -= 1
            if large:
                self._large = False

    def picture(self) -> str:
        """How many calls are under way, and how many connections wait for one."""
        return f"{self._in_use} calls under way, {len(self._idle)} idle connections"

    def close(self) -> None:
        """Close the connections that no call is using, and the others as soon as their answers are there."""
        self._keep = 0
        while self._idle:
            self._idle.pop().close()

    async def _exchange(self, connection: Connection, message: bytes, deadline: float, limit: int) -> WireAnswer:
        loop = asyncio.get_running_loop()
        try:
            if loop.time() >= deadline:
                raise self._not_sent("the time for the call was over before it could be sent", "try again")
            return await connection.exchange(message, deadline, limit)
        finally:
            if connection.reusable:
                self._put_back(connection, loop.time())
            else:
                connection.close()

    def _kept(self) -> Connection | None:
        """The connection used last that is still good, or None."""
        oldest_use = asyncio.get_running_loop().time() - self._idle_s
        while self._idle and self._idle[0].idle_since < oldest_use:
            self._idle.pop(0).close()
        while self._idle:
            connection = self._idle.pop()
            if connection.quiet():
                return connection
            connection.close()
        return None

    def _put_back(self, connection: Connection, now: float) -> None:
        connection.idle_since = now
        self._idle.append(connection)
        if len(self._idle) > self._keep:
            self._idle.pop(0).close()

    async def _fresh(self, deadline: float) -> Connection:
        until = min(deadline, asyncio.get_running_loop().time() + self._connect_s)
        connection = await connect(self.origin, self._tls, until, self._max_body, self._own, self._held)
        # Under TLS the kernel may hold session tickets now, which are no answer (RFC 8446 §4.6.1).
        if not (connection.open if self.origin.tls else connection.quiet()):
            connection.close()
            raise self._not_sent("it closed the connection or spoke before it was asked", "check the account's origin")
        return connection

    def _message(self, request: WireRequest) -> bytes:
        """Head and body as one piece. Raises `NotSent` for a line break, or anything else that could frame it anew."""
        start = f"{request.method} {request.target} HTTP/1.1\r\nHost: {self._authority}\r\n"
        headers = "".join([f"{name}: {value}\r\n" for name, value in request.headers])
        framed = request.body or request.method == "POST"  # RFC 9110 §8.6
        length = f"Content-Length: {len(request.body)}\r\n" if framed else ""
        head = f"{start}{headers}Accept-Encoding: identity\r\n{length}\r\n".encode("utf-8", "surrogatepass")
        lines = len(request.headers) + (5 if framed else 4)
        framed_anew = head.count(b"\n") != lines or not _OURS.isdisjoint([name.lower() for name, _ in request.headers])
        if framed_anew or _HEAD.fullmatch(head) is None:
            raise self._not_sent("the request's head is not plain HTTP", "report this as a defect")
        return head + request.body

    def _not_sent(self, what: str, hint: str) -> NotSent:
        return NotSent(what, where=str(self.origin), hint=hint)
