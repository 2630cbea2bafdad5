"""What outlives a reload: of each real key its lane, its standing, its counter at the venue and requests for quiet.

Two lanes of one key would race for its nonces, and a counter that began anew would let bots run into the venue's limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, final

from signer.contracts import Clock, Ledger, SigningKey, Upstream, Venue
from signer.gateway.credential import Credential, KeyStatus
from signer.gateway.forward import Account
from signer.gateway.trace import Watch
from signer.gateway.venue_pauses import Hearing, Listeners
from signer.home.settings import AccountConfig
from signer.lanes import CredentialLane
from signer.lanes.counters import PairCounters, SharedCounter
from signer.lanes.nonces import NonceSource
from signer.model import CredentialInfo, KeyInfo
from signer.model.allowances import Tier
from signer.model.quiet import Quiet

Key: TypeAlias = tuple[str, str]
"""A credential's name and fingerprint: a key that takes the place of another under its name begins anew."""
Kept: TypeAlias = Callable[[CredentialInfo], KeyInfo | None]
"""What is believed of a key that is met for the first time."""


@final
class Lasting:
    """All of it, by key."""

    def __init__(self, ledger: Ledger, watch: Watch, clock: Clock, kept: Kept, listeners: Listeners) -> None:
        self.lanes: dict[Key, CredentialLane] = {}
        self.statuses: dict[Key, KeyStatus] = {}
        self._ledger = ledger
        self._watch = watch
        self._clock = clock
        self._kept = kept
        self._listeners = listeners
        self._reads: dict[Key, SharedCounter] = {}
        self._quiets: dict[Key, Quiet] = {}
        self._hearings: dict[str, Hearing] = {}
        self._pairs: dict[str, PairCounters] = {}

    def account(
        self,
        name: str,
        config: AccountConfig,
        venue: Venue,
        keys: Iterable[tuple[CredentialInfo, SigningKey]],
        upstream: Upstream,
        marks: Mapping[str, int],
    ) -> Account:
        """An account as the settings have it now. A reload keeps the depth and the length of a lane's queues."""
        tier = venue.tier(config.tier)
        credentials = [
            Credential(
                info.name,
                info.api_key,
                key,
                self._lane(info, config, marks),
                info.role,
                self._status(info),
                self._counter(info, tier),
                self._quiets.setdefault((info.name, info.fingerprint), Quiet()),
            )
            for info, key in keys
        ]
        hearing = self._hearings.setdefault(name, Hearing(name, self._clock, self._listeners))
        pairs = self._pairs.setdefault(name, PairCounters())
        pairs.allow(tier.orders)
        return Account(name, venue, credentials, upstream, config.call_seconds, self._clock, hearing, pairs)

    def forget(self, key: Key) -> None:
        """A credential is no more, and the last call has left its lane."""
        del self.lanes[key], self.statuses[key], self._reads[key], self._quiets[key]

    def _lane(self, info: CredentialInfo, config: AccountConfig, marks: Mapping[str, int]) -> CredentialLane:
        key = (info.name, info.fingerprint)
        if key not in self.lanes:
            mark = f"credential/{info.name}/{info.fingerprint}"  # a new key under the name begins anew
            nonces = NonceSource(
                mark,
                marks.get(mark, 0),
                self._ledger.raise_mark,
                self._clock,
                on_alarm=lambda text: self._watch.alarm("nonce", text),
            )
            self.lanes[key] = CredentialLane(
                info.name, clock=self._clock, nonces=nonces, depth=config.lane_depth, queue=config.queue
            )
        return self.lanes[key]

    def _status(self, info: CredentialInfo) -> KeyStatus:
        key = (info.name, info.fingerprint)
        if key not in self.statuses:
            self.statuses[key] = KeyStatus(self._kept(info))
        return self.statuses[key]

    def _counter(self, info: CredentialInfo, tier: Tier) -> SharedCounter:
        counter = self._reads.setdefault((info.name, info.fingerprint), SharedCounter())
        counter.allowance = tier.reads
        return counter
