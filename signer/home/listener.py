"""Reads where the gateway listens: plain HTTP on TCP, a unix socket or TLS, each one text in signer.toml."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

LONGEST_PATH = 107
"""Most bytes of a unix socket's path (unix(7): ``sun_path`` has 108, and ends with a zero)."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One address to which bots connect."""

    kind: Literal["tcp", "tls", "unix"]
    host: str = ""
    port: int = 0
    path: str = ""
    """The path of a unix socket. The other kinds have host and port."""

    @classmethod
    def parse(cls, text: str) -> Listener:
        """Read ``address:port``, ``tls://address:port`` or ``unix:/path``. Raises ValueError with the hint."""
        if text.startswith("unix:"):
            return cls("unix", path=_socket_path(text.removeprefix("unix:")))
        address = text.removeprefix("tls://")
        host, port = _split(address)
        return cls("tcp" if address == text else "tls", host, port)

    @property
    def wide(self) -> bool:
        """Whether other machines can reach it."""
        return self.kind != "unix" and not is_loopback(self.host)

    @property
    def bind(self) -> str:
        """The address in gunicorn's form."""
        return f"unix:{self.path}" if self.kind == "unix" else f"{_bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """The URL for a bot on this machine, or ``unix:/path``."""
        return f"{'https' if self.kind == 'tls' else 'http'}://{self.bind}" if self.kind != "unix" else self.bind

    def __str__(self) -> str:
        return f"tls://{self.bind}" if self.kind == "tls" else self.bind


def is_loopback(host: str) -> bool:
    """Return whether a host can only be this machine. Names are not resolved; only ``localhost`` is accepted."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _split(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not host or "/" in host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(
            'write it as "address:port", such as "127.0.0.1:8787", or "tls://address:port", or "unix:/path"'
        )
    return host.strip("[]"), int(port)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _socket_path(path: str) -> str:
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ValueError(f'"unix:{path[:100]}" is not absolute; write the whole path, such as "unix:/run/signer/bots"')
    if len(path.encode()) > LONGEST_PATH:
        raise ValueError(f'"unix:{path[:60]}…" is longer than {LONGEST_PATH} bytes; choose a shorter path')
    return path
