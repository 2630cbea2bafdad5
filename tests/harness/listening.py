"""The gateway's own listener and protocol in front of an application of a test, in the test's event loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.config import Config

from signer.serving.accepting import Acceptor
from signer.serving.edge import NO_PROXIES
from signer.serving.protocol import GatewayProtocol
from signer.serving.shares import ConnectionShares


@asynccontextmanager
async def listening(app: Any, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, int]]:
    """The address of a listener of the gateway's own kind, in front of ``app``, which is like `GatewayApp`."""
    app.answers = {"kraken": app.answer}
    config = Config()
    config.set("http_parser", "fast")
    ASGIProtocol._check_h1c_protocol_available()
    loop, sock = asyncio.get_running_loop(), socket.create_server(("127.0.0.1", 0))
    worker = SimpleNamespace(nr_conns=0, loop=loop, cfg=config, log=None, asgi=app, alive=True, connections=set())
    acceptor = Acceptor(
        sock,
        0,
        ConnectionShares(100, 100, 1),
        lambda place: GatewayProtocol(worker, place, "kraken"),
        sources=NO_PROXIES,
        on_refused=lambda _bound, _source: pytest.fail("nobody is refused"),
        tls=tls,
    )
    yield sock.getsockname()
    acceptor.stop()
    sock.close()
    for connection in tuple(worker.connections):
        connection.transport.abort()
    while worker.connections:
        await asyncio.sleep(0)
