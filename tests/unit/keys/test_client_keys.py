"""The handles that verify a client's signature, by each algorithm that a venue may want of it."""

from __future__ import annotations

import hashlib
import hmac
import pickle

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from signer.errors import KeyStoreError
from signer.keys.key_pair import Private
from signer.model import Algorithm
from signer.secret import HMACS, ApiPassphrase, PublicKey, Secret, dummy_key

MESSAGE = b"a message"


def der_of(private: Private) -> bytes:
    """The public half of a key."""
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(("algorithm", "digest"), [(each, digest().name) for each, digest in HMACS.items()])
async def test_an_hmac_is_that_of_its_algorithm(algorithm: Algorithm, digest: str) -> None:
    """An HMAC key signs as the standard library does, and verifies what it signed and nothing else."""
    key = Secret(b"raw text of any length").key(algorithm)
    signature = hmac.digest(b"raw text of any length", MESSAGE, digest)
    assert (await key.sign(MESSAGE), key.algorithm) == (signature, algorithm)
    assert key.matches(MESSAGE, signature)
    assert not key.matches(MESSAGE + b"!", signature)


def test_an_ed25519_signature_verifies() -> None:
    """The public half alone verifies a signature, and no other message or signature."""
    private = ed25519.Ed25519PrivateKey.generate()
    key, signature = PublicKey(der_of(private), Algorithm.ED25519), private.sign(MESSAGE)
    assert key.matches(MESSAGE, signature)
    assert not any(key.matches(*other) for other in [(b"other", signature), (MESSAGE, bytes(64)), (MESSAGE, b"")])


def test_an_ecdsa_signature_verifies() -> None:
    """A signature is the two numbers of a JWS; DER and other lengths do not verify."""
    private = ec.generate_private_key(ec.SECP256R1())
    der = private.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    signature = b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(der))
    key = PublicKey(der_of(private), Algorithm.ECDSA_P256)
    assert key.matches(MESSAGE, signature)
    others = [(b"other", signature), (MESSAGE, der), (MESSAGE, signature + b"0"), (MESSAGE, bytes(64)), (MESSAGE, b"")]
    assert not any(key.matches(*other) for other in others)


def test_an_rsa_signature_verifies() -> None:
    """PKCS #1 v1.5 with SHA-256, and no other padding or digest."""
    private = rsa.generate_private_key(65537, 2048)
    key = PublicKey(der_of(private), Algorithm.RSA_SHA256)
    assert key.matches(MESSAGE, private.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256()))
    assert not key.matches(MESSAGE, private.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA1()))  # noqa: S303
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    assert not key.matches(MESSAGE, private.sign(MESSAGE, pss, hashes.SHA256()))


WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
OTHERS: dict[Algorithm, list[Private]] = {
    Algorithm.ED25519: [ec.generate_private_key(ec.SECP256R1()), WEAK],
    Algorithm.ECDSA_P256: [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate(), WEAK],
    Algorithm.RSA_SHA256: [ed25519.Ed25519PrivateKey.generate(), WEAK],
}


@pytest.mark.parametrize("algorithm", OTHERS)
def test_what_is_no_public_key_is_refused(algorithm: Algorithm) -> None:
    """Neither garbage nor a key of another kind, curve or strength is taken; the message does not quote it."""
    for der in (b"canary", *map(der_of, OTHERS[algorithm])):
        with pytest.raises(KeyStoreError, match="no public key") as refused:
            PublicKey(der, algorithm)
        assert "canary" not in str(refused.value)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_there_is_a_key_of_nobody_for_each_algorithm(algorithm: Algorithm) -> None:
    """The dummy key works as hard as a real one, and matches no signature."""
    key = dummy_key(algorithm)
    assert key.algorithm is algorithm
    assert not key.matches(MESSAGE, bytes(64))


def test_a_passphrase_is_compared_and_not_shown() -> None:
    """The handle knows the text and does not hold it."""
    passphrase = ApiPassphrase(b"canary")
    assert [passphrase.matches(shown) for shown in ("canary", "Canary", "")] == [True, False, False]
    assert "canary" not in repr(passphrase)
    assert passphrase._proof == hashlib.sha256(b"canary").digest()
    with pytest.raises(TypeError):
        pickle.dumps(passphrase)
