"""The venues, clients, policies and accounts that are in force at one moment. Immutable.

A reload builds a whole new snapshot, and puts it in force only if all of it is valid (*Must hold* 8). An operator can
revoke a virtual credential even if the home cannot be read. The snapshot in force then loses the credential at once,
and no later snapshot brings it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import final

from signer.contracts import ClientKey, Venue
from signer.gateway.forward import Account
from signer.model import ClientInfo
from signer.policy.policy import Policy
from signer.secret import ApiPassphrase


@dataclass(frozen=True, slots=True)
class Client:
    """A client, with its policy and the handle that verifies its signatures."""

    info: ClientInfo
    key: ClientKey
    policy: Policy

    passphrase: ApiPassphrase | None = None
    """The passphrase beside its signature; None if its venue wants none."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Venues by name, clients by virtual API key, and accounts by name."""

    venues: Mapping[str, Venue]
    clients: Mapping[str, Client] = field(repr=False)
    accounts: Mapping[str, Account]


AT_ONCE = 0
"""The time that stands for an immediate revocation."""


@dataclass(frozen=True, slots=True)
class _TakenBack:
    at_us: int
    from_us: int


@final
class Revocations:
    """Keeps what was revoked, in memory until the gateway ends: clients, and API keys from a time on."""

    def __init__(self) -> None:
        self._taken: dict[str, _TakenBack] = {}
        self._clients: dict[str, int] = {}

    def take_back(self, from_when: Mapping[str, int], now_us: int) -> None:
        """Refuse these API keys, each from its time on. A later time than the known one changes nothing."""
        for api_key, from_us in from_when.items():
            known = self._taken.get(api_key)
            if known is None or from_us <= known.from_us:
                self._taken[api_key] = _TakenBack(now_us, from_us)

    def revoke(self, clients: Mapping[str, int]) -> None:
        """Refuse every credential that one of these clients was given up to its time (microseconds)."""
        for name, at_us in clients.items():
            self._clients[name] = max(at_us, self._clients.get(name, at_us))

    def applied(self, clients: Mapping[str, Client]) -> Mapping[str, Client]:
        """Return ``clients``, by API key, with the revoked ones marked as revoked or expiring."""
        if not (self._taken or self._clients):
            return clients
        kept = {api_key: self._without(client, self._taken.get(api_key)) for api_key, client in clients.items()}
        over = self._over(clients)
        return {
            api_key: replace(client, info=replace(client.info, revoked=True)) if client.info.name in over else client
            for api_key, client in kept.items()
        }

    def _over(self, clients: Mapping[str, Client]) -> set[str]:
        """Return the names of revoked clients that were not added anew since."""
        newest = dict.fromkeys(self._clients, 0)
        for client in clients.values():
            if client.info.name in newest:  # of a credential that a rotation replaced the time is not known
                newest[client.info.name] = max(newest[client.info.name], client.info.created_us)
        return {name for name, created_us in newest.items() if created_us <= self._clients[name]}

    @staticmethod
    def _without(client: Client, taken: _TakenBack | None) -> Client:
        # `clients add --import-stdin` may issue a revoked API key anew. The new client is not the revoked one.
        if taken is None or client.info.created_us > taken.at_us:
            return client
        if taken.from_us == AT_ONCE:
            return replace(client, info=replace(client.info, revoked=True))
        known = client.info.expires_us
        expires_us = taken.from_us if known is None else min(known, taken.from_us)
        return replace(client, info=replace(client.info, expires_us=expires_us))
