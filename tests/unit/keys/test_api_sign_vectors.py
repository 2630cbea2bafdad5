"""The handle signs as Kraken's published vectors say, and takes nothing that is one step away from them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from signer.errors import KeyStoreError
from signer.secret import HmacKey, Secret
from tests.harness.vectors import VECTORS, message_of


def _named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def _handle(vector: dict[str, str]) -> HmacKey:
    return Secret(base64.b64decode(vector["secret"])).key()


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=_named)
async def test_a_published_vector_is_reproduced(vector: dict[str, str]) -> None:
    """The handle's signature is the published one, byte for byte, and it recognises it."""
    signature = await _handle(vector).sign(message_of(vector))
    assert base64.b64encode(signature).decode() == vector["signature"]
    assert _handle(vector).matches(message_of(vector), signature)


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=_named)
def test_an_invalid_vector_does_not_match(vector: dict[str, str]) -> None:
    """Nothing that differs in one point from the published vector is taken for it."""
    assert not _handle(vector).matches(message_of(vector), base64.b64decode(vector["signature"]))


@pytest.mark.parametrize("vector", VECTORS["invalid_secrets"], ids=_named)
def test_an_invalid_secret_is_refused_without_quoting_it(vector: dict[str, str]) -> None:
    """A secret that is not Kraken's base64 of 64 bytes is refused, and the message does not hold it."""
    with pytest.raises(KeyStoreError) as caught:
        Secret.from_base64(vector["secret"], where="stdin")
    assert caught.value.__cause__ is None
    assert not vector["secret"] or vector["secret"] not in str(caught.value)
