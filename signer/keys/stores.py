"""Opens the store of ``[stores.NAME]``: the only place that names the kinds.

A further kind is one file in `signer/keys`, its table in `signer/home/stores.py`, and a branch here. Backends are
imported when they are first needed: a home whose keys are in its file loads neither hvac nor a PKCS#11 module.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import final

from signer.contracts import SigningStore, Venue
from signer.errors import ConfigError, KeyStoreError
from signer.home.settings import Config
from signer.home.stores import Pkcs11Config, StoreConfig, VaultKvConfig
from signer.keys.unwrapped import Unwrapped
from signer.offload.worker import ThreadWorker
from signer.upstream import UpstreamPool


def require_keeps(store: SigningStore, venue: Venue, name: str) -> None:
    """Raise `KeyStoreError` unless the store ``name`` can keep a key of ``venue``."""
    where = f"store {name}"
    if venue.key_algorithm not in store.algorithms:
        what = f"its keys sign by {', '.join(sorted(store.algorithms))}, and {venue.name} wants {venue.key_algorithm}"
        raise KeyStoreError(what, where=where, hint="keep the keys of this account in another store")
    if venue.has_passphrase and not store.keeps_passphrases:
        what = f"{venue.name} wants a passphrase beside each signature, and this store keeps none"
        raise KeyStoreError(what, where=where, hint="keep the keys of this account in the key file or in Vault's KV")


@final
class SigningStores:
    """The stores outside the home that signer.toml names, each made when it is first asked for.

    ``alarm`` hears what an operator should know. ``unwrapped`` outlives the gateway's worker; ``interactive`` and
    ``admin_token`` are for the command line.
    """

    def __init__(
        self,
        alarm: Callable[[str], None],
        *,
        unwrapped: Unwrapped | None = None,
        interactive: bool = False,
        admin_token: str = "",
    ) -> None:
        self._alarm = alarm
        self._unwrapped = unwrapped
        self._interactive = interactive
        self._admin_token = admin_token
        self._made: dict[tuple[str, StoreConfig], SigningStore] = {}
        self._workers: dict[str, ThreadWorker] = {}
        self._senders: list[UpstreamPool] = []

    def store(self, name: str, config: Config) -> SigningStore:
        """Return the store ``name`` of ``config``. Raises `ConfigError` if it cannot be one as it is set."""
        settings = config.stores[name]
        if (name, settings) not in self._made:
            self._made[name, settings] = self._make(name, settings)
        return self._made[name, settings]

    async def keep_only(self, config: Config) -> None:
        """Close the stores that ``config`` does not name as they are."""
        for name, settings in list(self._made):
            if config.stores.get(name) != settings:
                await self._made.pop((name, settings)).close()

    async def close(self) -> None:
        """Close all; for good."""
        for store in self._made.values():
            await store.close()
        for sender in self._senders:
            sender.close()
        for worker in self._workers.values():
            worker.close()

    def _make(self, name: str, settings: StoreConfig) -> SigningStore:
        if isinstance(settings, Pkcs11Config):
            return self._pkcs11(name, settings)
        if isinstance(settings, VaultKvConfig):
            from signer.keys.vault_kv import VaultKvStore  # noqa: PLC0415

            return VaultKvStore(
                name,
                settings,
                self._worker(name),
                self._alarm,
                unwrapped=self._unwrapped,
                admin_token=self._admin_token,
            )
        from signer.keys.vault_transit import VaultTransitStore  # noqa: PLC0415

        limit = settings.in_flight
        sender = UpstreamPool.open(settings.address, ca_file=settings.ca_file, keep=limit, limit=limit)
        self._senders.append(sender)
        return VaultTransitStore(
            name,
            settings,
            sender,
            self._worker(name),
            self._alarm,
            unwrapped=self._unwrapped,
            admin_token=self._admin_token,
        )

    def _pkcs11(self, name: str, settings: Pkcs11Config) -> SigningStore:
        try:
            from signer.keys.pkcs11 import Pkcs11Store  # noqa: PLC0415
        except ImportError:
            hint = "install it: `pip install --require-hashes -r requirements-hsm.lock`"
            raise ConfigError("python-pkcs11 is not here", where=f"stores.{name}", hint=hint) from None
        # One thread for a module, not for a store: to look for tokens anew ends the sessions of all of them.
        worker = self._worker(os.path.realpath(settings.module))
        return Pkcs11Store(name, settings, worker, self._alarm, interactive=self._interactive)

    def _worker(self, name: str) -> ThreadWorker:
        if name not in self._workers:
            self._workers[name] = ThreadWorker(f"store-{Path(name).name}")
        return self._workers[name]
