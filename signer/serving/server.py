"""Runs the edge under gunicorn, in one worker process, which gunicorn starts again if it dies."""

from __future__ import annotations

import asyncio
import faulthandler
import mmap
import os
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.sock import close_sockets

from signer.contracts import Venue
from signer.errors import NotServed, SignerError
from signer.home.listener import Listener
from signer.home.lock import RELOAD
from signer.keys.unwrapped import Unwrapped
from signer.model import Response
from signer.serving import collector, dump
from signer.serving.binding import group_id, require_bindable
from signer.serving.clock import SystemClock
from signer.serving.descriptors import require_descriptors
from signer.serving.edge import Edge, Receive, Scope, Send, Sources
from signer.serving.loaded import LoadedHome
from signer.serving.protocol import KEEP_ALIVE_S
from signer.serving.telemetry import GatewayWatch, LineLog, Metrics
from signer.serving.terminal import has_terminal
from signer.serving.tls import ServerTls
from signer.serving.wiring import Wiring
from signer.serving.worker import GatewayWorker, Lifeline
from signer.tls.authority import utc_now
from signer.upstream.held import HeldAnswers
from signer.upstream.own_addresses import OwnAddresses, refuse_loop

TLS_LOOK_EVERY_S = 60.0
MOST_CODE = 32
"""Bytes shared with the workers for an error's code; no code is longer."""
MOST_LINE = 8 * 1024
"""Bytes of a request line: ccxt names some hundred pairs in one (and RFC 9112 §3 asks for 8,000 at least)."""
PLAIN = "text/plain; charset=utf-8"
STOPPING = "the gateway is stopping; nothing was sent"
LifespanSend: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
METRICS = "text/plain; version=0.0.4; charset=utf-8"


