"""Takes connections from one listener, and closes those beyond a share at once.

asyncio's own servers would make a transport, and begin a TLS handshake, for each connection before any check.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Final, final

from signer.model.one_source import one_source
from signer.serving.edge import UNIX, Sources
from signer.serving.shares import ConnectionPlace, ConnectionShares

AT_ONCE: Final = 64
"""Connections taken in one turn of the event loop, so that a flood does not block everything else."""
PAUSE_S: Final = 0.2
"""How long the listener accepts nothing after the system had no descriptor or memory for a connection."""
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_CREDENTIALS = struct.Struct("3i")
"""Linux's ``struct ucred``: process, user, group (unix(7))."""

Protocols = Callable[[ConnectionPlace], asyncio.Protocol]
Refused = Callable[[str, str], None]
"""Called with the bound that a connection exceeded, and its source."""


@final
class Acceptor:
    """Listens at one socket until it is stopped."""

    def __init__(
        self,
        sock: socket.socket,
        number: int,
        shares: ConnectionShares,
        protocols: Protocols,
        *,
        sources: Sources,
        on_refused: Refused,
        tls: ssl.SSLContext | None = None,
        handshake_s: float = 10.0,
    ) -> None:
        self._sock = sock
        self._number = number
        self._shares = shares
        self._protocols = protocols
        self._sources = sources
        self._on_refused = on_refused
        self._tls = tls
        self._handshake_s = handshake_s
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()
        self._stopped = False
        sock.setblocking(False)
        self._listen()

    def stop(self) -> None:
        """Accept no more connections, and end the handshakes under way."""
        self._stopped = True
        self._loop.remove_reader(self._sock)
        for task in self._beginning:
            task.cancel()

    def _listen(self) -> None:
        if not self._stopped:
            self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connected, address = self._sock.accept()
            except OSError as error:  # none waits, or one went away as it was taken
                if error.errno in _NO_ROOM:
                    self._on_refused("descriptors", "")
                    self._loop.remove_reader(self._sock)
                    self._loop.call_later(PAUSE_S, self._listen)
                return
            connected.setblocking(False)
            self._take(connected, self._source(connected, address))

    def _source(self, connected: socket.socket, address: object) -> str | None:
        """Return the source that a connection is counted for; None for a reverse proxy, which serves many."""
        peer = str(address[0]) if isinstance(address, tuple) else UNIX
        if self._sources.trusts(peer.removeprefix("::ffff:")):
            return None
        if peer != UNIX:
            return one_source(peer)
        _, uid, _ = _CREDENTIALS.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return f"{UNIX} user {uid}"

    def _take(self, connected: socket.socket, source: str | None) -> None:
        bound = self._shares.refusal(self._number, source)
        if bound:
            connected.close()
            self._on_refused(bound, source or "a proxy")
            return
        task = self._loop.create_task(self._begin(connected, self._shares.enter(self._number, source)))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _begin(self, connected: socket.socket, place: ConnectionPlace) -> None:
        """Give the connection to its own protocol, which frees the place at its end."""
        in_time: dict[str, float] = {}
        if self._tls is not None:
            in_time = {"ssl_handshake_timeout": self._handshake_s, "ssl_shutdown_timeout": 1.0}
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocols(place), connected, ssl=self._tls, **in_time
            )
        except OSError:  # a handshake that failed or took too long (ssl.SSLError and TimeoutError are some)
            connected.close()
            place.leave()
        except BaseException:
            connected.close()
            place.leave()
            raise
