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

LEAST_RSA_BITS = 2048
MOST_RSA_BITS = 4096

HMACS: Final = {Algorithm.HMAC_SHA256: hashlib.sha256, Algorithm.HMAC_SHA512: hashlib.sha512}
"""The algorithms by which a shared secret signs, and their digests."""


@final
class HmacKey:
    """A key that signs with an HMAC, and verifies what it signed.

    It keeps an already keyed hash state inside OpenSSL rather than the secret's bytes: there is nothing to ask for.
    ``passphrase`` is what the venue is shown beside a signature, if it wants that.
    """

    __slots__ = ("_keyed", "algorithm", "passphrase")

    def __init__(self, keyed: hmac.HMAC, algorithm: Algorithm, passphrase: Secret | None = None) -> None:
        self._keyed = keyed
        self.algorithm = algorithm
        self.passphrase = passphrase

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

    ``der`` is the key as a certificate has it (SubjectPublicKeyInfo, RFC 5280 §4.1). Raises `KeyStoreError` if it is
    no such key for ``algorithm``.
    """

    __slots__ = ("_verify", "algorithm")

    def __init__(self, der: bytes | bytearray, algorithm: Algorithm) -> None:
        try:
            self._verify = _verifier(bytes(der), algorithm)
        except ValueError:
            hint = "give the public key that belongs to the bot's private one"
            raise KeyStoreError(f"this is no public key for {algorithm}", hint=hint) from None
        self.algorithm = algorithm

    def matches(self, message: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is by the private half and over ``message``."""
        return self._verify(message, signature)

    def __repr__(self) -> str:
        return "PublicKey(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client's key cannot be copied out of the process")


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
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415 - only some venues need it
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - likewise

    public: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    if algorithm is Algorithm.ED25519:
        public = ed25519.Ed25519PrivateKey.generate().public_key()
    elif algorithm is Algorithm.ECDSA_P256:
        public = ec.generate_private_key(ec.SECP256R1()).public_key()
    else:
        public = rsa.generate_private_key(65537, LEAST_RSA_BITS).public_key()
    return PublicKey(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), algorithm)


def _verifier(der: bytes, algorithm: Algorithm) -> Callable[[bytes, bytes], bool]:
    """Return what tells whether a signature is over a message. Raises ValueError for what is no such public key."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415 - only some venues
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415 - likewise

    try:
        verify = _verifying(load_der_public_key(der), algorithm)
    except UnsupportedAlgorithm:
        raise ValueError from None

    def matches(message: bytes, signature: bytes) -> bool:
        try:
            verify(message, signature)
        except InvalidSignature:
            return False
        return True

    return matches


def _verifying(public: object, algorithm: Algorithm) -> Callable[[bytes, bytes], None]:
    """Return what raises InvalidSignature unless a signature is over a message. Raises ValueError for another key."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only some venues need it
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils  # noqa: PLC0415 - likewise
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - likewise

    def by_p256(message: bytes, signature: bytes) -> None:
        if len(signature) != 64:
            raise InvalidSignature
        halves = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        point.verify(utils.encode_dss_signature(*halves), message, ec.ECDSA(SHA256()))

    if algorithm is Algorithm.ED25519 and isinstance(public, ed25519.Ed25519PublicKey):
        return lambda message, signature: public.verify(signature, message)
    if algorithm is Algorithm.ECDSA_P256 and isinstance(public, ec.EllipticCurvePublicKey):
        point = public
        if isinstance(point.curve, ec.SECP256R1):
            return by_p256
    if algorithm is Algorithm.RSA_SHA256 and isinstance(public, rsa.RSAPublicKey) and is_rsa_size(public.key_size):
        return lambda message, signature: public.verify(signature, message, padding.PKCS1v15(), SHA256())
    raise ValueError


def is_signature_size(algorithm: Algorithm, size: int) -> bool:
    """Return whether a signature by ``algorithm`` can have so many bytes."""
    if algorithm is Algorithm.RSA_SHA256:
        return is_rsa_size(8 * size)
    return size == (HMACS[algorithm]().digest_size if algorithm in HMACS else 64)


def is_rsa_size(bits: int) -> bool:
    """Return whether an RSA key of so many bits is strong enough, and signs in bounded time."""
    return LEAST_RSA_BITS <= bits <= MOST_RSA_BITS


@final
class Secret:
    """The bytes of a secret, which no `repr`, format, pickle or comparison shows.

    ``passphrase`` goes with the secret of an API key where the venue wants one beside each signature.
    """

    __slots__ = ("_raw", "passphrase")

    def __init__(self, raw: bytes | bytearray, passphrase: Secret | None = None) -> None:
        self._raw = bytearray(raw)
        self.passphrase = passphrase

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
        """Return the handle that signs with this secret, by one of `HMACS`, and has a copy of the passphrase."""
        shown = None if self.passphrase is None else self.passphrase.expose_to(Secret)
        return HmacKey(hmac.new(self._raw, digestmod=HMACS[algorithm]), algorithm, shown)

    def client_key(self, algorithm: Algorithm) -> HmacKey | PublicKey:
        """Return the handle that verifies a client's signatures: by this shared secret, or by this public key."""
        if algorithm in HMACS:
            return HmacKey(hmac.new(self._raw, digestmod=HMACS[algorithm]), algorithm)
        return PublicKey(self._raw, algorithm)

    def client_passphrase(self) -> ApiPassphrase | None:
        """Return the handle that knows the passphrase; None if there is none."""
        return None if self.passphrase is None else self.passphrase.expose_to(ApiPassphrase)

    def expose_to(self, seal: Callable[[bytearray], T]) -> T:
        """Return what ``seal`` makes of the bytes. This is the only way that they go anywhere.

        ``seal`` is lent our own copy, not a new one that nobody could overwrite, and must not keep it.
        """
        return seal(self._raw)

    def wipe(self) -> None:
        """Overwrite our copy. Copies that Python made on the way in are beyond reach (docs/threat-model.md)."""
        self._raw[:] = bytes(len(self._raw))
        if self.passphrase is not None:
            self.passphrase.wipe()

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
