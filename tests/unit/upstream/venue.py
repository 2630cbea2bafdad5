"""A venue of a few lines that answers what a test tells it, byte for byte, and remembers every byte it got."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass, field
from typing import Literal

from signer.model import WireAnswer, WireRequest
from signer.upstream import UpstreamPool

ORDER = WireRequest("POST", "/0/private/AddOrder", (("API-Key", "key"),), b"nonce=1&volume=1")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True)
class Play:
    """What to do once a whole request is there."""

    answer: bytes = OK
    then: Literal["stay", "close", "reset"] = "stay"


@dataclass
class Venue:
    """Plays one `Play` per request, over all connections; then it says nothing more."""

    tls: ssl.SSLContext | None = None
    plays: list[Play] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    """The bytes of each connection, in the order they were accepted."""
    requests: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """Released once per whole request that arrived."""
    ended: int = 0
    """How many connections the other side ended."""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def start(self) -> None:
        """Listen on a free port of this machine."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop all connections."""
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()
        await self._server.wait_closed()

    @property
    def origin(self) -> str:
        """Return where it listens."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def say_now(self, data: bytes) -> None:
        """Put bytes on the first connection before the event loop can look at it again."""
        os.write(self.writers[0].get_extra_info("socket").fileno(), data)

    def shut_now(self) -> None:
        """End the first connection before the event loop can look at it again."""
        with socket.socket(fileno=os.dup(self.writers[0].get_extra_info("socket").fileno())) as own:
            own.shutdown(socket.SHUT_RDWR)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.received)
        self.received.append(b"")
        self.writers.append(writer)
        unread = b""
        while data := await self._read(reader):
            self.received[number] += data
            unread += data
            if _whole(unread):
                unread = b""
                await self._play(writer)
                self.requests.release()
        self.ended += 1
        writer.close()

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.read(65536)
        except ConnectionError:
            return b""

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        if not self.plays:
            return
        play = self.plays.pop(0)
        writer.write(play.answer)
        if play.then == "reset":
            writer.transport.abort()
        elif play.then == "close":
            writer.close()


def _whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    announced = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return bool(end) and len(body) >= int(announced or 0)


async def send(upstream: UpstreamPool, request: WireRequest = ORDER, within_s: float = 5.0) -> WireAnswer:
    """Make one attempt that may take ``within_s``."""
    return await upstream.send(request, asyncio.get_running_loop().time() + within_s)
