"""Holds what is in force: the home as last loaded, the handle of each real key, and the snapshot that they make."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Set
from typing import TypeAlias, final

from signer.contracts import Known, Marks, SigningKey, Venue
from signer.findings import Finding
from signer.gateway import open_account
from signer.gateway.accounts import KeyId, KeyStates
from signer.gateway.forward import Account
from signer.gateway.snapshot import Client, Revocations, Snapshot
from signer.gateway.trace import Watch
from signer.home.settings import HOME_FILE, AccountConfig
from signer.home.stores import StoreConfig
from signer.keys.sealed_file import ClientHandles
from signer.keys.stores import SigningStores, require_keeps
from signer.model import CredentialInfo
from signer.serving.loaded import LoadedHome, relisted
from signer.serving.pairs_listing import PairsListing
from signer.serving.pools import Pools
from signer.serving.telemetry import Metrics
from signer.upstream import UpstreamPool

Held: TypeAlias = tuple[CredentialInfo, StoreConfig | None]
"""A credential, and the settings of the store outside that holds its secret."""


@final
class HomeInForce:
    """Makes snapshots of a loaded home. Its knowledge of the keys outlives each snapshot."""

    def __init__(
        self,
        loaded: LoadedHome,
        marks: Marks,
        known: Known,
        states: KeyStates,
        pools: Pools,
        stores: SigningStores,
        watch: Watch,
    ) -> None:
        self.loaded = loaded
        self.keys: Mapping[Held, SigningKey] = {}
        self.states = states
        self.pools = pools
        self.stores = stores
        self.listings = {name: self._listing(name, watch) for name in loaded.venues}
        self.revocations = Revocations()
        self._marks = marks
        self._known = known

    async def take(self, loaded: LoadedHome) -> None:
        """Put ``loaded`` in force, with its keys. If it raises `KeyStoreError`, nothing has changed.

        It asks an outside store for new keys only, so that a revocation does not depend on Vault.
        """
        places = [(info, loaded.config.stores.get(info.store)) for info in loaded.store.credentials()]
        keys = await asyncio.gather(*(self._signing_key(info, loaded) for info, _ in places))
        self.loaded, self.keys = loaded, dict(zip(places, keys, strict=True))

    async def fetch_pairs(self) -> Set[str]:
        """Fetch each list of pairs that was not fetched yet, or that lacks a pair which a policy names.

        Returns the venues whose list was fetched.
        """
        wanted = self.lacking() | {name for name, venue in self.loaded.venues.items() if not venue.pairs.complete}
        return {name for name in sorted(wanted) if await self.listings[name].refresh(self.judge_with)}

    def lacking(self) -> Set[str]:
        """Return the venues that do not list a pair which a policy names."""
        return {policy.words.venue for policy in self.loaded.policies.values() if policy.unlisted}

    async def judge_with(self, venue: Venue) -> None:
        """Judge the policies by the venue with another list of pairs. Raises `ConfigError`."""
        self.loaded = relisted(self.loaded, venue)

    async def snapshot(self) -> Snapshot:
        """Return the snapshot of the loaded home."""
        config, venues = self.loaded.config, self.loaded.venues
        for name, venue in venues.items():
            named = [policy for policy in self.loaded.policies.values() if policy.words.venue == name]
            self.listings[name].say(named, complete=venue.pairs.complete)
        marks = await self._marks.marks()
        self.revocations.revoke(self._known.revoked())
        accounts = {name: self._account(name, account, marks) for name, account in config.accounts.items()}
        return Snapshot(venues, self.revocations.applied(_clients(self.loaded)), accounts)

    def public_upstream(self, venue: str) -> UpstreamPool:
        """Return the connections for public calls of a venue."""
        return self.pools.public(self.loaded.config, venue)

    def measure(self, metrics: Metrics) -> None:
        """Set how many pairs each policy names in vain."""
        metrics.unlisted_pairs({name: len(policy.unlisted) for name, policy in self.loaded.policies.items()})

    def live(self) -> set[KeyId]:
        """Return the credentials of the home, by name and fingerprint."""
        return {(info.name, info.fingerprint) for info in self.loaded.store.credentials()}

    def findings(self) -> list[Finding]:
        """Return what was found of the keys in force."""
        live = self.live()
        return [finding for key, one in self.states.statuses.items() if key in live for finding in one.findings]

    def _listing(self, venue: str, watch: Watch) -> PairsListing:
        return PairsListing(
            self.loaded.home.pairs(venue),
            lambda: self.loaded.venues[venue],
            lambda: self.public_upstream(venue),
            watch=watch,
            clock=self.states.clock,
        )

    async def _signing_key(self, info: CredentialInfo, loaded: LoadedHome) -> SigningKey:
        """Return the handle of a credential from its store. Raises `KeyStoreError`."""
        venue = loaded.venue_of(info.account)
        if info.store == HOME_FILE:
            return loaded.store.signing_key(info.name, venue.key_algorithm)
        held = self.keys.get((info, loaded.config.stores.get(info.store)))
        if held is not None:
            return held
        store = self.stores.store(info.store, loaded.config)
        require_keeps(store, venue, info.store)
        return await store.signing_key(info)

    def _account(self, name: str, config: AccountConfig, marks: Mapping[str, int]) -> Account:
        stores = self.loaded.config.stores
        infos = [info for info in self.loaded.store.credentials() if info.account == name]
        keys = [(info, self.keys[info, stores.get(info.store)]) for info in infos]
        upstream = self.pools.of(config.origin, config.resolve)
        return open_account(name, config, self.loaded.venue_of(name), keys, upstream, self.states, marks)


def _clients(loaded: LoadedHome) -> dict[str, Client]:
    """Return the clients by virtual API key, those of a rotation among them; none without a policy.

    A revoked one may be of another venue, which the account was at before. It is left out.
    """
    store, found = loaded.store, dict[str, Client]()
    now = [
        (info, ClientHandles(store.client_key(info.name, info.algorithm), store.client_passphrase(info.name)))
        for info in store.clients()
    ]
    for info, handles in [*now, *store.former_clients()]:
        policy = loaded.policy_of(info)
        if policy is not None and info.algorithm is loaded.venue_of(info.account).client_algorithm:
            found[info.api_key] = Client(info, handles.key, policy, handles.passphrase)
    return found
