"""Secrets in Vault's KV engine, version 2: read at the start and when one is added, and held as handles.

A running gateway needs Vault for nothing: it goes on with the handles that it holds.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from typing import Any, final

from typing_extensions import override

from signer.contracts import SigningKey, SigningStore, Worker
from signer.errors import KeyStoreError, StoreUnavailable
from signer.home.stores import VaultKvConfig
from signer.keys.key_pair import PrivateKey, signing_handle
from signer.keys.unwrapped import Unwrapped
from signer.keys.vault_client import explained, require_engine, table, write
from signer.keys.vault_login import VaultLogin
from signer.model import Algorithm, CredentialInfo
from signer.secret import HmacKey, Secret

AGAIN_S = 1.0
"""Between two attempts to read a secret that could not be read at the start."""


@final
class HeldKey(SigningKey):
    """Signs from the moment at which its secret could be read."""

    def __init__(self, store: VaultKvStore, info: CredentialInfo) -> None:
        self.algorithm = info.algorithm
        self.passphrase: Secret | None = None
        self._store = store
        self._info = info
        self._key: HmacKey | PrivateKey | None = None
        self._failure: KeyStoreError | None = None
        self._not_before = 0.0

    @override
    async def sign(self, message: bytes) -> bytes:
        """Sign after reading the secret if nobody could yet. Raises `KeyStoreError` if that fails again."""
        if self._key is None:
            await self._read_late()
        assert self._key is not None  # noqa: S101 - read, or raised
        return await self._key.sign(message)

    async def read(self) -> None:
        """Take the secret as it is in Vault now; what is held stays if Vault does not answer."""
        self._key = await self._store.read(self._info)
        self.passphrase = self._key.passphrase

    async def _read_late(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._failure is not None and now < self._not_before:
            raise self._failure
        try:
            await self.read()
        except KeyStoreError as error:
            self._failure, self._not_before = error, now + AGAIN_S
            raise

    def __repr__(self) -> str:
        return f"HeldKey({self._info.name!r})"


@final
class VaultKvStore(SigningStore):
    """Keeps secrets in a store of kind ``vault-kv``.

    ``admin_token`` is for `add` and `remove`; the gateway has none, but ``unwrapped``.
    """

    algorithms = frozenset(Algorithm)
    keeps_passphrases = True

    def __init__(
        self,
        name: str,
        config: VaultKvConfig,
        worker: Worker,
        alarm: Callable[[str], None],
        *,
        unwrapped: Unwrapped | None = None,
        admin_token: str = "",
    ) -> None:
        self._where = f"store {name} ({config.address})"
        self._config = config
        self._worker = worker
        self._alarm = alarm
        data = f"{config.mount}/data/{config.prefix}"
        rights = {f"{data}/any": frozenset({"read"}), f"{config.mount}/metadata/{config.prefix}/any": frozenset[str]()}
        self._login = VaultLogin(config, self._where, rights, alarm, unwrapped=unwrapped, admin_token=admin_token)
        self._held: dict[str, HeldKey] = {}

    @override
    async def signing_key(self, info: CredentialInfo) -> HeldKey:
        """Return the handle; its secret is read now, or as soon as Vault answers. Raises `KeyStoreError`."""
        key = self._held.get(info.reference) or HeldKey(self, info)
        try:
            await key.read()
        except StoreUnavailable as error:
            self._alarm(f"the secret of {info.name} cannot be read now: {error}")
        self._held[info.reference] = key
        return key

    async def read(self, info: CredentialInfo) -> HmacKey | PrivateKey:
        """Return the secret's handle, from Vault. Raises `KeyStoreError`."""
        try:
            async with asyncio.timeout(self._config.deadline_seconds):
                return await self._worker.run(lambda: self._login.run(lambda vault: self._read(vault, info)))
        except TimeoutError:
            raise StoreUnavailable("Vault did not answer in time", where=self._where, hint="see its load") from None

    @override
    def add(self, info: CredentialInfo, secret: Secret) -> None:
        """Write the entry. Vault keeps it encrypted; whoever may read that path can read it. Raises `KeyStoreError`."""
        entry = {"api_key": info.api_key, "api_secret": secret.expose_to(base64.b64encode).decode()}
        if secret.passphrase is not None:
            entry["api_passphrase"] = secret.passphrase.expose_to(bytes).decode()
        with self._login.administrator() as vault, explained(self._where):
            require_engine(vault, self._config.mount, "kv", where=self._where)
            write(vault, f"{self._config.mount}/data/{self._path(info)}", {"data": entry})

    @override
    def remove(self, info: CredentialInfo) -> None:
        with self._login.administrator() as vault, explained(self._where):
            require_engine(vault, self._config.mount, "kv", where=self._where)
            vault.secrets.kv.v2.delete_metadata_and_all_versions(self._path(info), mount_point=self._config.mount)

    @override
    async def describe(self) -> str:
        """Log in, if that is not done yet. Raises `KeyStoreError`."""
        return await self._worker.run(self._login.describe)

    @override
    async def close(self) -> None:
        await self._worker.run(self._login.close)

    def __repr__(self) -> str:
        return f"VaultKvStore({self._where!r})"

    def _read(self, vault: Any, info: CredentialInfo) -> HmacKey | PrivateKey:
        require_engine(vault, self._config.mount, "kv", where=self._where)
        path, where = self._path(info), f"{self._where}, entry {self._path(info)}"
        absent = "there is no such entry, or it was deleted; add the key anew with `signer keys add`"
        with explained(where, absent=absent):
            answer = vault.secrets.kv.v2.read_secret_version(
                path, mount_point=self._config.mount, raise_on_deleted_version=True
            )
        return _handle(table(answer, "data", "data", where=where), info, where)

    def _path(self, info: CredentialInfo) -> str:
        return f"{self._config.prefix}/{info.reference}"


def _handle(entry: Mapping[str, Any], info: CredentialInfo, where: str) -> HmacKey | PrivateKey:
    members = ["api_key", "api_secret", "api_passphrase"][: 3 if info.has_passphrase else 2]
    if set(entry) != set(members) or not all(isinstance(value, str) for value in entry.values()):
        hint = f"an entry has exactly {' and '.join(members)}; add the key anew with `signer keys add`"
        raise KeyStoreError("this is not an API key and its secret", where=where, hint=hint)
    if entry["api_key"] != info.api_key:
        what = f"it holds another API key than that of {info.name}"
        raise KeyStoreError(what, where=where, hint="put the entry back, or remove and add the key")
    shown = Secret(entry["api_passphrase"].encode()) if info.has_passphrase else None
    secret = Secret(_decoded(entry["api_secret"], info.algorithm, where), shown)
    key = signing_handle(secret, info.algorithm)
    secret.wipe()
    return key


def _decoded(text: str, algorithm: Algorithm, where: str) -> bytearray:
    if algorithm is Algorithm.HMAC_SHA512:
        return Secret.from_base64(text, where=where).expose_to(bytearray)
    try:
        return bytearray(base64.b64decode(text.encode("ascii"), validate=True))
    except ValueError:
        hint = "put the entry back, or remove and add the key"
        raise KeyStoreError("the API secret is not base64", where=where, hint=hint) from None
