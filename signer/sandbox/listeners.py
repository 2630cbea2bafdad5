"""Serves two listeners in one process with gunicorn: the bots' app on one port, the control app on the other.

It uses gunicorn's ``gthread`` worker. Werkzeug's threaded server closes the connection after each answer
and waits ten milliseconds for late bytes, so keep-alive could not be tested. There is one worker, because the books are
in its memory, and it has many threads, because a hang or latency fault keeps one busy. Faults close its sockets.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.errors import HaltServer

from signer.errors import ConfigError

WsgiApp: TypeAlias = Callable[[dict[str, Any], Any], Iterable[bytes]]

THREADS = 256
"""Most threads, made when needed. Held requests must leave some to the control interface, which releases them."""
KEEP_ALIVE_S = 300
"""How long an idle connection is kept. The real edge network does the same, and clients' pools depend on it."""
STOP_S = 5
LEAST_ANSWER_S = 0.0011
"""The least time of an answer. Many clients use milliseconds as nonces and would repeat one if answered within the
same millisecond, which the real exchange never does (docs/kraken.md §8.14)."""


def bound(address: str, flag: str) -> socket.socket:
    """Bind a listening socket on ``HOST:PORT``. Raises `ConfigError` with ``flag``."""
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and int(port) < 2**16):
        raise ConfigError(
            f"{address!r} is not HOST:PORT", where=flag, hint="write it as 127.0.0.1:8080, port 0 for any"
        )
    try:
        return socket.create_server((host, int(port)), backlog=512)
    except OSError as error:
        what = f"cannot listen on {address}: {error}"
        raise ConfigError(what, where=flag, hint="choose another address, or port 0 for any free one") from None


def url_of(listener: socket.socket) -> str:
    """Answer the base URL of a listener."""
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


@dataclass(frozen=True, slots=True)
class _Program:
    """The interface that gunicorn's arbiter needs of the program that it runs."""

    cfg: Config
    app: WsgiApp

    def wsgi(self) -> WsgiApp:
        return self.app


def serve(
    bots: socket.socket,
    bots_app: WsgiApp,
    control: socket.socket,
    control_app: WsgiApp,
    ready: Callable[[], None],
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, then raise `SystemExit`. ``ready`` is called when both apps answer."""
    control_port = str(control.getsockname()[1])

    def by_listener(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # SERVER_PORT is the listener's own port, whatever the Host header says.
        if environ["SERVER_PORT"] == control_port:
            return control_app(environ, start_response)
        began = time.monotonic()
        answer = bots_app(environ, start_response)
        time.sleep(max(0.0, began + LEAST_ANSWER_S - time.monotonic()))
        return answer

    config = Config()
    settings = {
        "bind": [f"fd://{bots.fileno()}", f"fd://{control.fileno()}"],
        "worker_class": "gthread",
        "workers": 1,
        "threads": THREADS,
        "keepalive": KEEP_ALIVE_S,
        "graceful_timeout": STOP_S,
        "loglevel": "warning",
        "control_socket_disable": True,
        "post_worker_init": lambda _worker: _ready(ready),
        "child_exit": _lost_books,
    }
    for name, value in settings.items():
        config.set(name, value)
    arbiter = Arbiter(_Program(config, by_listener))
    arbiter.handle_hup = arbiter.handle_term  # a reload would start with empty books
    arbiter.run()


def _ready(announce: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        # There is nothing to save, and a request that a fault holds must not delay the end.
        signal.signal(number, lambda *_: os._exit(0))
    announce()


def _lost_books(arbiter: Any, _worker: object) -> None:
    """Stop gunicorn from starting a second worker with empty books after the first has died."""
    if arbiter.LISTENERS:  # a stop closes them first
        raise HaltServer("the sandbox's process died and its books with it")
