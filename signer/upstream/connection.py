"""One connection to the origin, one exchange at a time, and the exact line between *not sent* and *unanswered*.

Only the owner of the socket can draw that line: it is the call of ``transport.write``. Before it no byte was handed
over; from it on the venue may have acted, whatever happens next.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from typing import Any, cast

from signer.errors import NotSent, Unanswered
from signer.model import WireAnswer
from signer.upstream.answer import AnswerReader
from signer.upstream.held import HeldAnswers
from signer.upstream.loop import WHAT, OwnAddresses, hint_of
from signer.upstream.origin import Origin, is_loopback

_UNKNOWN = "look the call's outcome up before repeating it"


class Connection(asyncio.Protocol):
    """A connection that is open, or was."""

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
        """Whether it is connected, as far as the event loop has heard."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def reusable(self) -> bool:
        """Whether its last exchange ended well and another may follow."""
        return self.open and self._reader.complete

    def quiet(self) -> bool:
        """Whether it is open and nothing has arrived, asked of the kernel itself.

        The event loop may not have read yet that the peer closed, or that it sent bytes before being asked: an
        attempt to have them taken for the next call's answer.
        """
        return self.open and not self._arrived.poll(0)

    def exchange(self, message: bytes, deadline: float, limit: int) -> asyncio.Future[WireAnswer]:
        """Hand ``message`` over in one write; the answer of ``limit`` bytes, or `Unanswered`. Only if it is open."""
        assert self._transport is not None  # noqa: S101 - the pool asks `open` first
        loop = asyncio.get_running_loop()
        waiting = self._waiting = loop.create_future()
        self._deadline = deadline
        if self._timer is None or self._timer.when() > deadline:
            self._arm(loop)
        self._reader.expect(limit)
        self._transport.write(message)
        return waiting

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected, and TLS is up."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of an answer, or bytes that nobody asked for."""
        if self._waiting is None:
            self.close()
            return
        try:
            if self._reader.feed(data):
                self._answered()
        except Unanswered as error:
            self._fail(error)

    def eof_received(self) -> None:
        """asyncio: the peer closed its side. asyncio closes ours.

        Under TLS that ends no answer: asyncio does not tell a proper end from a cut by somebody on the way (RFC 8446
        §6.1), so an answer without a length cannot be known to be whole.
        """
        if self._waiting is not None and not self._tls and self._reader.end():
            try:
                self._answered()
            except Unanswered as error:
                self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: closed or broken."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._lose(f"the connection broke before the answer ({exc})" if exc else "the connection ended early")

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        """One timer outlives many exchanges: to make and cancel one for each costs as much as reading the answer."""
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


async def connect(
    origin: Origin,
    tls: ssl.SSLContext | None,
    deadline: float,
    max_body: int,
    own: OwnAddresses,
    held: HeldAnswers | None = None,
) -> Connection:
    """Connect to ``origin``, trying its addresses in their order. Raises `NotSent`, also if one is our ``own``."""
    try:
        async with asyncio.timeout_at(deadline):
            addresses = await _addresses(origin, own)
            return await _connect_any(origin, addresses, tls, deadline, max_body, held)
    except ssl.SSLCertVerificationError as error:
        what = f"its certificate does not prove that it is {origin.host} ({error.verify_message})"
        hint = "check the account's origin and this machine's clock and CA certificates"
        raise NotSent(what, where=str(origin), hint=hint) from error
    except TimeoutError as error:
        raise NotSent("no connection in time", where=str(origin), hint="check the network") from error
    except OSError as error:
        what = f"no connection ({error.strerror or error})"
        raise NotSent(what, where=str(origin), hint="check the network and the account's origin") from error


async def _addresses(origin: Origin, own: OwnAddresses) -> list[Any]:
    loop = asyncio.get_running_loop()
    hosts = origin.addresses or (origin.host,)
    found = [each for host in hosts for each in await loop.getaddrinfo(host, origin.port, type=socket.SOCK_STREAM)]
    if any(own.include(str(each[4][0]), origin.port) for each in found):
        raise NotSent(WHAT, where=str(origin), hint=hint_of(origin))
    # Only https proves who answers; for plain HTTP the name `localhost` may not lead anywhere else.
    return [each for each in found if origin.tls or is_loopback(str(each[4][0]))]


async def _connect_any(
    origin: Origin,
    addresses: list[Any],
    tls: ssl.SSLContext | None,
    deadline: float,
    max_body: int,
    held: HeldAnswers | None,
) -> Connection:
    loop = asyncio.get_running_loop()
    failure = OSError("it has no usable address")
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        # An address that swallows packets leaves the others their share of the time.
        share = (deadline - loop.time()) / (len(addresses) - position)
        try:
            async with asyncio.timeout(share):
                sock = await _connected(socket.socket(family, kind, protocol), address)
                connection = Connection(origin, sock, max_body, held)
                name = origin.host if tls is not None else None
                await loop.create_connection(lambda made=connection: made, sock=sock, ssl=tls, server_hostname=name)
                return connection
        except OSError as error:
            failure = error
    raise failure


async def _connected(sock: socket.socket, address: Any) -> socket.socket:
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
