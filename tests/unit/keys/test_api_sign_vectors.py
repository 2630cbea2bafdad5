"""The handle signs as Kraken's published vectors say, and takes nothing that is one step away from them."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from signer.errors import KeyStoreError
from signer.secret import HmacKey, Secret

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "api_sign.json").read_text(encoding="utf-8"))


def _named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def _handle(vector: dict[str, str]) -> HmacKey:
    return Secret(base64.b64decode(vector["secret"])).key()


def _message(vector: dict[str, str]) -> bytes:
    return vector["path"].encode() + hashlib.sha256((vector["nonce"] + vector["body"]).encode()).digest()


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=_named)
async def test_a_published_vector_is_reproduced(vector: dict[str, str]) -> None:
    """The handle's signature is the published one, byte for byte, and it recognises it."""
    signature = await _handle(vector).sign(_message(vector))
    assert base64.b64encode(signature).decode() == vector["signature"]
    assert _handle(vector).matches(_message(vector), signature)


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=_named)
def test_an_invalid_vector_does_not_match(vector: dict[str, str]) -> None:
    """Nothing that differs in one point from the published vector is taken for it."""
    assert not _handle(vector).matches(_message(vector), base64.b64decode(vector["signature"]))


@pytest.mark.parametrize("vector", VECTORS["invalid_secrets"], ids=_named)
def test_an_invalid_secret_is_refused_without_quoting_it(vector: dict[str, str]) -> None:
    """A secret that is not Kraken's base64 of 64 bytes is refused, and the message does not hold it."""
    with pytest.raises(KeyStoreError) as caught:
        Secret.from_base64(vector["secret"], where="stdin")
    assert caught.value.__cause__ is None
    assert not vector["secret"] or vector["secret"] not in str(caught.value)
