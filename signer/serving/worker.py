"""Runs the one worker process, which serves the listeners until it is told to stop or its master dies."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.asgi.lifespan import LifespanManager
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers import gasgi

from signer.errors import ConfigError, SignerError
from signer.home.lock import RELOAD
from signer.serving import dump
from signer.serving.accepting import Acceptor
from signer.serving.clock import SystemClock
from signer.serving.edge import Sources
from signer.serving.hardening import lock_memory
from signer.serving.protocol import GatewayProtocol
from signer.serving.shares import ConnectionPlace, ConnectionShares
from signer.tls.authority import utc_now

TLS_LOOK_EVERY_S = 60.0
NOTIFY_S = 1.0
"""How often the worker tells its master that it lives."""


class Lifeline:
    """A pipe whose writing end only the master holds, so it closes when the master dies.

    A worker without a master still holds the home's lock, so no new gateway could start until it ends.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def watch(self, loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> None:
        """Call ``ended``, in the worker, when the master is gone."""
        os.close(self._writing)

        def at_end() -> None:
            loop.remove_reader(self._reading)
            ended()

        loop.add_reader(self._reading, at_end)


class GatewayWorker(gasgi.ASGIWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's ASGI worker, which reloads the home on a signal and stops cleanly on all others."""

    alive: bool

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.connections: set[GatewayProtocol] = set()
        self._ending = asyncio.Event()

    def init_process(self) -> None:
        """Lock this process's memory, because a fork inherits no locks. The master has warned if it cannot be."""
        lock_memory()
        super().init_process()

    def init_signals(self) -> None:
        """Set the signals. Ctrl-C, which a terminal sends to the whole process group, is a clean stop like SIGTERM."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {dump.SIGNAL})  # gunicorn would let it end the process for a moment
        faulthandler.unregister(dump.SIGNAL)  # gunicorn would restore the master's handler
        super().init_signals()
        self.loop.add_signal_handler(RELOAD, self._reload)
        at_hangup = self.handle_exit_signal if self.app.ends_with_terminal else self._reload
        self.loop.add_signal_handler(signal.SIGHUP, at_hangup)
        for number in (signal.SIGINT, signal.SIGQUIT):
            self.loop.add_signal_handler(number, self.handle_exit_signal)
        self.loop.add_signal_handler(dump.SIGNAL, self._dump)
        dump.show_threads_on_signal(chain=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {dump.SIGNAL})

    def handle_exit_signal(self) -> None:
        """Begin a clean stop at once."""
        super().handle_exit_signal()
        self._ending.set()

    def _reload(self) -> None:
        self.asgi.reload(self._refresh_tls)

    def _refresh_tls(self) -> None:
        """Take up changed certificates. If it raises `SignerError`, those loaded before stay."""
        if self.app.tls is None:
            return
        try:
            judged_anew = self.app.tls.refresh(utc_now(SystemClock().now_us()))
        except OSError as error:
            raise ConfigError(f"cannot be used ({error.strerror})", where=str(error.filename)) from error
        if judged_anew:
            for connection in tuple(self.connections):
                connection.let_in_anew()

    def _refresh_tls_or_say_why_not(self) -> None:
        try:
            self._refresh_tls()
        except SignerError as error:
            self.asgi.tls_alarm(error)

    def _dump(self) -> None:
        connections = f"{len(self.connections)} connections of bots"
        told = [f"worker {os.getpid()}: {dump.versions()}", connections, *self.asgi.describe()]
        dump.say([*told, *dump.waiting(asyncio.all_tasks(self.loop))])

    async def _serve(self) -> None:
        """Make the servers in place of gunicorn, which has one protocol class, and TLS on all sockets or on none."""
        ASGIProtocol._check_h1c_protocol_available()  # on the base class, which keeps the answer for gunicorn
        self.lifespan = LifespanManager(self.asgi, self.log, self.state)
        try:
            await self.lifespan.startup()
        except RuntimeError:  # the application has said why
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
        acceptors = self._acceptors()
        look_at = 0.0
        self.app.lifeline.watch(self.loop, self.handle_exit_signal)
        while self.alive and self.ppid == os.getppid():
            self.notify()
            if self.loop.time() >= look_at:
                self._refresh_tls_or_say_why_not()
                look_at = self.loop.time() + TLS_LOOK_EVERY_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(NOTIFY_S):
                    await self._ending.wait()
        self.alive = False  # also if the master died: each connection ends with the answer that it waits for
        for acceptor in acceptors:
            acceptor.stop()
        await self._shutdown()

    def _acceptors(self) -> list[Acceptor]:
        gateway, limits = self.app.config.gateway, self.app.config.limits
        shares = ConnectionShares(gateway.max_connections, limits.connections_per_source, len(self.app.listeners))
        sources = Sources(gateway.trusted_proxies)
        return [
            Acceptor(
                sock.sock,
                number,
                shares,
                partial(self._protocol, venue),
                sources=sources,
                on_refused=self.asgi.connection_refused,
                tls=self.app.tls.context if listener.kind == "tls" else None,
                handshake_s=self.asgi.request_seconds,
            )
            for number, (sock, (venue, listener)) in enumerate(zip(self.sockets, self.app.listeners, strict=True))
        ]

    def _protocol(self, venue: str, place: ConnectionPlace) -> GatewayProtocol:
        return GatewayProtocol(self, place, venue)

    async def _shutdown(self) -> None:
        """gunicorn would wait for connections that bots merely keep open, until its time is over."""
        for connection in tuple(self.connections):
            connection.close_if_idle()
        await super()._shutdown()
