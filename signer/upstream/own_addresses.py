"""Refuses an origin that resolves to this gateway, as the venue's name may do where bots use it for the gateway.

Addresses are compared, because a mark on the request would tell the venue who calls. TLS is a second barrier: our
listener shows the certificate of a private CA, which the upstream does not trust.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from signer.errors import ConfigError
from signer.upstream.origin import Origin

WHAT = "its name leads back to this gateway"


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """The addresses at which this gateway listens."""

    listening: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def of(cls, sockets: Iterable[socket.socket]) -> OwnAddresses:
        """Collect the addresses of bound sockets, except unix sockets."""
        inet = [sock.getsockname() for sock in sockets if sock.family in {socket.AF_INET, socket.AF_INET6}]
        return cls(frozenset((_plain(name[0]), name[1]) for name in inet))

    def include(self, host: str, port: int) -> bool:
        """Return whether a connection to this address would reach this gateway."""
        address = _plain(host)
        if (address, port) in self.listening:
            return True
        wildcard = any(ipaddress.ip_address(own).is_unspecified for own, at in self.listening if at == port)
        return wildcard and _is_this_machine(address)


def refuse_loop(origins: Mapping[str, tuple[str, Sequence[str]]], own: OwnAddresses, where: str) -> None:
    """Raise `ConfigError` for an origin that resolves to an address of ``own``.

    ``origins`` has texts and addresses by the keys that state them in the file ``where``. A name that does not resolve
    now passes: the venue may be out of reach for a while.
    """
    ports = {port for _, port in own.listening}
    for key, (text, addresses) in origins.items():
        origin = Origin.parse(text, addresses)
        if origin.port in ports and any(own.include(host, origin.port) for host in _resolved(origin)):
            raise ConfigError(f"{key}: {WHAT} ({text})", where=where, hint=hint_of(origin))


def hint_of(origin: Origin) -> str:
    """Return the hint for an origin that resolves to this gateway."""
    if origin.tls:
        return f'set resolve = ["…"] beside it, to the addresses that `dig @1.1.1.1 +short {origin.host}` says'
    return "set origin to where the exchange is"


def _resolved(origin: Origin) -> list[str]:
    try:
        found = [
            socket.getaddrinfo(host, origin.port, type=socket.SOCK_STREAM) for host in origin.addresses or [origin.host]
        ]
    except OSError:
        return []
    return [str(each[4][0]) for results in found for each in results]


def _plain(host: str) -> str:
    """Return the one spelling of an address: ``::ffff:127.0.0.1`` is 127.0.0.1."""
    address = ipaddress.ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _is_this_machine(host: str) -> bool:
    """Return whether ``host`` is an address of this machine, which alone can be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
