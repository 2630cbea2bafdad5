"""Builds an account from its settings, and keeps what is known of each key through reloads.

Two lanes of one key would race for its nonces. A new counter would let bots run into the venue's limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, final

from signer.contracts import Clock, Marks, SigningKey, Upstream, Venue
from signer.gateway.credential import Credential, Hearing, KeyStatus, Listeners, Quiet
from signer.gateway.forward import Account
from signer.home.settings import AccountConfig
from signer.lanes import CredentialLane, NoNonces
from signer.lanes.nonces import NonceSource
from signer.lanes.shares import PairCounters, SharedCounter
from signer.model import CredentialInfo, KeyInfo
from signer.model.allowances import Tier

PARALLEL = 16
"""How many calls of one key may be under way at once at a venue without nonces."""
KeyId: TypeAlias = tuple[str, str]
"""A credential's name and fingerprint. A new key under the same name has another fingerprint and begins anew."""
Believed: TypeAlias = Callable[[CredentialInfo], KeyInfo | None]
"""Returns what the venue last said of a key that is new to this process; None if that is not known."""


@final
class KeyStates:
    """Keeps each real key's lane, status, read counter and requests for quiet."""

    def __init__(self, stored: Marks, clock: Clock, listeners: Listeners, believed: Believed = lambda _: None) -> None:
        self.lanes: dict[KeyId, CredentialLane] = {}
        self.statuses: dict[KeyId, KeyStatus] = {}
        self.clock = clock
        self._stored = stored
        self._listeners = listeners
        self._believed = believed
        self._reads: dict[KeyId, SharedCounter] = {}
        self._quiets: dict[KeyId, Quiet] = {}
        self._hearings: dict[str, Hearing] = {}
        self._pairs: dict[str, PairCounters] = {}

    def credential(
        self, info: CredentialInfo, key: SigningKey, config: AccountConfig, venue: Venue, marks: Mapping[str, int]
    ) -> Credential:
        """Return the credential with what is kept of its key. A new lane begins above the key's stored mark."""
        key_id = (info.name, info.fingerprint)
        reads = self._reads.setdefault(key_id, SharedCounter())
        reads.allowance = venue.tier(config.tier).reads
        return Credential(
            info.name,
            info.api_key,
            key,
            self._lane(info, config, venue, marks),
            info.role,
            self._status(info),
            reads,
            self._quiets.setdefault(key_id, Quiet()),
        )

    def hearing(self, account: str) -> Hearing:
        """Return the object that takes in the venue's answers to the account."""
        return self._hearings.setdefault(account, Hearing(account, self.clock, self._listeners))

    def pair_counters(self, account: str, tier: Tier) -> PairCounters:
        """Return the account's order counters at the venue."""
        pairs = self._pairs.setdefault(account, PairCounters())
        pairs.allow(tier.orders)
        return pairs

    def forget(self, key_id: KeyId) -> None:
        """Drop the state of a removed credential. Call this after the last call has left its lane."""
        del self.lanes[key_id], self.statuses[key_id], self._reads[key_id], self._quiets[key_id]

    def _lane(
        self, info: CredentialInfo, config: AccountConfig, venue: Venue, marks: Mapping[str, int]
    ) -> CredentialLane:
        key_id = (info.name, info.fingerprint)
        if key_id not in self.lanes:
            serial = venue.lane == "serial"
            nonces = self._nonces(info, marks) if serial else NoNonces()
            depth = config.lane_depth if serial else PARALLEL
            self.lanes[key_id] = CredentialLane(
                info.name, clock=self.clock, nonces=nonces, depth=depth, queue=config.queue
            )
        return self.lanes[key_id]

    def _nonces(self, info: CredentialInfo, marks: Mapping[str, int]) -> NonceSource:
        mark = f"credential/{info.name}/{info.fingerprint}"  # a new key under the name begins anew
        alarm = lambda text: self._listeners.alarm("nonce", text)  # noqa: E731
        return NonceSource(mark, marks.get(mark, 0), self._stored.raise_mark, self.clock, on_alarm=alarm)

    def _status(self, info: CredentialInfo) -> KeyStatus:
        key_id = (info.name, info.fingerprint)
        if key_id not in self.statuses:
            self.statuses[key_id] = KeyStatus(self._believed(info))
        return self.statuses[key_id]


def open_account(
    name: str,
    config: AccountConfig,
    venue: Venue,
    keys: Iterable[tuple[CredentialInfo, SigningKey]],
    upstream: Upstream,
    states: KeyStates,
    marks: Mapping[str, int],
) -> Account:
    """Build the account ``name`` from its settings and from what ``states`` keeps of its ``keys``.

    A lane keeps its depth and its queue lengths through reloads. ``marks`` are the stored ones. Raises `ConfigError`
    for a tier that the venue does not know.
    """
    tier = venue.tier(config.tier)
    return Account(
        name,
        venue,
        [states.credential(info, key, config, venue, marks) for info, key in keys],
        upstream,
        config.call_seconds,
        states.clock,
        states.hearing(name),
        states.pair_counters(name, tier),
    )
