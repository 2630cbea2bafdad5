"""Kraken's API-Sign, implemented a second time on purpose.

The sandbox verifies what the gateway signs, so it must not share the gateway's code. Both are tested with the published
vectors (https://docs.kraken.com/api/docs/guides/spot-rest-auth).
"""

from __future__ import annotations

import base64
import hashlib
import hmac


def api_sign(secret: str, path: str, nonce: str, body: bytes) -> str:
    """Sign ``path``, the ``nonce`` as written and the ``body`` as sent with a base64 secret; answer base64."""
    digest = hashlib.sha256(nonce.encode() + body).digest()
    message = path.encode("latin-1") + digest
    return base64.b64encode(hmac.digest(base64.b64decode(secret), message, "sha512")).decode()


def is_signed(signature: str, secret: str, path: str, nonce: str, body: bytes) -> bool:
    """Answer whether ``signature`` is the one that `api_sign` makes."""
    return hmac.compare_digest(signature.encode("latin-1", "replace"), api_sign(secret, path, nonce, body).encode())
