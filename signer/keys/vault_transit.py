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
from dataclasses import replace
from typing import Any, Final, NamedTuple, final

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from typing_extensions import override

from signer.contracts import SigningKey, SigningStore, Upstream, Worker
from signer.errors import KeyStoreError, StoreUnavailable, VenueError
from signer.home.stores import VaultTransitConfig
from signer.keys.key_pair import private_of
from signer.keys.unwrapped import Unwrapped
from signer.keys.vault_client import NO_RIGHT, explained, require_engine, table
from signer.keys.vault_login import VaultLogin
from signer.model import Algorithm, CredentialInfo, WireAnswer, WireRequest
from signer.secret import HMACS, Secret, is_signature_size

VERSION = 1
"""The version of every Transit key. Each API key has its own, imported once; a later version would sign otherwise."""
_SIGNATURE = re.compile(rb'"(?:hmac|signature)":"vault:v%d:([0-9A-Za-z+/_-]+={0,2})"' % VERSION)
"""The member that is asked for. Vault writes JSON without spaces; to read all of it costs more."""
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
LEAST_HMAC_BYTES = 32
"""Transit imports no shorter key. HMAC itself pads one with zeros, so the signature is the same (RFC 2104 §2)."""
AGAIN_S = 1.0
"""Between two attempts to log in."""
_WORDS = 200


class _Way(NamedTuple):
    """How Transit is asked for signatures of one algorithm."""

    kind: str
    """What the type of its keys begins with."""
    path: str
    """What goes before and after the key's name."""
    options: bytes = b""
    """Further members of the request."""


_WAYS: Final = {
    Algorithm.HMAC_SHA256: _Way("hmac", "hmac/%s/sha2-256"),
    Algorithm.HMAC_SHA512: _Way("hmac", "hmac/%s/sha2-512"),
    Algorithm.ED25519: _Way("ed25519", "sign/%s/sha2-256"),
    Algorithm.ECDSA_P256: _Way("ecdsa-p256", "sign/%s/sha2-256", b',"marshaling_algorithm":"jws"'),
    Algorithm.RSA_SHA256: _Way("rsa-", "sign/%s/sha2-256", b',"signature_algorithm":"pkcs1v15"'),
}


@final
class TransitKey(SigningKey):
    """Signs with a secret that is in Vault."""

    __slots__ = ("_name", "_store", "algorithm", "passphrase")

    def __init__(self, store: VaultTransitStore, name: str, algorithm: Algorithm) -> None:
        self._store = store
        self._name = name
        self.algorithm = algorithm
        self.passphrase = None

    @override
    async def sign(self, message: bytes) -> bytes:
        return await self._store.sign(self._name, self.algorithm, message)

    def __repr__(self) -> str:
        return f"TransitKey({self._name!r})"


