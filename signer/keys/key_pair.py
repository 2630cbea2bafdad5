"""Key pairs of venues that verify by a public key: real private keys that sign, and clients' keys made or read.

A private key is a `Secret` of its PKCS #8 bytes (RFC 5958), a public one the bytes of its SubjectPublicKeyInfo (RFC
5280 §4.1). Both are DER.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import NoReturn, TypeAlias, final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)
from typing_extensions import override

from signer.contracts import ClientKey, SigningKey
from signer.errors import KeyStoreError
from signer.model import Algorithm
from signer.secret import HMACS, LEAST_RSA_BITS, HmacKey, PublicKey, Secret, is_rsa_size

Private: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
SEED_BYTES = 32
"""An Ed25519 private key (RFC 8032 §5.1.5). Some venues show it with the public key of the same length behind it."""
PROBE = b"signer: is this one pair?"
"""No exchange takes it for a call."""
_PRIVATE = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")


@final
class PrivateKey(SigningKey):
    """Signs with a private key, which OpenSSL holds: no attribute leads to its bytes."""

    __slots__ = ("_public", "_sign", "algorithm", "passphrase")

    def __init__(self, secret: Secret, algorithm: Algorithm) -> None:
        self._sign = _signer(private_of(secret, algorithm))
        self._public = public_half(secret, algorithm).expose_to(lambda der: PublicKey(der, algorithm))
        self.algorithm = algorithm
        self.passphrase = None if secret.passphrase is None else secret.passphrase.expose_to(Secret)

    @override
    async def sign(self, message: bytes) -> bytes:
        return self._sign(message)

    def matches(self, message: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is this key's over ``message``."""
        return self._public.matches(message, signature)

    def is_half_of(self, client: ClientKey) -> bool:
        """Return whether ``client`` verifies what this key signs, so that both are of one pair."""
        return client.algorithm is self.algorithm and client.matches(PROBE, self._sign(PROBE))

    def __repr__(self) -> str:
        return "PrivateKey(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key cannot be copied out of the process")


def signing_handle(secret: Secret, algorithm: Algorithm) -> HmacKey | PrivateKey:
    """Return the handle that signs with ``secret``. Raises `KeyStoreError` if it is no secret for ``algorithm``."""
    return secret.key(algorithm) if algorithm in HMACS else PrivateKey(secret, algorithm)


def private_of(secret: Secret, algorithm: Algorithm) -> Private:
    """Return the private key in ``secret``, for a store to use. Raises `KeyStoreError` if it is of another kind."""
    try:
        return _of(algorithm, secret.expose_to(lambda raw: load_der_private_key(raw, None)))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        hint = "remove the credential and add it anew"
        raise KeyStoreError(f"this is no private key for {algorithm}", hint=hint) from None


def read_private(text: str, algorithm: Algorithm, *, where: str) -> Secret:
    """Read a private key as venues and OpenSSL write it: PEM, or base64 of PKCS #8 or of an Ed25519 seed.

    Raises `KeyStoreError` naming ``where``, never quoting the text.
    """
    try:
        private = _of(algorithm, _loaded(text.replace("\\n", "\n").strip(), algorithm))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        hint = "give it in PEM (PKCS #8, without a password) or in base64"
        raise KeyStoreError(f"this is no private key for {algorithm}", where=where, hint=hint) from None
    return Secret.taken_from(bytearray(private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())))


def read_public(text: str, algorithm: Algorithm, *, where: str) -> Secret:
    """Read a client's public key, in PEM or in base64 of its DER, as what a store keeps of the client.

    Raises `KeyStoreError` naming ``where``, never quoting the text.
    """
    text = text.replace("\\n", "\n").strip()
    if _PRIVATE.search(text):
        what = "this is a private key, which only the bot should have"
        hint = "make a new pair, and give the public key: `openssl pkey -in FILE -pubout`"
        raise KeyStoreError(what, where=where, hint=hint)
    try:
        public = load_pem_public_key(text.encode()) if "-----BEGIN" in text else load_der_public_key(_base64_of(text))
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        PublicKey(der, algorithm)
    except (ValueError, TypeError, UnsupportedAlgorithm, KeyStoreError):
        hint = "give it in PEM (`openssl pkey -in FILE -pubout`)"
        raise KeyStoreError(f"this is no public key for {algorithm}", where=where, hint=hint) from None
    return Secret(der)


def new_private(algorithm: Algorithm) -> Secret:
    """Make a private key for ``algorithm``."""
    made: dict[Algorithm, Callable[[], Private]] = {
        Algorithm.ED25519: ed25519.Ed25519PrivateKey.generate,
        Algorithm.ECDSA_P256: lambda: ec.generate_private_key(ec.SECP256R1()),
        Algorithm.RSA_SHA256: lambda: rsa.generate_private_key(65537, LEAST_RSA_BITS),
    }
    der = made[algorithm]().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return Secret.taken_from(bytearray(der))


def public_half(secret: Secret, algorithm: Algorithm) -> Secret:
    """Return the public key of the private one in ``secret``, as what a store keeps of a client."""
    public = private_of(secret, algorithm).public_key()
    return Secret(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _signer(private: Private) -> Callable[[bytes], bytes]:
    """Return a function that signs. No attribute of it is the key, which could be asked for its bytes."""

    def sign(message: bytes) -> bytes:
        if isinstance(private, ed25519.Ed25519PrivateKey):
            return private.sign(message)
        if isinstance(private, rsa.RSAPrivateKey):
            return private.sign(message, padding.PKCS1v15(), SHA256())
        pair = utils.decode_dss_signature(private.sign(message, ec.ECDSA(SHA256())))
        return b"".join(number.to_bytes(32, "big") for number in pair)

    return sign


def _of(algorithm: Algorithm, private: object) -> Private:
    """Return ``private`` if it is a key for ``algorithm``. Raises ValueError otherwise."""
    match private:
        case ed25519.Ed25519PrivateKey() if algorithm is Algorithm.ED25519:
            return private
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()) if algorithm is Algorithm.ECDSA_P256:
            return private
        case rsa.RSAPrivateKey() if algorithm is Algorithm.RSA_SHA256 and is_rsa_size(private.key_size):
            return private
    raise ValueError


def _loaded(text: str, algorithm: Algorithm) -> object:
    if "-----BEGIN" in text:
        return load_pem_private_key(text.encode(), None)
    raw = _base64_of(text)
    if algorithm is not Algorithm.ED25519 or len(raw) not in {SEED_BYTES, 2 * SEED_BYTES}:
        return load_der_private_key(raw, None)
    private = ed25519.Ed25519PrivateKey.from_private_bytes(raw[:SEED_BYTES])
    if raw[SEED_BYTES:] not in {b"", private.public_key().public_bytes_raw()}:
        raise ValueError
    return private


def _base64_of(text: str) -> bytes:
    return base64.b64decode("".join(text.split()).encode("ascii"), validate=True)
