"""Checks the listeners: whether the running gateway answers and is up to date, or whether one could listen."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from signer import __version__
from signer.doctor.known import KnownHome
from signer.doctor.said import error, failed, fine, warning, when
from signer.errors import ConfigError, ListenError
from signer.findings import Finding
from signer.home.layout import Home
from signer.home.lock import Load, read_load
from signer.home.settings import Config
from signer.serving.binding import group_id, require_bindable
from signer.upstream.own_addresses import OwnAddresses

ANSWER_S = 5.0
UNIX = "unix:"


def examine(known: KnownHome) -> list[Finding]:
    """Examine the listeners of the running gateway, or where one would listen."""
    gateway, home = known.gateway, known.home
    if gateway is None:
        free = list(_free(known.config, home)) if known.config else []
        return [fine("gateway", "gateway", "does not run"), *free]
    if not gateway.serves:
        what = f"process {gateway.pid} starts a gateway on this home, or changes it"
        return [warning("gateway", "gateway", what, "look again in a moment")]
    running = fine("gateway", "gateway", f"runs since {when(gateway.since_us)} (process {gateway.pid})")
    answers = [answer(url) for url in gateway.urls]
    return [running, *answers, *loaded(home, read_load(home.state))]


def own_addresses(known: KnownHome) -> OwnAddresses:
    """Report where the gateway listens, or would listen."""
    if known.gateway is not None and known.gateway.serves:
        told = [urlsplit(url) for url in known.gateway.urls if not url.startswith(UNIX)]
        places = [(url.hostname or "", url.port or 0) for url in told]
    else:
        listeners = known.config.gateway.listeners if known.config else ()
        places = [(listener.host, listener.port) for listener in listeners if listener.kind != "unix"]
    return OwnAddresses(frozenset(found for host, port in places for found in _numeric(host, port)))


def _numeric(host: str, port: int) -> list[tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [(str(each[4][0]), port) for each in found]


def _free(config: Config, home: Home) -> Iterator[Finding]:
    gateway = config.gateway
    for listener in gateway.listeners:
        try:
            require_bindable(listener, home.config)
            yield fine("listener", f"listener {listener}", "is free to listen on")
        except (ConfigError, ListenError) as why:
            yield error(
                "listener", f"listener {listener}", why.what.removeprefix(f"gateway.listen: {listener}: "), why.hint
            )
    try:
        if gateway.socket_group:
            group_id(gateway.socket_group, home.config)
    except ConfigError as why:
        yield from failed("gateway.socket_group", why)


def answer(url: str) -> Finding:
    """Return the answer of the gateway at ``url`` about itself."""
    about = f"listener {url}"
    try:
        alive, _ = _get(url, "/-/health")
        ready, trouble = _get(url, "/-/ready")
    except ssl.SSLError as why:
        if why.reason in {"TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE"}:
            return fine("listener", about, "asks for a client's certificate, so nothing else was asked")
        return error("listener", about, f"does not speak TLS as it should ({why.reason})", "see the gateway's log")
    except (OSError, http.client.HTTPException) as why:
        text = f"does not answer ({why.strerror if isinstance(why, OSError) and why.strerror else type(why).__name__})"
        return error("listener", about, text, "see the gateway's log, and restart it")
    if alive != 200:
        return error("listener", about, f"answers /-/health with HTTP {alive}", "see what else listens there")
    if ready != 200:
        return error("listener", about, f"takes no orders: {trouble}", "see the gateway's log")
    return fine("listener", about, "answers, and would take an order")


class _ByPath(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_S)
        self.sock.connect(self._path)


def _connection(url: str) -> http.client.HTTPConnection:
    if url.startswith(UNIX):
        return _ByPath(url.removeprefix(UNIX))
    parts = urlsplit(url)
    assert parts.hostname is not None  # noqa: S101 - what a gateway announces
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_S)
    # The check only sees that a gateway answers: it sends no secret, and the certificate has the exchange's name.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=ANSWER_S, context=context)


def _get(url: str, path: str) -> tuple[int, str]:
    connection = _connection(url)
    try:
        connection.request("GET", path)
        answered = connection.getresponse()
        said = answered.read(200).decode("ascii", "replace").strip()
        return answered.status, "".join(letter for letter in said if letter.isprintable())
    finally:
        connection.close()


def loaded(home: Home, load: Load | None) -> Iterator[Finding]:
    """Tell whether the gateway runs by the files that are on disk now."""
    about = "what the gateway loaded"
    if load is None:
        yield error("load", about, "is not known", "restart it: it is of another version, or its state file is damaged")
        return
    if load.version != __version__:
        what = f"is run by signer {load.version or 'of an earlier version'}, and this is {__version__}"
        yield warning("version", about, what, "restart the gateway")
    newer = _newer(home, load.at_us)
    if load.error:
        what = f"is older than what is on disk, which it did not take ({when(load.at_us)}): {load.error}"
        yield error("load", about, what, "fix it and run `signer reload`")
    elif newer:
        yield warning("stale", about, f"is older than {', '.join(newer)}", "run `signer reload`")
    else:
        yield fine("load", about, f"is what is on disk ({when(load.at_us)})")


def _newer(home: Home, at_us: int) -> list[str]:
    """Return the names of files that were changed since. A folder changes when a file comes or goes."""
    paths: list[Path] = [home.config, home.keys, home.policies, *sorted(home.policies.glob("*.toml"))]
    return [path.name for path in paths if path.exists() and path.stat().st_mtime_ns // 1000 > at_us]
