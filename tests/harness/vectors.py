"""Kraken's published vectors of API-Sign, and the message that each signs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "api_sign.json").read_text(encoding="utf-8"))


def message_of(vector: dict[str, str]) -> bytes:
    """Return what the vector's signature is over (docs/kraken.md §2a): its path, and a digest of nonce and body."""
    return vector["path"].encode() + hashlib.sha256(f"{vector['nonce']}{vector['body']}".encode()).digest()
