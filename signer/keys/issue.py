"""API keys and secrets on their way in and out: read as a person pastes them, issued in the venue's own shape."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from signer.contracts import Venue
from signer.errors import KeyStoreError
from signer.keys.key_pair import new_private, public_half, read_private, read_public
from signer.keys.sealing import RandomBytes
from signer.model import Algorithm
from signer.secret import HMACS, SECRET_BYTES, Secret

API_KEY_BYTES = 42
"""The bytes of an API key; their base64 has 56 characters, without padding (docs/kraken.md §2)."""
PASSPHRASE_BYTES = 16
"""The bytes of an issued passphrase; their hex has 32 characters, the most that some venues take."""
MOST_BYTES = 8192
"""More than any key and secret need; an RSA key of 4,096 bits has 3.2 KiB in PEM."""


MOST_PASSPHRASE = 128
MOST_TEXT = 512
LEAST_TEXT = 8


@dataclass(frozen=True, slots=True)
class KeyShape:
    """Says what an API key of a venue is made of. A client's key may sign by another algorithm than a real one."""

    venue: str
    algorithm: Algorithm
    secret_bytes: int | None
    """How many bytes the base64 of a shared secret stands for; None where its text is the secret itself."""
    has_passphrase: bool

    @classmethod
    def of_real(cls, venue: Venue) -> KeyShape:
        """Return the shape of a real key at ``venue``."""
        return cls(venue.name, venue.key_algorithm, venue.secret_bytes, venue.has_passphrase)

    @classmethod
    def of_client(cls, venue: Venue) -> KeyShape:
        """Return the shape of a virtual key for ``venue``."""
        return cls(venue.name, venue.client_algorithm, venue.secret_bytes, venue.has_passphrase)

    @property
    def is_pair(self) -> bool:
        """Whether a private key signs, and its public key verifies."""
        return self.algorithm not in HMACS


class ApiKeySecret(NamedTuple):
    """An API key and its secret, together as long as it takes to store them."""

    api_key: str
    secret: Secret
    algorithm: Algorithm = Algorithm.HMAC_SHA512
    """How it signs."""

    def __repr__(self) -> str:
        return "ApiKeySecret(…)"


