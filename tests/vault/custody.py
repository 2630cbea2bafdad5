"""One credential in a store of each kind, put there as `signer keys add` does and used as the gateway does."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signer.contracts import SigningKey, SigningStore
from signer.home.settings import HOME_FILE, Config
from signer.keys.file import FileKeyStore
from signer.keys.stores import SigningStores
from signer.model import Algorithm, CredentialInfo
from signer.secret import Secret
from tests.harness.stores import CANARY, new_store
from tests.vault.running import RunningVault
from tests.vault.softhsm import LABEL, Token, module

KINDS = ("file", "vault-kv", "vault-transit", "pkcs11")
DEADLINE_S = 20.0
"""Longer than a busy machine takes: where a test wants a short one it says so."""


def vault_settings(vault: RunningVault, kind: str, **settings: object) -> dict[str, Any]:
    """A table for signer.toml, as the docs show it, with what setup.sh made."""
    login = {"method": "approle", "role_id": vault.role_id, "secret_id_file": str(vault.secret_id_file)}
    made = {"kind": kind, "address": vault.address, "ca_file": str(vault.authority.file), "login": login}
    return {**made, "deadline_seconds": DEADLINE_S, **settings}


def wrapped_login(vault: RunningVault, folder: Path) -> dict[str, object]:
    """A login by a secret-id that setup.sh left wrapped in ``folder``."""
    vault.set_up(folder, WRAP_TTL="10m")
    return {"method": "approle", "role_id": vault.role_id, "secret_id_file": str(folder / "secret-id"), "wrapped": True}


def token_settings(token: Token, /, **settings: object) -> dict[str, Any]:
    """A table for signer.toml."""
    made = {"kind": "pkcs11", "module": str(module()), "token": LABEL, "pin_file": str(token.pin_file)}
    return {**made, "deadline_seconds": DEADLINE_S, **settings}


@dataclass
class Custody:
    """A home's key file, and one account whose secrets are in the store ``it``, or in the file if there is no table."""

    file: FileKeyStore
    config: Config
    admin_token: str = field(default="", repr=False)
    alarms: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stores = SigningStores(self.alarms.append)
        self._admin_stores: list[SigningStores] = []

    @classmethod
    def made(cls, folder: Path, table: dict[str, Any] | None, admin_token: str = "") -> Custody:
        """A new home in ``folder``; ``table`` as it stands in signer.toml."""
        account = {"store": "it"} if table else {}
        config = Config.model_validate({"stores": {"it": table} if table else {}, "accounts": {"main": account}})
        return cls(new_store(folder / "keys.json"), config, admin_token)

    def admin(self) -> SigningStore | None:
        """The store, opened as the command line does."""
        if not self.config.stores:
            return None
        opened = SigningStores(self.alarms.append, interactive=True, admin_token=self.admin_token)
        self._admin_stores.append(opened)
        return opened.store("it", self.config)

    async def close(self) -> None:
        """Close whatever was opened."""
        for opened in (self.stores, *self._admin_stores):
            await opened.close()

    def add(
        self,
        name: str,
        raw: bytes | Secret = CANARY,
        api_key: str = "",
        algorithm: Algorithm = Algorithm.HMAC_SHA512,
    ) -> CredentialInfo:
        """`signer keys add`."""
        admin = self.admin()
        elsewhere = None if admin is None else ("it", admin)
        secret, key = raw if isinstance(raw, Secret) else Secret(raw), api_key or secrets.token_hex(28)
        self.file.add_credential(name, "main", key, secret, created_us=1, algorithm=algorithm, elsewhere=elsewhere)
        return self.info(name)

    def remove(self, name: str) -> None:
        """`signer keys remove`."""
        self.file.remove_credential(name, self.admin())

    def info(self, name: str) -> CredentialInfo:
        """What the home says of a credential."""
        return next(info for info in self.file.credentials() if info.name == name)

    async def key(self, name: str) -> SigningKey:
        """The handle, got as the gateway gets it."""
        info = self.info(name)
        if info.store == HOME_FILE:
            return self.file.signing_key(name, info.algorithm)
        return await self.stores.store(info.store, self.config).signing_key(info)
