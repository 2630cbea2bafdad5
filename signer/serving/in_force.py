"""Holds what is in force: the home as last loaded, the handle of each real key, and the snapshot that they make."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TypeAlias, final

from signer.contracts import Ledger, SigningKey, Venue
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
from signer.upstream import UpstreamPool

Held: TypeAlias = tuple[CredentialInfo, StoreConfig | None]
"""A credential, and the settings of the store outside that holds its secret."""


@final
class HomeInForce:
    """Makes snapshots of a loaded home. Its knowledge of the keys outlives each snapshot."""

    def __init__(
        self,
        loaded: LoadedHome,
        ledger: Ledger,
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
        self.listing = PairsListing(
            loaded.home.pairs, lambda: self.loaded.venue, self.public_upstream, watch=watch, clock=states.clock
        )
        self.revocations = Revocations()
        self._ledger = ledger

    async def take(self, loaded: LoadedHome) -> None:
        """Put ``loaded`` in force, with its keys. If it raises `KeyStoreError`, nothing has changed.

        It asks an outside store for new keys only, so that a revocation does not depend on Vault.
        """
        places = [(info, loaded.config.stores.get(info.store)) for info in loaded.store.credentials()]
        keys = await asyncio.gather(*(self._signing_key(info, loaded) for info, _ in places))
        self.loaded, self.keys = loaded, dict(zip(places, keys, strict=True))

    async def fetch_pairs(self) -> bool:
        """Fetch the list of pairs if none was fetched yet, or if a policy names an unlisted pair; whether it did."""
        named_in_vain = any(policy.unlisted for policy in self.loaded.policies.values())
        if not named_in_vain and self.loaded.venue.pairs.complete:
            return False
        return await self.listing.refresh(self.judge_with)

    async def judge_with(self, venue: Venue) -> None:
        """Judge the policies by the venue with another list of pairs. Raises `ConfigError`."""
        self.loaded = relisted(self.loaded, venue)

    async def snapshot(self) -> Snapshot:
        """Return the snapshot of the loaded home."""
        config, venue = self.loaded.config, self.loaded.venue
        self.listing.say(self.loaded.policies.values(), complete=venue.pairs.complete)
        marks = await self._ledger.marks()
        self.revocations.revoke(await self._ledger.revoked())
        accounts = {name: self._account(name, account, marks) for name, account in config.accounts.items()}
        return Snapshot({venue.name: venue}, self.revocations.applied(_clients(self.loaded)), accounts)

    def public_upstream(self) -> UpstreamPool:
        """Return the connections for public calls."""
        return self.pools.public(self.loaded.config)

    def live(self) -> set[KeyId]:
        """Return the credentials of the home, by name and fingerprint."""
        return {(info.name, info.fingerprint) for info in self.loaded.store.credentials()}

    def findings(self) -> list[Finding]:
        """Return what was found of the keys in force."""
        live = self.live()
        return [finding for key, one in self.states.statuses.items() if key in live for finding in one.findings]

    async def _signing_key(self, info: CredentialInfo, loaded: LoadedHome) -> SigningKey:
        """Return the handle of a credential from its store. Raises `KeyStoreError`."""
        if info.store == HOME_FILE:
            return loaded.store.signing_key(info.name, loaded.venue.key_algorithm)
        held = self.keys.get((info, loaded.config.stores.get(info.store)))
        if held is not None:
            return held
        store = self.stores.store(info.store, loaded.config)
        require_keeps(store, loaded.venue, info.store)
        return await store.signing_key(info)

    def _account(self, name: str, config: AccountConfig, marks: Mapping[str, int]) -> Account:
        stores = self.loaded.config.stores
        infos = [info for info in self.loaded.store.credentials() if info.account == name]
        keys = [(info, self.keys[info, stores.get(info.store)]) for info in infos]
        upstream = self.pools.of(config.origin, config.resolve)
        return open_account(name, config, self.loaded.venue, keys, upstream, self.states, marks)


def _clients(loaded: LoadedHome) -> dict[str, Client]:
    """Return the clients by virtual API key, those of a rotation among them; none without a policy.

    A revoked one may be of another venue, which the account was at before. It is left out.
    """
    store, policies, algorithm = loaded.store, loaded.policies, loaded.venue.client_algorithm
    now = [
        (info, ClientHandles(store.client_key(info.name, algorithm), store.client_passphrase(info.name)))
        for info in store.clients()
        if info.algorithm is algorithm
    ]
    return {
        info.api_key: Client(info, handles.key, policies[info.policy], handles.passphrase)
        for info, handles in [*now, *store.former_clients()]
        if info.policy in policies and info.algorithm is algorithm
    }
