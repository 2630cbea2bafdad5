"""Sends calls to the venue (step 6 of the straight line), over a pool of connections to one fixed origin.

It follows no redirects, takes no proxy from the environment and sends nothing twice. It owns its sockets, because only
the owner knows whether an order's bytes left (*unanswered*: the outcome is unknown) or not (*not sent*).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import final

from signer.errors import ExportUnderWay, NotSent
from signer.model import WireAnswer, WireRequest
from signer.upstream.connecting import connect
from signer.upstream.connection import Connection
from signer.upstream.held import HeldAnswers
from signer.upstream.origin import Origin, tls_context
from signer.upstream.own_addresses import OwnAddresses

__all__ = ["MOST_UNDER_WAY", "NOWHERE", "Upstream"]

MAX_BODY = 64 * 1024 * 1024
"""Most bytes of one answer's body, before and after decompression. Archives of RetrieveExport are the largest."""

LARGE = 4 * 1024 * 1024
"""Bytes. Answers that may be larger are fetched one at a time."""

MOST_UNDER_WAY = 128
"""Most calls to one origin at a time. Each has a connection of its own."""

NOWHERE = OwnAddresses()
"""The own addresses of a process that does not listen."""

_START = re.compile(r"(?:GET|POST|PUT|PATCH|DELETE) /[!-~]*")
"""Matches method and target (RFC 9112 §3)."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Matches a header's name (RFC 9110 §5.1)."""
_PRINTABLE = bytes(range(0x20, 0x7F))

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests state their length even if they have no body (RFC 9110 §8.6)."""

_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect", "upgrade"})
"""Headers that frame and route the request. Only this class sets them."""


@lru_cache(maxsize=256)
def _is_free(name: str) -> bool:
    """Return whether ``name`` is a header's name, and not one that only this class sets."""
    return _NAME.fullmatch(name) is not None and name.lower() not in _OURS


@final
class UpstreamPool:
    """Keeps a pool of connections to one origin (`signer.contracts.Upstream`)."""

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
        """Make a pool for ``origin`` without connecting yet. Raises `ConfigError` for an origin that cannot be used.

        Connecting may take ``connect_s``. A connection that was unused for ``idle_s`` is closed; at most ``keep``
        wait for the next call. At most ``limit`` calls are under way. ``addresses`` replace the resolver's answer, and
        no call is sent to an address of ``own``. ``held`` counts the bytes of answers.
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
        """Send ``request`` once and return the answer.

        ``deadline`` is in seconds of the event loop's clock. Raises `NotSent` if no byte left, and `Unanswered` if
        bytes left but no whole answer came. A caller that cancels does not learn the outcome.
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
            loop = asyncio.get_running_loop()
            connection = self._kept(loop.time()) or await self._fresh(deadline)
            try:
                if loop.time() >= deadline:
                    raise self._not_sent("the time for the call was over before it could be sent", "try again")
                return await connection.exchange(message, deadline, request)
            finally:
                self._put_back(connection, loop.time())
        finally:
            self._in_use -= 1
            if large:
                self._large = False

    def describe(self) -> str:
        """Say how many calls are under way, and how many connections wait for one."""
        return f"{self._in_use} calls under way, {len(self._idle)} idle connections"

    def close(self) -> None:
        """Close idle connections now, and the others as soon as their answers have come."""
        self._keep = 0
        while self._idle:
            self._idle.pop().close()

    def _kept(self, now: float) -> Connection | None:
        """Take the connection used last that is still good, or None."""
        oldest_use = now - self._idle_s
        while self._idle and self._idle[0].idle_since < oldest_use:
            self._idle.pop(0).close()
        while self._idle:
            connection = self._idle.pop()
            if connection.quiet():
                return connection
            connection.close()
        return None

    def _put_back(self, connection: Connection, now: float) -> None:
        """Keep the connection for the next call, or close it if its last answer did not end well."""
        if not connection.reusable:
            connection.close()
            return
        connection.idle_since = now
        self._idle.append(connection)
        if len(self._idle) > self._keep:
            self._idle.pop(0).close()

    async def _fresh(self, deadline: float) -> Connection:
        until = min(deadline, asyncio.get_running_loop().time() + self._connect_s)
        connection = await connect(self.origin, self._tls, until, self._max_body, self._own, self._held)
        # Under TLS the kernel may already hold session tickets, which are no answer (RFC 8446 §4.6.1).
        if not (connection.open if self.origin.tls else connection.quiet()):
            connection.close()
            raise self._not_sent("it closed the connection or spoke before it was asked", "check the account's origin")
        return connection

    def _message(self, request: WireRequest) -> bytes:
        """Write head and body as one piece. Raises `NotSent` for a head that a reader could split in another way."""
        start = f"{request.method} {request.target}"
        headers = "".join([f"{name}: {value}\r\n" for name, value in request.headers])
        framed = request.body or request.method in _WITH_BODY
        length = f"Content-Length: {len(request.body)}\r\n" if framed else ""
        lines = f"{start} HTTP/1.1\r\nHost: {self._authority}\r\n{headers}Accept-Encoding: identity\r\n{length}\r\n"
        head = lines.encode("utf-8", "surrogatepass")
        names = [name for name, _ in request.headers]
        # Without printable ASCII, as many line ends are left as lines were written, and nothing else.
        whole = head.translate(None, _PRINTABLE) == b"\r\n" * (len(names) + (5 if framed else 4))
        if not whole or not _START.fullmatch(start) or not all(map(_is_free, names)):
            raise self._not_sent("the request's head is not plain HTTP", "report this as a defect")
        return head + request.body

    def _not_sent(self, what: str, hint: str) -> NotSent:
        return NotSent(what, where=str(self.origin), hint=hint)
