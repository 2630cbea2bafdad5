"""What the gateway knows of the world at one moment: clients, their policies, accounts. Immutable.

A reload builds a whole new snapshot, and only if all of it is valid swaps one reference (*Must hold* 8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from signer.contracts import ClientKey, Venue
from signer.gateway.forward import Account
from signer.model import ClientInfo, Pair
from signer.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class Client:
    """Who calls us, with the handle that tells whether a signature is theirs."""

    info: ClientInfo
    key: ClientKey
    policy: Policy


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Clients by virtual API key, accounts by name, and the venue's pairs by canonical id."""

    venue: Venue
    clients: Mapping[str, Client] = field(repr=False)
    accounts: Mapping[str, Account]
    pairs: Mapping[str, Pair]
