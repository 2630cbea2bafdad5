"""Keys as a PKCS#11 token has them: what makes one, and how it signs (PKCS#11 v3.0, current mechanisms)."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from signer.keys.key_pair import Private, private_of
from signer.model import Algorithm, CredentialInfo
from signer.secret import HMACS, Secret

MECHANISMS: Final = {
    Algorithm.HMAC_SHA256: Mechanism.SHA256_HMAC,
    Algorithm.HMAC_SHA512: Mechanism.SHA512_HMAC,
    Algorithm.ED25519: Mechanism.EDDSA,
    Algorithm.ECDSA_P256: Mechanism.ECDSA,
    Algorithm.RSA_SHA256: Mechanism.SHA256_RSA_PKCS,
}
KEY_TYPES: Final = {
    Algorithm.HMAC_SHA256: KeyType.GENERIC_SECRET,
    Algorithm.HMAC_SHA512: KeyType.GENERIC_SECRET,
    Algorithm.ED25519: KeyType.EC_EDWARDS,
    Algorithm.ECDSA_P256: KeyType.EC,
    Algorithm.RSA_SHA256: KeyType.RSA,
}
_ED25519 = bytes.fromhex("06032b6570")
_P256 = bytes.fromhex("06082a8648ce3d030107")
"""The curves' object identifiers in DER (RFC 8410 §3, RFC 5480 §2.1.1.1)."""


def object_class(algorithm: Algorithm) -> ObjectClass:
    """Return the class of a key that signs by ``algorithm``."""
    return ObjectClass.SECRET_KEY if algorithm in HMACS else ObjectClass.PRIVATE_KEY


def template(info: CredentialInfo, secret: Secret) -> dict[Attribute, Any]:
    """Return what makes the key of a credential in a token, never to come out. Raises `KeyStoreError`."""
    return {
        Attribute.CLASS: object_class(info.algorithm),
        Attribute.KEY_TYPE: KEY_TYPES[info.algorithm],
        Attribute.LABEL: info.reference,
        Attribute.ID: bytes.fromhex(info.fingerprint),
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.MODIFIABLE: False,
        Attribute.SIGN: True,
        **_value(secret, info.algorithm),
    }


def to_sign(message: bytes, algorithm: Algorithm) -> bytes:
    """Return what the mechanism is given: few tokens hash for ECDSA themselves."""
    return hashlib.sha256(message).digest() if algorithm is Algorithm.ECDSA_P256 else message


def _value(secret: Secret, algorithm: Algorithm) -> dict[Attribute, Any]:
    if algorithm in HMACS:
        # Tokens take no shorter key. HMAC itself pads one with zeros, so the signature is the same (RFC 2104 §2).
        least = HMACS[algorithm]().digest_size
        return {Attribute.VALUE: secret.expose_to(lambda raw: bytes(raw).ljust(least, b"\0"))}
    return _private_value(private_of(secret, algorithm))


def _private_value(private: Private) -> dict[Attribute, Any]:
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return {Attribute.EC_PARAMS: _ED25519, Attribute.VALUE: private.private_bytes_raw()}
    if isinstance(private, ec.EllipticCurvePrivateKey):
        number = private.private_numbers().private_value
        return {Attribute.EC_PARAMS: _P256, Attribute.VALUE: number.to_bytes(32, "big")}
    return {attribute: _bytes_of(number) for attribute, number in _rsa_numbers(private).items()}


def _rsa_numbers(private: rsa.RSAPrivateKey) -> dict[Attribute, int]:
    numbers = private.private_numbers()
    return {
        Attribute.MODULUS: numbers.public_numbers.n,
        Attribute.PUBLIC_EXPONENT: numbers.public_numbers.e,
        Attribute.PRIVATE_EXPONENT: numbers.d,
        Attribute.PRIME_1: numbers.p,
        Attribute.PRIME_2: numbers.q,
        Attribute.EXPONENT_1: numbers.dmp1,
        Attribute.EXPONENT_2: numbers.dmq1,
        Attribute.COEFFICIENT: numbers.iqmp,
    }


def _bytes_of(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
