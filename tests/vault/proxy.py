"""A way to a server that can be made as slow as one likes: nothing that it holds back arrives until it is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Thread
from urllib.parse import urlsplit


class Proxy:
    """Passes TCP on to ``address``, TLS and all, while ``open`` is set."""

    def __init__(self, address: str) -> None:
        self._target = urlsplit(address)
        self.open = asyncio.Event()
        self.open.set()
        self.address = ""
        self.requests = 0
        """Pieces of a client's bytes that arrived while nothing was let through: over TLS, one for each request."""
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, address: str) -> AsyncIterator[Proxy]:
        """Run one for the length of a block."""
        made = cls(address)
        server = await asyncio.start_server(made._connected, "127.0.0.1", 0)
        made.address = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield made
        finally:
            server.close()
            for task in made._tasks:
                task.cancel()
            await asyncio.gather(*made._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onwards = await asyncio.open_connection(self._target.hostname, self._target.port)
        for source, sink in ((reader, onwards), (there, writer)):
            self._tasks.add(asyncio.get_running_loop().create_task(self._pass(source, sink)))

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                self.requests += not self.open.is_set()
                await self.open.wait()
                sink.write(data)
        except OSError:
            return
        finally:
            sink.close()


class Valve:
    """A `Proxy` on a thread of its own, for tests that have no event loop."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy = proxy
        self._loop = loop
        self.address = proxy.address

    @classmethod
    @contextmanager
    def to(cls, address: str) -> Iterator[Valve]:
        """Run one for the length of a block."""
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            opened = Proxy.to(address)
            proxy = loop.run_until_complete(opened.__aenter__())
            thread = Thread(target=loop.run_forever)
            thread.start()
            try:
                yield cls(proxy, loop)
            finally:
                loop.call_soon_threadsafe(loop.stop)
                thread.join()
                loop.run_until_complete(opened.__aexit__(None, None, None))

    @property
    def waiting(self) -> int:
        """`Proxy.requests`: how many were held back so far."""
        return self._proxy.requests

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Hold everything back for the length of a block; it arrives afterwards."""
        self._loop.call_soon_threadsafe(self._proxy.open.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._proxy.open.set)
