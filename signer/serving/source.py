"""Where a call comes from: its peer's address, or what a reverse proxy that is named in signer.toml says."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from signer.model import Network

UNIX = "unix"
"""The source of whoever comes over a unix socket: no address, so a client that is bound to some may not."""


class Sources:
    """Believes ``X-Forwarded-For`` of the named proxies, and of nobody else."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._unix = UNIX in trusted
        self._networks: list[Network] = [ipaddress.ip_network(text) for text in trusted if text != UNIX]

    def trusts(self, peer: str) -> bool:
        """Whether ``peer`` is one of the proxies."""
        if peer == UNIX:
            return self._unix
        return bool(self._networks) and any(ipaddress.ip_address(peer) in network for network in self._networks)

    def source(self, peer: str, forwarded: Sequence[str]) -> str:
        """Who called, given the values of the header. Raises ValueError if a proxy does not say.

        Each proxy appends whom it heard, so the list is read from its end: the first that is no proxy of ours is the
        source, and what stands before it is only what that one claims.
        """
        if not self.trusts(peer):
            return peer
        for text in reversed([part.strip() for value in forwarded for part in value.split(",")]):
            source = str(ipaddress.ip_address(text))
            if not self.trusts(source):
                return source
        raise ValueError("the proxy names no source")


NO_PROXIES = Sources(())
