"""Connects to the venue: tries its addresses in turn, but never an address of this gateway."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

from signer.errors import NotSent
from signer.upstream.connection import Connection
from signer.upstream.held import HeldAnswers
from signer.upstream.origin import Origin, is_loopback
from signer.upstream.own_addresses import WHAT, OwnAddresses, hint_of


async def connect(
    origin: Origin,
    tls: ssl.SSLContext | None,
    deadline: float,
    max_body: int,
    own: OwnAddresses,
    held: HeldAnswers | None = None,
) -> Connection:
    """Connect to the first address of ``origin`` that answers. Raises `NotSent`, also if an address is our ``own``."""
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
    # Only https proves who answers. Under plain HTTP the name `localhost` must mean this machine.
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
        # An address that swallows packets must leave time for the others.
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
