"""What the gateway knows of the world at one moment: clients, their policies, accounts. Immutable.

A reload builds a whole new snapshot, and only if all of it is valid swaps one reference (*Must hold* 8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from signer.contracts import ClientKey, Venue
from signer.gateway.forward import Account
from signer.model import ClientInfo
from signer.policy.policy import Policy
from signer.secret import ApiPassphrase


@dataclass(frozen=True, slots=True)
class Client:
    """Who calls us, with the handle that tells whether a signature is theirs."""

    info: ClientInfo
    key: ClientKey
    policy: Policy
    passphrase: ApiPassphrase | None = None
    """What it shows beside its signature, where its venue wants that."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Venues by name, clients by virtual API key, and accounts by name."""

    venues: Mapping[str, Venue]
    clients: Mapping[str, Client] = field(repr=False)
    accounts: Mapping[str, Account]
