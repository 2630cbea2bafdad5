"""gunicorn's HTTP/1.1 protocol, with the bounds and the strictness that it lacks (tests/security/test_smuggling.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol

from signer.app.asgi import CERTIFIED, Scope

KEEP_ALIVE_S = 75.0
"""How long a connection may wait for its next request. gunicorn's own timer is cancelled as soon as it is set."""


class GatewayProtocol(ASGIProtocol):  # type: ignore[misc]  # gunicorn has no types
    """One connection. HTTP/1 only: an ``Upgrade`` to anything else is ignored, as RFC 9110 §7.8 allows."""

    _behind = b""
    """What the client sent behind the request that is being answered."""
    _ends = False
    """Whether the answer says ``Connection: close``."""
    _certified: str | None = None
    """The name in the client's certificate."""
    _watch: asyncio.TimerHandle | None = None
    _task: asyncio.Task[None] | None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take the connection, unless there are too many."""
        certificate = transport.get_extra_info("peercert")
        self._certified = _common_name(certificate) if certificate else None
        super().connection_made(transport)
        self.worker.connections.add(self)
        self._waits_since: float = self.worker.loop.time()
        if self.worker.nr_conns > self.cfg.worker_connections:
            transport.abort()
        else:
            self._watch_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget an idle connection at once; a request that is being answered runs to its end."""
        self.worker.connections.discard(self)
        if self._watch is not None:
            self._watch.cancel()
        if self._current_request is None and self._task is not None:
            self._task.cancel()
            self._task = None  # gunicorn would keep it for the grace period: a flood of connections would fill memory
        super().connection_lost(exc)

    def close_if_idle(self) -> None:
        """The worker stops: no further request is taken here. One that is being answered ends the connection itself."""
        if self._current_request is None:
            self.transport.close()

    def _watch_again(self) -> None:
        self._watch = self.worker.loop.call_later(self.app.request_seconds, self._end_if_idle)

    def _end_if_idle(self) -> None:
        """A slow sender of heads (slowloris), or one that only stays, holds a connection for nothing."""
        first, waited = self.req_count <= 1, self.worker.loop.time() - self._waits_since
        if self._current_request is None and (first or waited > KEEP_ALIVE_S):
            self.transport.abort()
        else:
            self._watch_again()

    def _feed_callback_parser(self, data: bytes) -> bool:
        """Parse. What is not HTTP ends the connection; gunicorn would let its parser's error go to the log whole."""
        try:
            return bool(super()._feed_callback_parser(data))
        except ValueError:  # the fast parser's errors, of two classes that have no other base
            self._send_error_response(400, "Bad Request")
            self._close_transport()
            return False

    async def _handle_http_request(self, request: Any, sockname: Any, peername: Any) -> bool:
        keep = await super()._handle_http_request(request, sockname, peername)
        self._behind = self._callback_parser.remaining()
        return keep and not self._ends and not self._callback_parser.remaining_truncated

    def _arm_keepalive_timer(self) -> None:
        """Called when the connection is ready for the next request. What came behind the last one is its beginning:
        gunicorn would drop it, and take what comes then for a request."""
        self._waits_since = self.worker.loop.time()
        behind, self._behind = self._behind, b""
        if behind:
            self._feed_callback_parser(behind)

    def _send_response_start(self, status: int, headers: Iterable[tuple[bytes, bytes]], request: Any) -> None:
        self._ends = (b"connection", b"close") in headers
        super()._send_response_start(status, headers, request)

    def _build_http_scope(self, request: Any, sockname: Any, peername: Any) -> Scope:
        scope: Scope = super()._build_http_scope(request, sockname, peername)
        scope[CERTIFIED] = self._certified
        return scope

    def _is_websocket_upgrade(self, request: Any) -> bool:
        return False


def _common_name(certificate: Mapping[str, Any]) -> str:
    """The one CN of the subject (as `ssl.SSLSocket.getpeercert` has it); empty, which is no client's, if not one."""
    names = [value for rdn in certificate["subject"] for kind, value in rdn if kind == "commonName"]
    return str(names[0]) if len(names) == 1 else ""
