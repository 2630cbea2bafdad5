"""Secrets that cannot be shown by accident, and the handles that sign and verify in their place.

A secret enters the program once, as a `Secret`. It leaves it as a handle that can sign (`Secret.key`), or by a function
that it is exposed to (`Secret.expose_to`), such as an encryption. Nothing else gives its bytes back.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from functools import cache
from typing import Final, NoReturn, TypeVar, final

from signer.errors import KeyStoreError
from signer.model import Algorithm

T = TypeVar("T")

SECRET_BYTES = 64
"""An HMAC-SHA512 secret is the base64 of 64 bytes (docs/kraken.md §2)."""


HMACS: Final = {Algorithm.HMAC_SHA256: hashlib.sha256, Algorithm.HMAC_SHA512: hashlib.sha512}
"""The algorithms by which a shared secret signs, and their digests."""


@final
class HmacKey:
    """A key that signs with an HMAC, and verifies what it signed.

    It keeps an already keyed hash state inside OpenSSL rather than the secret's bytes: there is nothing to ask for.
    """

    __slots__ = ("_keyed", "algorithm")

    def __init__(self, keyed: hmac.HMAC, algorithm: Algorithm) -> None:
        self._keyed = keyed
        self.algorithm = algorithm

    async def sign(self, message: bytes) -> bytes:
        """Return the HMAC of ``message``."""
        return self._mac(message)

    def matches(self, message: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is this key's over ``message``, compared in constant time."""
        return hmac.compare_digest(self._mac(message), signature)

    def _mac(self, message: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(message)
        return mac.digest()

    def __repr__(self) -> str:
        return "HmacKey(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key cannot be copied out of the process")


@final
class PublicKey:
    """The public half of a client's key pair. It verifies signatures and makes none.

    ``raw`` is the 32 bytes of an Ed25519 key, or the point of a P-256 key as SEC 1 writes it. Raises `KeyStoreError`
    if it is neither.
    """

    __slots__ = ("_verify", "algorithm")

    def __init__(self, raw: bytes, algorithm: Algorithm) -> None:
        try:
            self._verify = _verifier(raw, algorithm)
        except ValueError:
            hint = "paste the public key that belongs to the bot's private one"
            raise KeyStoreError(f"this is no public key for {algorithm}", hint=hint) from None
        self.algorithm = algorithm

    def matches(self, message: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is by the private half and over ``message``."""
        return self._verify(message, signature)

    def __repr__(self) -> str:
        return "PublicKey(…)"


@final
class ApiPassphrase:
    """The passphrase that some venues want beside a signature. It can be compared and not read."""

    __slots__ = ("_proof",)

    def __init__(self, raw: bytes | bytearray) -> None:
        self._proof = hashlib.sha256(raw).digest()

    def matches(self, shown: str) -> bool:
        """Return whether ``shown`` is the passphrase, compared in constant time."""
        return hmac.compare_digest(self._proof, hashlib.sha256(shown.encode()).digest())

    def __repr__(self) -> str:
        return "ApiPassphrase(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a passphrase cannot be copied out of the process")


@cache
def dummy_key(algorithm: Algorithm) -> HmacKey | PublicKey:
    """Return a key that nobody has, to do the same work for a caller whose key is unknown."""
    if algorithm in HMACS:
        return Secret(bytes(SECRET_BYTES)).key(algorithm)
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415 - only some venues need it
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - likewise

    if algorithm is Algorithm.ED25519:
        return PublicKey(ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw(), algorithm)
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    return PublicKey(point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint), algorithm)


def _verifier(raw: bytes, algorithm: Algorithm) -> Callable[[bytes, bytes], bool]:
    """Return what tells whether a signature is over a message. Raises ValueError for what is no such public key."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only some venues need it
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils  # noqa: PLC0415 - likewise
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - likewise

    def by_ed25519(message: bytes, signature: bytes) -> None:
        edwards.verify(signature, message)

    def by_p256(message: bytes, signature: bytes) -> None:
        if len(signature) != 64:
            raise InvalidSignature
        halves = (signature[:32], signature[32:])
        pair = utils.encode_dss_signature(*(int.from_bytes(half, "big") for half in halves))
        point.verify(pair, message, ec.ECDSA(SHA256()))

    if algorithm is Algorithm.ED25519:
        edwards = ed25519.Ed25519PublicKey.from_public_bytes(raw)
    elif algorithm is Algorithm.ECDSA_P256:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    else:
        raise ValueError
    verify = by_ed25519 if algorithm is Algorithm.ED25519 else by_p256

    def matches(message: bytes, signature: bytes) -> bool:
        try:
            verify(message, signature)
        except InvalidSignature:
            return False
        return True

    return matches


@final
class Secret:
    """The bytes of a secret, which no `repr`, format, pickle or comparison shows."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes | bytearray) -> None:
        self._raw = bytearray(raw)

    @classmethod
    def from_base64(cls, text: str, *, where: str) -> Secret:
        """Read a secret as the exchange shows it. Raises `KeyStoreError` naming ``where``, never quoting the text."""
        hint = "paste the private key (88 characters, ends in ==), not the public one"
        try:
            raw = base64.b64decode(text.strip().encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            # `from None`: the chained exception would carry the text.
            raise KeyStoreError("the API secret is not base64", where=where, hint=hint) from None
        if len(raw) != SECRET_BYTES:
            what = f"the API secret decodes to {len(raw)} bytes, the exchange's have {SECRET_BYTES}"
            raise KeyStoreError(what, where=where, hint=hint)
        return cls(raw)

    @classmethod
    def taken_from(cls, raw: bytearray) -> Secret:
        """Return the bytes in ``raw``, which is overwritten."""
        secret = cls(raw)
        raw[:] = bytes(len(raw))
        return secret

    def key(self, algorithm: Algorithm = Algorithm.HMAC_SHA512) -> HmacKey:
        """Return the handle that signs with this secret, by one of `HMACS`."""
        return HmacKey(hmac.new(self._raw, digestmod=HMACS[algorithm]), algorithm)

    def expose_to(self, seal: Callable[[bytearray], T]) -> T:
        """Return what ``seal`` makes of the bytes. This is the only way that they go anywhere.

        ``seal`` is lent our own copy, not a new one that nobody could overwrite, and must not keep it.
        """
        return seal(self._raw)

    def wipe(self) -> None:
        """Overwrite our copy. Copies that Python made on the way in are beyond reach (docs/threat-model.md)."""
        self._raw[:] = bytes(len(self._raw))

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        raise TypeError("secrets are not compared; compare signatures")

    __hash__ = None  # type: ignore[assignment]  # a hash would tell two secrets apart

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be copied out of the process")


def fingerprint(api_key: str) -> str:
    """Tell how a key is named in lists and logs: the first 16 hex digits of its SHA-256, never the key."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]