@final
class VaultTransitStore(SigningStore):
    """Keeps secrets in a store of kind ``vault-transit``.

    ``sender`` is the way to the same address; it bounds how many calls are under way. ``admin_token`` is for `add` and
    `remove`; the gateway has none, but ``unwrapped``.
    """

    algorithms = frozenset(_WAYS)
    keeps_passphrases = False

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
            **{f"{config.mount}/{way.path % 'any'}": frozenset({"update"}) for way in _WAYS.values()},
            f"{config.mount}/keys/any": frozenset({"read"}),
            f"{config.mount}/keys/any/config": frozenset[str](),
            f"{config.mount}/export/hmac-key/any": frozenset[str](),
            f"{config.mount}/export/signing-key/any": frozenset[str](),
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
        return TransitKey(self, info.reference, info.algorithm)

    async def sign(self, name: str, algorithm: Algorithm, message: bytes) -> bytes:
        """Return the signature of ``message`` by the key ``name``. Raises `KeyStoreError`.

        A signature changes nothing, so one that got no answer is asked for once more, within the same deadline.
        """
        deadline = asyncio.get_running_loop().time() + self._config.deadline_seconds
        token = self._login.token or await self._new_token("", deadline)
        request = self._request(name, algorithm, message)
        answer = await self._ask(request, token, deadline)
        if answer.status == 403:  # the token ran out or was revoked: whoever waits in line goes on with the next one
            token = await self._new_token(token, deadline)
            answer = await self._ask(request, token, deadline)
        signature = self._signature(answer, algorithm)
        self._proven = token
        return signature

    @override
    def add(self, info: CredentialInfo, secret: Secret) -> None:
        """Import ``secret`` as a key that cannot be exported. Raises `KeyStoreError`."""
        mount, name = self._config.mount, info.reference
        with self._login.administrator() as vault, explained(self._where):
            self._remove(vault, name)
            pem = table(vault.read(f"{mount}/wrapping_key"), "data", where=self._where)["public_key"]
            data = {**_imported(secret, info.algorithm, pem), "hash_function": "SHA256", "exportable": False}
            vault.write_data(f"{mount}/keys/{name}/import", data=data)

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

    def _request(self, name: str, algorithm: Algorithm, message: bytes) -> WireRequest:
        """Return the question for a signature, without a token."""
        way = _WAYS[algorithm]
        body = b'{"key_version":%d,"input":"%s"%s}' % (VERSION, base64.b64encode(message), way.options)
        headers = [("X-Vault-Request", "true"), ("Content-Type", "application/json")]
        if self._config.namespace:
            headers.append(("X-Vault-Namespace", self._config.namespace))
        return WireRequest("POST", f"/v1/{self._config.mount}/{way.path % name}", tuple(headers), body)

    async def _ask(self, request: WireRequest, token: str, deadline: float) -> WireAnswer:
        request = replace(request, headers=(("X-Vault-Token", token), *request.headers))
        try:
            return await self._sender.send(request, deadline)
        except VenueError:
            pass
        try:
            return await self._sender.send(request, deadline)
        except VenueError as error:
            hint = "signer tries again with the next call"
            raise StoreUnavailable(f"Vault cannot be asked: {error.what}", where=self._where, hint=hint) from error

    def _signature(self, answer: WireAnswer, algorithm: Algorithm) -> bytes:
        if answer.status != 200:
            raise self._no(answer)
        found = _SIGNATURE.search(answer.body)
        signature = _decoded(found[1]) if found else b""
        if not is_signature_size(algorithm, len(signature)):
            what = f"what it answers is no signature by {algorithm}"
            raise KeyStoreError(what, where=self._where, hint="check address and mount")
        return signature

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
        kind = _WAYS[info.algorithm].kind
        if not str(key.get("type")).startswith(kind):
            hint = "remove the credential and add it anew"
            raise KeyStoreError(f"it is a key of type {key.get('type')}, not {kind}", where=where, hint=hint)
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


def _decoded(text: bytes) -> bytes:
    """Return what base64 of either alphabet stands for, with or without padding as in a JWS; empty if nothing."""
    try:
        return base64.b64decode(text.translate(_URL_SAFE).rstrip(b"=") + b"==")
    except ValueError:
        return b""


def _imported(secret: Secret, algorithm: Algorithm, pem: str) -> dict[str, object]:
    """Return what tells `import` which key it is given. Raises `KeyStoreError`."""
    if algorithm in HMACS:
        raw = secret.expose_to(lambda raw: bytes(raw).ljust(LEAST_HMAC_BYTES, b"\0"))
        return {"type": "hmac", "key_size": len(raw), "ciphertext": _wrapped(raw, pem).decode()}
    private, kind = private_of(secret, algorithm), _WAYS[algorithm].kind
    if isinstance(private, rsa.RSAPrivateKey):
        kind += str(private.key_size)
    return {"type": kind, "ciphertext": secret.expose_to(lambda raw: _wrapped(raw, pem)).decode()}


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