def issue(shape: KeyShape, random_bytes: RandomBytes = secrets.token_bytes) -> ApiKeySecret:
    """Make a new virtual key and secret in the venue's own shape, so that every client library takes them."""
    api_key = base64.b64encode(random_bytes(API_KEY_BYTES)).decode()
    if shape.is_pair:
        secret = new_private(shape.algorithm)
    elif shape.secret_bytes is not None:
        secret = Secret(random_bytes(shape.secret_bytes))
    else:
        secret = Secret(random_bytes(SECRET_BYTES // 2).hex().encode())
    if shape.has_passphrase:
        secret.passphrase = Secret(random_bytes(PASSPHRASE_BYTES).hex().encode())
    return ApiKeySecret(api_key, secret, shape.algorithm)


def issue_for(public_key: str, shape: KeyShape, *, where: str) -> ApiKeySecret:
    """Issue a virtual key for a bot that made its own key pair. Raises `KeyStoreError` naming ``where``.

    The secret is what a store keeps: the public key.
    """
    if not shape.is_pair:
        what = f"clients of {shape.venue} sign by a shared secret ({shape.algorithm}), not by a key pair"
        raise KeyStoreError(what, where=where, hint="leave out the public key")
    public = read_public(public_key, shape.algorithm, where=where)
    issued = issue(replace(shape, algorithm=Algorithm.HMAC_SHA512))
    public.passphrase = issued.secret.passphrase
    return ApiKeySecret(issued.api_key, public, shape.algorithm)


def kept_of(credential: ApiKeySecret) -> ApiKeySecret:
    """Return what a store keeps of a client's ``credential``: the shared secret, or the public half of a pair."""
    if credential.algorithm in HMACS:
        return credential
    public = public_half(credential.secret, credential.algorithm)
    public.passphrase = credential.secret.passphrase and credential.secret.passphrase.expose_to(Secret)
    return credential._replace(secret=public)


def read_pasted(shape: KeyShape, api_key: str, api_secret: str, passphrase: str = "", *, where: str) -> ApiKeySecret:
    """Read a key and secret as the exchange shows them. Raises `KeyStoreError` naming ``where``, never quoting them."""
    api_key = api_key.strip()
    if shape.secret_bytes and _holds_a_secret(api_key) and len(api_secret.strip()) < len(api_key):
        raise KeyStoreError("the key and the secret are swapped", where=where, hint="give the shorter one as the key")
    secret = _read_secret(shape, api_secret, where)
    secret.passphrase = _read_passphrase(shape, passphrase, where)
    return ApiKeySecret(api_key, secret, shape.algorithm)


def _read_secret(shape: KeyShape, text: str, where: str) -> Secret:
    if shape.is_pair:
        return read_private(text, shape.algorithm, where=where)
    if shape.secret_bytes is not None:
        return Secret.from_base64(text, where=where)
    text = text.strip()
    if not (text.isascii() and text.isprintable() and LEAST_TEXT <= len(text) <= MOST_TEXT) or " " in text:
        raise KeyStoreError("this is no API secret", where=where, hint="paste it as the exchange shows it, on one line")
    return Secret(text.encode())


def _read_passphrase(shape: KeyShape, text: str, where: str) -> Secret | None:
    if not shape.has_passphrase:
        if text:
            what = f"a key of {shape.venue} has no passphrase"
            raise KeyStoreError(what, where=where, hint="leave it out")
        return None
    if not text:
        what = f"a key of {shape.venue} has a passphrase, which is missing"
        raise KeyStoreError(what, where=where, hint="give the one that was chosen when the key was made")
    if not (text.isascii() and text.isprintable() and len(text) <= MOST_PASSPHRASE) or text != text.strip():
        hint = "give it as it was chosen at the exchange"
        raise KeyStoreError("this is no passphrase of an API key", where=where, hint=hint)
    return Secret(text.encode())


def _holds_a_secret(api_key: str) -> bool:
    """Tell whether what is given as the key has the length of a secret."""
    try:
        return len(base64.b64decode(api_key, validate=True)) >= SECRET_BYTES
    except ValueError:
        return False


def read_json(text: bytes | bytearray, shape: KeyShape, *, where: str) -> ApiKeySecret:
    """Read ``{"api_key": "…", "api_secret": "…"}``, exactly, with ``api_passphrase`` if ``shape`` has one.

    Raises `KeyStoreError` likewise.
    """
    members = ["api_key", "api_secret", "api_passphrase"][: 3 if shape.has_passphrase else 2]
    try:
        texts = _exactly(json.loads(text.decode(), object_pairs_hook=list), members)
    except (ValueError, TypeError, RecursionError):
        # `from None`: the chained exception carries the text that did not read.
        hint = "write {" + ", ".join(f'"{member}": "…"' for member in members) + "}"
        raise KeyStoreError("this is not an API key and secret in JSON", where=where, hint=hint) from None
    return read_pasted(shape, *texts, where=where)


def handed_over(shape: KeyShape, base_url: str, credential: ApiKeySecret, *, has_private: bool = False) -> bytes:
    """Write a bot's environment file, the one place where a *virtual* secret is written out, once, to its owner.

    ``has_private``: whether the bot has its private key already, so that none is written. Real secrets never come here:
    they enter the key store and stay.
    """
    prefix, secret = shape.venue.upper(), credential.secret
    lines = [f"{prefix}_BASE_URL={base_url}".encode(), f"{prefix}_API_KEY={credential.api_key}".encode()]
    if shape.is_pair and not has_private:
        lines.append(f"{prefix}_API_PRIVATE_KEY=".encode() + secret.expose_to(base64.b64encode))
    elif not shape.is_pair:
        written = secret.expose_to(bytes if shape.secret_bytes is None else base64.b64encode)
        lines.append(f"{prefix}_API_SECRET=".encode() + written)
    if secret.passphrase is not None:
        lines.append(f"{prefix}_API_PASSPHRASE=".encode() + secret.passphrase.expose_to(bytes))
    return b"\n".join(lines) + b"\n"


def _exactly(members: object, names: Sequence[str]) -> Sequence[str]:
    """Return the texts of ``names`` in their order. Raises ValueError unless those are the members, once each."""
    if not isinstance(members, list) or len(members) != len(names):
        raise ValueError
    texts = dict(members)
    found = [text for name in names if isinstance(text := texts.get(name), str)]
    if len(found) != len(names):
        raise ValueError
    return found
