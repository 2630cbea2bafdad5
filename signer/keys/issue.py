"""API keys and secrets on their way in and out: read as a person pastes them, issued in the venue's own shape."""

from __future__ import annotations

import base64
import json
import secrets
from typing import NamedTuple

from signer.errors import KeyStoreError
from signer.keys.sealing import RandomBytes
from signer.model import Algorithm
from signer.secret import SECRET_BYTES, Secret

API_KEY_BYTES = 42
"""The bytes of an API key; their base64 has 56 characters, without padding (docs/kraken.md §2)."""
MOST_BYTES = 4096
"""More than any key and secret need."""


class ApiKeySecret(NamedTuple):
    """An API key and its secret, together as long as it takes to store them."""

    api_key: str
    secret: Secret
    algorithm: Algorithm = Algorithm.HMAC_SHA512
    """How it signs."""

    def __repr__(self) -> str:
        return "ApiKeySecret(…)"


def issue(random_bytes: RandomBytes = secrets.token_bytes) -> ApiKeySecret:
    """Make a new virtual key and secret in the venue's own shape, so that every client library takes them."""
    api_key = base64.b64encode(random_bytes(API_KEY_BYTES)).decode()
    return ApiKeySecret(api_key, Secret(random_bytes(SECRET_BYTES)))


def read_pasted(api_key: str, api_secret: str, *, where: str) -> ApiKeySecret:
    """Read a key and secret as the exchange shows them. Raises `KeyStoreError` naming ``where``, never quoting them."""
    api_key = api_key.strip()
    if _holds_a_secret(api_key) and len(api_secret.strip()) < len(api_key):
        raise KeyStoreError("the key and the secret are swapped", where=where, hint="give the shorter one as the key")
    return ApiKeySecret(api_key, Secret.from_base64(api_secret, where=where))


def _holds_a_secret(api_key: str) -> bool:
    """Tell whether what is given as the key has the length of a secret."""
    try:
        return len(base64.b64decode(api_key, validate=True)) >= SECRET_BYTES
    except ValueError:
        return False


def read_json(text: bytes | bytearray, *, where: str) -> ApiKeySecret:
    """Read ``{"api_key": "…", "api_secret": "…"}``, exactly. Raises `KeyStoreError` likewise."""
    hint = 'write {"api_key": "…", "api_secret": "…"}'
    try:
        members = json.loads(text.decode(), object_pairs_hook=list)
        api_key, api_secret = _two_texts(members)
    except (ValueError, TypeError, RecursionError):
        # `from None`: the chained exception carries the text that did not read.
        raise KeyStoreError("this is not an API key and secret in JSON", where=where, hint=hint) from None
    return read_pasted(api_key, api_secret, where=where)


def handed_over(venue: str, base_url: str, credential: ApiKeySecret) -> bytes:
    """Write a bot's environment file, the one place where a *virtual* secret is written out, once, to its owner.

    Real secrets never come here: they enter the key store and stay.
    """
    secret = credential.secret.expose_to(base64.b64encode)
    prefix = venue.upper()
    lines = (f"{prefix}_BASE_URL={base_url}", f"{prefix}_API_KEY={credential.api_key}", f"{prefix}_API_SECRET=")
    return "\n".join(lines).encode() + secret + b"\n"


def _two_texts(members: object) -> tuple[str, str]:
    if not isinstance(members, list) or len(members) != 2:
        raise ValueError
    texts = dict(members)
    api_key, api_secret = texts.get("api_key"), texts.get("api_secret")
    if not isinstance(api_key, str) or not isinstance(api_secret, str):
        raise ValueError
    return api_key, api_secret
