"""Each algorithm of a signing key agrees with the vectors that its standard publishes."""

from __future__ import annotations

import base64
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from signer.keys.key_pair import new_private, public_half, read_private, signing_handle
from signer.model import Algorithm
from signer.secret import PublicKey, Secret, is_signature_size


class Mac(NamedTuple):
    """A test case of RFC 4231 §4."""

    key: bytes
    data: bytes
    sha256: str
    sha512: str


MACS = [
    Mac(
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
        "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
    ),
    Mac(
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
        "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    ),
    Mac(
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
        "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
    ),
]


@pytest.mark.parametrize("vector", MACS)
async def test_hmac(vector: Mac) -> None:
    """HMAC-SHA256 and HMAC-SHA512 of RFC 4231."""
    for algorithm, expected in ((Algorithm.HMAC_SHA256, vector.sha256), (Algorithm.HMAC_SHA512, vector.sha512)):
        assert (await signing_handle(Secret(vector.key), algorithm).sign(vector.data)).hex() == expected


class Edwards(NamedTuple):
    """A test of RFC 8032 §7.1."""

    seed: str
    public: str
    message: str
    signature: str


EDWARDS = [
    Edwards(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    Edwards(
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    Edwards(
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize("vector", EDWARDS)
async def test_ed25519(vector: Edwards) -> None:
    """Ed25519 of RFC 8032: the seed alone, or with the public key behind it, makes the signature."""
    message, expected = bytes.fromhex(vector.message), bytes.fromhex(vector.signature)
    for written in (vector.seed, vector.seed + vector.public):
        text = base64.b64encode(bytes.fromhex(written)).decode()
        secret = read_private(text, Algorithm.ED25519, where="test")
        key = signing_handle(secret, Algorithm.ED25519)
        assert await key.sign(message) == expected
        verifier = public_half(secret, Algorithm.ED25519).client_key(Algorithm.ED25519)
        assert verifier.matches(message, expected)
        assert not verifier.matches(message + b"!", expected)
        assert not verifier.matches(message, expected[:32] + bytes(32))


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256 (FIPS 186-5)."""
PRIVATE = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
P256 = {
    b"sample": (
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    ),
    b"test": (
        0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
        0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
    ),
}
"""The signatures with SHA-256 of RFC 6979, appendix A.2.5, by message."""


def _jws(first: int, second: int) -> bytes:
    return first.to_bytes(32, "big") + second.to_bytes(32, "big")


def _p256() -> Secret:
    private = ec.derive_private_key(PRIVATE, ec.SECP256R1())
    wanted = (serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Secret(private.private_bytes(*wanted))


@pytest.mark.parametrize("message", P256)
async def test_ecdsa(message: bytes) -> None:
    """The published signatures verify, and so does ours, which has a random number in it."""
    verifier = public_half(_p256(), Algorithm.ECDSA_P256).client_key(Algorithm.ECDSA_P256)
    first, second = P256[message]
    assert verifier.matches(message, _jws(first, second))
    assert verifier.matches(message, await signing_handle(_p256(), Algorithm.ECDSA_P256).sign(message))


@pytest.mark.parametrize(
    "wrong",
    [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (ORDER, 1),
        (1, ORDER),
        (ORDER, ORDER),
        (ORDER - 1, ORDER - 1),
        (P256[b"sample"][0], 0),
        (P256[b"sample"][0], ORDER),
        (P256[b"sample"][1], P256[b"sample"][0]),
        (ORDER - P256[b"sample"][0], P256[b"sample"][1]),
        P256[b"test"],
        (2**256 - 1, 2**256 - 1),
    ],
)
def test_ecdsa_of_bad_numbers(wrong: tuple[int, int]) -> None:
    """Numbers out of range, swapped, negated or of another message do not verify, and raise nothing."""
    verifier = public_half(_p256(), Algorithm.ECDSA_P256).client_key(Algorithm.ECDSA_P256)
    assert not verifier.matches(b"sample", _jws(*wrong))


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_a_new_key_signs(algorithm: Algorithm) -> None:
    """A signature has the size of its algorithm, is verified by the handle and its public half, and by no other."""
    shared = algorithm in {Algorithm.HMAC_SHA256, Algorithm.HMAC_SHA512}
    secret = Secret(b"s" * 40) if shared else new_private(algorithm)
    key = signing_handle(secret, algorithm)
    signature = await key.sign(b"a message")
    assert is_signature_size(algorithm, len(signature))
    assert key.matches(b"a message", signature)
    verifier = (secret if shared else public_half(secret, algorithm)).client_key(algorithm)
    assert shared or isinstance(verifier, PublicKey)
    assert verifier.matches(b"a message", signature)
    assert not any(verifier.matches(*other) for other in ((b"another", signature), (b"a message", signature[:-1])))