class GatewayApp:
    """The ASGI application: lifespan, then the edge."""

    def __init__(
        self,
        loaded: LoadedHome,
        ready: Callable[[], None],
        own: OwnAddresses,
        unwrapped: Unwrapped,
        on_failure: Callable[[SignerError], None],
    ) -> None:
        self._loaded = loaded
        self._venues, self._proxies = loaded.venues, loaded.config.gateway.trusted_proxies
        self._say_ready = ready
        self._own = own
        self._unwrapped = unwrapped
        self._on_failure = on_failure
        self.request_seconds = loaded.config.gateway.body_seconds
        limits = loaded.config.limits
        self.answer_seconds = limits.answer_seconds
        self.held = HeldAnswers(limits.answers_mib * 1024 * 1024)
        self._metrics = Metrics()
        self._lines = LineLog()
        self._clock = SystemClock()
        self._watch = GatewayWatch(self._metrics, self._lines, self._clock)
        self._wiring: Wiring | None = None
        self._edges: Mapping[str, Edge] = {}
        self.answers: Mapping[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = self._refusals()
        """What answers the requests at each venue's listeners: its edge, once the gateway serves and until it stops."""

    async def __call__(self, scope: Scope, receive: Receive, send: LifespanSend) -> None:
        """Run the lifespan. Connections take the requests to `answers` themselves."""
        assert scope["type"] == "lifespan"  # noqa: S101 - gunicorn calls for nothing else
        await self._lifespan(receive, send)

    def _refusals(self) -> Mapping[str, Callable[[Scope, Receive, Send], Awaitable[None]]]:
        return {name: partial(_refuse, venue) for name, venue in self._venues.items()}

    def reload(self, refresh_tls: Callable[[], None]) -> None:
        """Read the certificates and the home again, in the background."""
        if self._wiring is not None:
            self._reloading = asyncio.get_running_loop().create_task(self._reload(self._wiring, refresh_tls))

    async def _reload(self, wiring: Wiring, refresh_tls: Callable[[], None]) -> None:
        await wiring.reloads.reload(refresh_tls)
        await wiring.reloads.drained()  # calls under way still use what the reload has replaced
        collector.settle()

    def tls_alarm(self, error: SignerError) -> None:
        """Say that certificates cannot be taken up."""
        self._watch.alarm("tls", f"the certificates cannot be renewed or loaded, the old ones stay: {error}")

    def connection_refused(self, bound: str, source: str) -> None:
        """Note a connection that was closed at once, by a bound of ``[limits]``, ``[gateway]`` or the system."""
        self._watch.bound_hit(bound, f"a connection of {source or 'somebody'} was closed at once")

    def answer_dropped(self, bound: str, holder: str) -> None:
        """Note a connection that was closed because its client did not read its answer."""
        self._watch.bound_hit(bound, f"a connection of {holder} was closed: its answer was not read")

    def describe(self) -> list[str]:
        """Describe its work, for a dump."""
        under_way = sum(edge.under_way for edge in self._edges.values())
        return [f"{under_way} requests under way", *(self._wiring.describe() if self._wiring else ["starting"])]

    async def _lifespan(self, receive: Receive, send: LifespanSend) -> None:
        await receive()
        try:
            await self._start()
        except SignerError as error:
            print(f"signer: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the process ends with this line
            self._on_failure(error)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        except Exception as defect:  # gunicorn would end the process silently; the text may hold a secret
            where = traceback.extract_tb(defect.__traceback__)[-1]
            what = f"a defect of signer ({type(defect).__name__} in {where.name}, {where.filename}:{where.lineno})"
            print(f"signer: {what}; please report it", file=sys.stderr, flush=True)  # noqa: T201 - as above
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        while busy := [edge for edge in self._edges.values() if edge.under_way]:
            await busy[0].drained()  # gunicorn has waited for connections, which a client that hung up does not have
        self.answers = self._refusals()  # from here on no request is served: journal and marks are being closed
        if self._wiring is not None:
            await self._wiring.stop()
        self._lines.flush()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        wiring = self._wiring = Wiring(
            self._loaded, self._watch, self._say_ready, self._own, unwrapped=self._unwrapped, held=self.held
        )
        del self._loaded  # with what the worker has read it becomes old at the next reload, its handles too
        await wiring.start()
        self.answers = self._edges = {name: self._edge(wiring, venue) for name, venue in wiring.loaded.venues.items()}
        collector.leave_out()

    def _edge(self, wiring: Wiring, venue: Venue) -> Edge:
        return Edge(
            venue,
            wiring.gateway.answer,
            wiring.public[venue.name].answer,
            self._local,
            sources=Sources(self._proxies),
            clock=self._clock,
            body_seconds=self.request_seconds,
            on_defect=lambda text: self._watch.alarm("defect", text),
        )

    def _local(self, path: str) -> Response | None:
        """Answer an orchestrator: whether the gateway lives, whether it takes orders, and the metrics."""
        if path == "/-/health":
            return Response(200, PLAIN, b"ok\n", ours=False)
        if path == "/-/ready":
            reason = self._wiring.not_ready_reason() if self._wiring else "starting"
            return Response(503 if reason else 200, PLAIN, f"{reason or 'ready'}\n".encode(), ours=False)
        if path == "/-/metrics":
            return Response(200, METRICS, self._rendered(), ours=False)
        return None

    def _rendered(self) -> bytes:
        if self._wiring is not None:
            self._wiring.measure(self._metrics)
        return self._metrics.render()


async def _refuse(venue: Venue, _scope: Scope, _receive: Receive, send: Send) -> None:
    await send(venue.refusal(NotServed.unavailable(STOPPING)), True)


class GatewayArbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's master with exactly one worker always. A second would race for nonces and the audit chain."""

    def handle_hup(self) -> None:
        """Stop if the terminal is gone. Without a terminal the signal asks for a reload."""
        if self.app.ends_with_terminal:
            self.handle_term()
        else:
            self.handle_usr2()

    def handle_usr2(self) -> None:
        """Reload inside the worker, so that nothing in flight is lost."""
        self.kill_workers(RELOAD)

    def handle_usr1(self) -> None:
        """Show the work of master and worker (`signer.serving.dump`). There are no log files to reopen."""
        dump.say([f"master {os.getpid()}: {dump.versions()}", f"workers: {sorted(self.WORKERS) or 'none'}"])
        faulthandler.dump_traceback(2)
        self.kill_workers(dump.SIGNAL)

    def handle_int(self) -> None:
        """Stop cleanly."""
        self.handle_term()

    handle_quit = handle_int

    def handle_ttin(self) -> None:
        """Start no second worker."""

    handle_ttou = handle_ttin


class GatewayServer(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """The settings of gunicorn, and the way to run it."""

    def __init__(self, loaded: LoadedHome, ready: Callable[[list[tuple[str, str]]], None]) -> None:
        """``ready`` gets the venue and the URL of each listener. Raises `SignerError` for an unusable listener."""
        gateway, home = loaded.config.gateway, loaded.home
        require_descriptors(loaded.config, home.config)
        self.listeners = loaded.config.listeners
        for _, listener in self.listeners:
            require_bindable(listener, home.config)
        self._group = group_id(gateway.socket_group, home.config) if gateway.socket_group else None
        encrypted = any(listener.kind == "tls" for _, listener in self.listeners)
        self.tls = ServerTls(gateway.tls, home, utc_now(SystemClock().now_us())) if encrypted else None
        self.config = loaded.config
        self._loaded = loaded
        self._ready = ready
        self._urls: list[tuple[str, str]] = []
        self._own = OwnAddresses()
        self._failure = mmap.mmap(-1, MOST_CODE)  # shared with the workers, which end after they wrote it
        self.lifeline = Lifeline()
        self.ends_with_terminal = has_terminal()
        self._unwrapped = Unwrapped()  # before any fork, so that a new worker finds what the dead one unwrapped
        super().__init__()

    def load_config(self) -> None:
        """gunicorn's settings, all made from ours. gunicorn's own files, environment and command line are not read."""
        slowest = max(account.call_seconds for account in self.config.accounts.values())
        settings: MutableMapping[str, Any] = {
            "bind": [listener.bind for _, listener in self.listeners],
            "worker_class": GatewayWorker,
            "workers": 1,
            "asgi_loop": "uvloop",
            "asgi_lifespan": "on",
            "asgi_disconnect_grace_period": int(3 * slowest),  # an order runs to its end if its client hangs up
            "http_parser": "fast",
            "limit_request_line": MOST_LINE,
            "limit_request_fields": 48,
            "limit_request_field_size": 4096,
            "keepalive": int(KEEP_ALIVE_S),
            "timeout": 60,
            "graceful_timeout": int(2 * slowest) + 5,
            "loglevel": "critical",
            "control_socket_disable": True,
            "umask": 0o077,  # of unix sockets
            "when_ready": self._bound,
            "proc_name": "signer",
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> GatewayApp:
        """Make the application, in the worker, whose copy of the loaded home goes to it alone."""
        loaded = self._loaded
        del self._loaded
        return GatewayApp(loaded, lambda: self._ready(self._urls), self._own, self._unwrapped, self._fail)

    @property
    def failure(self) -> str:
        """Return the code (`SignerError.code`) of what kept a worker from starting; empty if nothing did."""
        return self._failure[:].rstrip(b"\0").decode()

    def _fail(self, error: SignerError) -> None:
        self._failure[:] = error.code.encode()[:MOST_CODE].ljust(MOST_CODE, b"\0")

    def run(self) -> None:
        """Serve until told to stop. Raises `ConfigError` for an origin that leads back here."""
        for name in ("LISTEN_PID", "LISTEN_FDS", "GUNICORN_PID", "GUNICORN_FD"):
            os.environ.pop(name, None)  # gunicorn would take these sockets instead of those in signer.toml
        GatewayArbiter(self).run()

    def _bound(self, arbiter: Any) -> None:
        """Learn the ports before the first worker starts, and refuse an origin that resolves to this gateway."""
        sockets = [wrapped.sock for wrapped in arbiter.LISTENERS]
        self._own = OwnAddresses.of(sockets)
        try:
            refuse_loop(self.config.origins, self._own, str(self._loaded.home.config))
        except SignerError:
            close_sockets(arbiter.LISTENERS)
            raise
        for sock, (venue, listener) in zip(sockets, self.listeners, strict=True):
            if listener.kind == "unix" and self._group is not None:
                os.chown(listener.path, -1, self._group)
                Path(listener.path).chmod(0o660)
            self._urls.append((venue, _url(sock, listener)))
        collector.leave_out()


def _url(sock: socket.socket, listener: Listener) -> str:
    if listener.kind == "unix":
        return listener.url
    host, port = sock.getsockname()[:2]
    return Listener(listener.kind, host, port).url
