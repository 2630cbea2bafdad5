"""Secrets inside Vault's Transit engine: imported once, never to come out; each signature is a call to Vault.

Login, renewal and administration go through hvac on a thread of their own. Signatures go through a sender that is
passed in (our own pooled connections): hvac's way costs several times the round trip (benchmarks/stores.py).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import secrets
from collections.abc import Callable
from typing import Any, final

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from typing_extensions import override

from signer.contracts import SigningKey, SigningStore, Upstream, Worker
from signer.errors import KeyStoreError, StoreUnavailable, VenueError
from signer.home.stores import VaultTransitConfig
from signer.keys.unwrapped import Unwrapped
from signer.keys.vault_client import NO_RIGHT, explained, require_engine, table
from signer.keys.vault_login import VaultLogin
from signer.model import Algorithm, CredentialInfo, WireAnswer, WireRequest
from signer.secret import SECRET_BYTES, Secret

VERSION = 1
"""The version of every Transit key. Each API key has its own, imported once; a later version would sign otherwise."""
_HMAC = re.compile(rb'"hmac":"vault:v%d:([0-9A-Za-z+/]{86}==)"' % VERSION)
"""The member that is asked for: 64 bytes in base64. Vault writes JSON without spaces; to read all of it costs more."""
AGAIN_S = 1.0
"""Between two attempts to log in."""
_WORDS = 200


@final
class TransitKey(SigningKey):
    """Signs with a secret that is in Vault."""

    __slots__ = ("_name", "_store")

    algorithm = Algorithm.HMAC_SHA512

    def __init__(self, store: VaultTransitStore, name: str) -> None:
        self._store = store
        self._name = name

    @override
    async def sign(self, message: bytes) -> bytes:
        return await self._store.hmac(self._name, message)

    def __repr__(self) -> str:
        return f"TransitKey({self._name!r})"


@final
class VaultTransitStore(SigningStore):
    """Keeps secrets in a store of kind ``vault-transit``.

    ``sender`` is the way to the same address; it bounds how many calls are under way. ``admin_token`` is for `add` and
    `remove`; the gateway has none, but ``unwrapped``.
    """

    algorithms = frozenset({Algorithm.HMAC_SHA512})

    def __init__(
        self,
        name: str,
        config: VaultTransitConfig,
        sender: Upstream,
        worker: Worker,
        alarm: Callable[[str], None],
        *,
        unwrapped: Unwrapped | None = None,
        admin_token: str = "",
    ) -> None:
        self._where = f"store {name} ({config.address})"
        self._config = config
        self._sender = sender
        self._worker = worker
        self._alarm = alarm
        rights = {
            f"{config.mount}/hmac/any/sha2-512": frozenset({"update"}),
            f"{config.mount}/keys/any": frozenset({"read"}),
            f"{config.mount}/keys/any/config": frozenset[str](),
            f"{config.mount}/export/hmac-key/any": frozenset[str](),
        }
        self._login = VaultLogin(config, self._where, rights, alarm, unwrapped=unwrapped, admin_token=admin_token)
        self._renewal: asyncio.Task[None] | None = None
        self._logging_in: asyncio.Future[None] | None = None
        self._no_login_before = 0.0
        self._proven = ""

    @override
    async def signing_key(self, info: CredentialInfo) -> TransitKey:
        """Return the handle. Raises `KeyStoreError` if the key is not there, or does not sign as the venue wants."""
        try:
            await self._look_at(info)
        except StoreUnavailable as error:
            self._alarm(f"the key of {info.name} cannot be used now: {error}")
        if self._renewal is None:
            self._renewal = asyncio.get_running_loop().create_task(self._keep_token())
        return TransitKey(self, info.reference)

    async def hmac(self, name: str, message: bytes) -> bytes:
        """Return the HMAC-SHA512 of ``message`` under the key ``name``. Raises `KeyStoreError`.

        A signature changes nothing, so one that got no answer is asked for once more, within the same deadline.
        """
        deadline = asyncio.get_running_loop().time() + self._config.deadline_seconds
        token = self._login.token or await self._new_token("", deadline)
        answer = await self._ask(name, message, token, deadline)
        if answer.status == 403:  # the token ran out or was revoked: whoever waits in line goes on with the next one
            token = await self._new_token(token, deadline)
            answer = await self._ask(name, message, token, deadline)
        signature = self._signature(answer)
        self._proven = token
        return signature

    @override
    def add(self, info: CredentialInfo, secret: Secret) -> None:
        """Import ``secret`` as a key that cannot be exported. Raises `KeyStoreError`."""
        mount, name = self._config.mount, info.reference
        with self._login.administrator() as vault, explained(self._where):
            self._remove(vault, name)
            pem = table(vault.read(f"{mount}/wrapping_key"), "data", where=self._where)["public_key"]
            ciphertext = secret.expose_to(lambda raw: _wrapped(raw, pem))
            options = {"type": "hmac", "key_size": SECRET_BYTES, "hash_function": "SHA256", "exportable": False}
            vault.write_data(f"{mount}/keys/{name}/import", data={**options, "ciphertext": ciphertext.decode()})

    @override
    def remove(self, info: CredentialInfo) -> None:
        with self._login.administrator() as vault, explained(self._where):
            self._remove(vault, info.reference)

    @override
    async def describe(self) -> str:
        """Log in, if that is not done yet. Raises `KeyStoreError`."""
        return await self._worker.run(self._login.describe)

    @override
    async def close(self) -> None:
        """End the renewal."""
        if self._renewal is not None:
            self._renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewal
        await self._worker.run(self._login.close)

    def __repr__(self) -> str:
        return f"VaultTransitStore({self._where!r})"

    async def _ask(self, name: str, message: bytes, token: str, deadline: float) -> WireAnswer:
        body = b'{"key_version":%d,"input":"%s"}' % (VERSION, base64.b64encode(message))
        headers = [("X-Vault-Token", token), ("X-Vault-Request", "true"), ("Content-Type", "application/json")]
        if self._config.namespace:
            headers.append(("X-Vault-Namespace", self._config.namespace))
        request = WireRequest("POST", f"/v1/{self._config.mount}/hmac/{name}/sha2-512", tuple(headers), body)
        try:
            return await self._sender.send(request, deadline)
        except VenueError:
            pass
        try:
            return await self._sender.send(request, deadline)
        except VenueError as error:
            hint = "signer tries again with the next call"
            raise StoreUnavailable(f"Vault cannot be asked: {error.what}", where=self._where, hint=hint) from error

    def _signature(self, answer: WireAnswer) -> bytes:
        if answer.status != 200:
            raise self._no(answer)
        found = _HMAC.search(answer.body)
        if found is None:
            raise KeyStoreError("what it answers is no HMAC-SHA512", where=self._where, hint="check address and mount")
        return base64.b64decode(found[1])

    def _no(self, answer: WireAnswer) -> KeyStoreError:
        said = _errors(answer)
        if answer.status == 403:
            return KeyStoreError(f"Vault refuses to sign: {said}", where=self._where, hint=NO_RIGHT)
        if answer.status in {400, 404}:
            hint = "restore the key, or remove and add the credential"
            return KeyStoreError(f"Vault has no usable key: {said}", where=self._where, hint=hint)
        what = f"Vault does not sign now (HTTP {answer.status}): {said}"
        return StoreUnavailable(what, where=self._where, hint="unseal it or wait")

    async def _new_token(self, refused: str, deadline: float) -> str:
        """Return a token other than ``refused``: one login for all who wait. Raises `KeyStoreError`."""
        loop = asyncio.get_running_loop()
        if self._logging_in is None and self._login.token in {"", refused}:
            # One that never signed may lack the right, and another login would not help. One that did has ended.
            if loop.time() < self._no_login_before and (not refused or refused != self._proven):
                raise KeyStoreError(
                    "Vault refuses the token, and logged us in just now", where=self._where, hint=NO_RIGHT
                )
            self._no_login_before = loop.time() + AGAIN_S
            self._logging_in = asyncio.ensure_future(self._worker.run(self._login.log_in))
            self._logging_in.add_done_callback(self._logged_in)
        if self._logging_in is not None:
            try:
                async with asyncio.timeout_at(deadline):
                    await asyncio.shield(self._logging_in)
            except TimeoutError:
                raise StoreUnavailable("no login in time", where=self._where, hint="see Vault's load") from None
        return self._login.token

    def _logged_in(self, done: asyncio.Future[None]) -> None:
        self._logging_in = None
        if not done.cancelled():
            done.exception()  # told to those who waited; if nobody did, the next call finds out

    async def _keep_token(self) -> None:
        """Renew before the token ends; a failure is said once, then tried again until it works."""
        failed = ""
        while True:
            try:
                wait_s = await self._worker.run(self._login.refresh)
                failed = ""
            except KeyStoreError as error:
                if str(error) != failed:
                    failed = str(error)
                    self._alarm(f"the token for Vault cannot be renewed yet: {error}")
                wait_s = AGAIN_S
            await asyncio.sleep(wait_s)

    async def _look_at(self, info: CredentialInfo) -> None:
        try:
            async with asyncio.timeout(self._config.deadline_seconds):
                await self._worker.run(lambda: self._login.run(lambda vault: self._require_fit(vault, info)))
        except TimeoutError:
            raise StoreUnavailable("Vault did not answer in time", where=self._where, hint="see its load") from None

    def _require_fit(self, vault: Any, info: CredentialInfo) -> None:
        mount, name = self._config.mount, info.reference
        require_engine(vault, mount, "transit", where=self._where)
        where = f"{self._where}, key {name}"
        with explained(where, absent="there is no such key; add it anew with `signer keys add`"):
            key = table(vault.secrets.transit.read_key(name, mount_point=mount), "data", where=where)
        if key.get("type") != "hmac":
            hint = "remove the credential and add it anew"
            raise KeyStoreError(f"it is a key of type {key.get('type')}, not hmac", where=where, hint=hint)
        if any(int(key.get(f"min_{use}_version") or 0) > VERSION for use in ("available", "decryption", "encryption")):
            hint = "restore the key, or remove and add the credential"
            raise KeyStoreError(f"version {VERSION} of it, the imported one, is gone", where=where, hint=hint)
        if key.get("exportable") or key.get("allow_plaintext_backup"):
            self._alarm(f"{where}: it can be taken out of Vault; remove the credential and add it anew")

    def _remove(self, vault: Any, name: str) -> None:
        require_engine(vault, self._config.mount, "transit", where=self._where)
        path = f"{self._config.mount}/keys/{name}"
        if vault.read(path) is not None:
            vault.write_data(f"{path}/config", data={"deletion_allowed": True})
            vault.delete(path)


def _wrapped(raw: bytes | bytearray, public_key: str) -> bytes:
    """Wrap ``raw`` for `import`: AES-KWP (RFC 5649) under a fresh key, which goes along under RSA-OAEP. Base64."""
    wrapping = serialization.load_pem_public_key(public_key.encode())
    assert isinstance(wrapping, rsa.RSAPublicKey)  # noqa: S101 - Transit's is RSA-4096
    ephemeral = secrets.token_bytes(32)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    return base64.b64encode(
        wrapping.encrypt(ephemeral, oaep) + keywrap.aes_key_wrap_with_padding(ephemeral, bytes(raw))
    )


def _errors(answer: WireAnswer) -> str:
    try:
        said = " ".join(map(str, json.loads(answer.body)["errors"]))
    except (ValueError, TypeError, KeyError):
        said = ""
    return "".join(each for each in " ".join(said.split()) if each.isprintable())[:_WORDS] or "no reason given"
