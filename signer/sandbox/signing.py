"""Kraken's API-Sign, written here a second time on purpose.

The sandbox judges what the gateway signs, so it must not share the gateway's code: both are held to the published
vectors instead (https://docs.kraken.com/api/docs/guides/spot-rest-auth).
"""

from __future__ import annotations

import base64
import hashlib
import hmac


def api_sign(secret: str, path: str, nonce: str, body: bytes) -> str:
    """The base64 signature over ``path``, the ``nonce`` as written and the ``body`` as sent, with a base64 secret."""
    digest = hashlib.sha256(nonce.encode() + body).digest()
    message = path.encode("latin-1") + digest
    return base64.b64encode(hmac.digest(base64.b64decode(secret), message, "sha512")).decode()


def is_signed(signature: str, secret: str, path: str, nonce: str, body: bytes) -> bool:
    """Whether ``signature`` is the one that `api_sign` makes."""
    return hmac.compare_digest(signature.encode("latin-1", "replace"), api_sign(secret, path, nonce, body).encode())
