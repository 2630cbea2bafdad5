"""Real keys, and clients with their virtual credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from signer.model.calls import Role
from signer.model.wire import Network


class Algorithm(StrEnum):
    """How a key signs."""

    HMAC_SHA256 = "hmac-sha256"
    HMAC_SHA512 = "hmac-sha512"
    ED25519 = "ed25519"
    ECDSA_P256 = "ecdsa-p256"
    """ECDSA with SHA-256; the signature is the two numbers of 32 bytes, as in a JWS (RFC 7518 §3.4)."""
    RSA_SHA256 = "rsa-sha256"
    """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2)."""


@dataclass(frozen=True, slots=True)
class CredentialInfo:
    """A real venue key as lists show it."""

    name: str
    account: str
    api_key: str = field(repr=False)
    fingerprint: str
    created_us: int
    role: Role = Role.TRADE
    store: str = "file"
    """Where its secret lives: ``file``, or a store that signer.toml names."""
    algorithm: Algorithm = Algorithm.HMAC_SHA512
    has_passphrase: bool = False
    """Whether a passphrase is kept with its secret."""

    @property
    def reference(self) -> str:
        """How its secret is named in a store outside: each API key has a name of its own, so none is overwritten."""
        return f"{self.name}-{self.fingerprint}"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What the venue says of a real key."""

    name: str
    """The name that its owner gave it at the venue."""
    permissions: tuple[str, ...]
    """The permissions in the venue's own words, sorted. Some may be words that we do not know."""
    expires_us: int | None
    nonce: int
    """The highest that it has seen of the key."""
    nonce_window: int
    sources: tuple[str, ...]
    """Addresses that it takes the key from; empty if from any."""
    account: str = ""
    """Fingerprint of the account that it belongs to, where the venue says which; else empty."""


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A client and its virtual credential, without the secret."""

    name: str
    account: str
    policy: str
    api_key: str = field(repr=False)
    fingerprint: str
    sources: tuple[Network, ...]
    expires_us: int | None
    nonces: Literal["window", "strict"]
    revoked: bool
    created_us: int
    algorithm: Algorithm = Algorithm.HMAC_SHA512
    has_passphrase: bool = False
    """Whether it shows a passphrase beside its signature."""
