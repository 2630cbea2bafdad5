"""The keys of one store, as handles: they seal, open and authenticate, and nothing asks them for their bytes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import NamedTuple, NoReturn, TypeAlias, final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from signer.keys.argon import KEY_BYTES
from signer.secret import SECRET_BYTES, Secret

DATA_KEY_BYTES = 32
NONCE_BYTES = 12
"""96 bits, drawn at random (NIST SP 800-38D §8.2.2: good for 2^32 seals; each data key here seals once)."""

TAG_BYTES = 16
"""AES-GCM's own (NIST SP 800-38D §5.2.1.2)."""

RandomBytes: TypeAlias = Callable[[int], bytes]
"""Gives that many random bytes: `secrets.token_bytes`, or a test's own."""


class Sealed(NamedTuple):
    """A secret at rest: its data key wrapped by the store's key, and itself under the data key. Both hex."""

    data_key: str
    secret: str


_DECOY_KEY = AESGCM(bytes(DATA_KEY_BYTES))
_DECOY = _DECOY_KEY, bytes(NONCE_BYTES) + _DECOY_KEY.encrypt(bytes(NONCE_BYTES), bytes(SECRET_BYTES), b"")
"""Opened after each secret: it leaves its zeros in the vector registers and on the stack, where the secret's last bytes
would stay (and be copied on by the next thread to start, or the next function to be linked)."""


@final
class StoreKeys:
    """What a passphrase opens: the key-encryption key and the key that authenticates the whole file.

    Each secret is under a data key of its own (AES-256-GCM), and ``identity`` is associated data of both layers: a
    sealed secret only opens together with exactly the name, account, policy … that it was sealed with.
    """

    __slots__ = ("_authenticator", "_wrapping")

    def __init__(self, derived: bytearray) -> None:
        """Take over ``derived`` (what `argon.derive` gives), which is overwritten."""
        assert len(derived) == KEY_BYTES  # noqa: S101
        halves = derived[:32], derived[32:]
        self._wrapping = AESGCM(halves[0])
        self._authenticator = hmac.new(halves[1], digestmod=hashlib.sha256)
        for key in (derived, *halves):
            key[:] = bytes(len(key))

    def mac(self, label: bytes, content: bytes) -> str:
        """Return the HMAC-SHA256 (hex) of ``content``; ``label`` keeps the uses apart."""
        mac = self._authenticator.copy()
        mac.update(label + b"\0" + content)
        return mac.hexdigest()

    def seal(self, secret: Secret, identity: bytes, random_bytes: RandomBytes) -> Sealed:
        """Seal ``secret`` under a fresh data key, bound to ``identity``."""
        data_key = random_bytes(DATA_KEY_BYTES)
        sealed = secret.expose_to(lambda raw: _encrypt(AESGCM(data_key), raw, b"secret\0" + identity, random_bytes))
        wrapped = _encrypt(self._wrapping, data_key, b"data key\0" + identity, random_bytes)
        return Sealed(wrapped.hex(), sealed.hex())

    def open(self, sealed: Sealed, identity: bytes) -> Secret:
        """Open it for a caller to use and wipe. Raises `cryptography.exceptions.InvalidTag`, or ValueError."""
        data_key = _decrypt(self._wrapping, bytes.fromhex(sealed.data_key), b"data key\0" + identity)
        try:
            raw = _decrypt(AESGCM(data_key), bytes.fromhex(sealed.secret), b"secret\0" + identity)
        finally:
            data_key[:] = bytes(len(data_key))
            _decrypt(*_DECOY, b"")
        return Secret.taken_from(raw)

    def __repr__(self) -> str:
        return "StoreKeys(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("the keys of a store cannot be copied out of the process")


def _encrypt(key: AESGCM, plain: bytes | bytearray, identity: bytes, random_bytes: RandomBytes) -> bytes:
    nonce = random_bytes(NONCE_BYTES)
    return nonce + key.encrypt(nonce, plain, identity)


def _decrypt(key: AESGCM, sealed: bytes, identity: bytes) -> bytearray:
    """Copy it into memory that whoever asked can overwrite."""
    plain = bytearray(max(0, len(sealed) - NONCE_BYTES - TAG_BYTES))
    key.decrypt_into(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], identity, plain)
    return plain
