"""Says where requests go: one origin, fixed at the start, and the TLS settings that prove who answers there."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from signer.errors import ConfigError

_LABEL = "[A-Za-z0-9-]{1,63}"
_ORIGIN = re.compile(rf"(https?)://({_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,5}}))?")
_HINT = "write it as https://api.example.com, with nothing after the host but a port"


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of the venue, and nothing else (RFC 6454 §4)."""

    host: str
    port: int
    tls: bool
    addresses: tuple[str, ...] = ()
    """The host's addresses, used instead of the resolver's. Whoever answers must still prove to be the host."""

    @classmethod
    def parse(cls, text: str, addresses: Sequence[str] = ()) -> Origin:
        """Read ``https://host[:port]``, or ``http://`` to this machine. Raises `ConfigError` for any other text.

        Plain HTTP beyond loopback would show every order and signature to the network.
        """
        match = _ORIGIN.fullmatch(text)
        if match is None:
            raise ConfigError(f"{text!r} is not an origin", where="origin", hint=_HINT)
        scheme, host, port = match[1], match[2].strip("[]").lower(), match[3]
        number = int(port) if port else {"https": 443, "http": 80}[scheme]
        if not 0 < number < 65536:
            raise ConfigError(f"the origin {text!r} has an impossible port", where="origin", hint=_HINT)
        if scheme == "http" and not is_loopback(host) and host != "localhost":
            hint = "use https://, or http:// to 127.0.0.1 for a sandbox"
            raise ConfigError(f"the origin {text!r} uses plain HTTP to another machine", where="origin", hint=hint)
        return cls(host, number, scheme == "https", tuple(addresses))

    @property
    def authority(self) -> str:
        """The value of the Host header, with a port other than the scheme's own (RFC 9110 §7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority}"


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is a literal loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Make settings for TLS 1.2 or later that verify certificate and host name by the system's CAs, or by ``ca_file``.

    `ssl.create_default_context` is not used: it writes session secrets to the file that SSLKEYLOGFILE names. Raises
    `ConfigError` if ``ca_file`` cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:
        hint = "give a readable file of CA certificates in PEM form"
        raise ConfigError(f"the CA certificates cannot be read ({error})", where=str(ca_file), hint=hint) from error
    return context
