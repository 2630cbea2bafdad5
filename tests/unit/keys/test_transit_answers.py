"""What Vault's Transit answers is a signature of the imported key's first version, or it is none."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import pytest

from signer.errors import KeyStoreError
from signer.home.stores import VaultTransitConfig
from signer.keys.vault_transit import VaultTransitStore
from signer.model import Algorithm, WireAnswer, WireRequest
from signer.offload.worker import ThreadWorker

SIGNATURE = bytes(range(64))
TEXT = base64.b64encode(SIGNATURE).decode()


class Vault:
    """Answers always the same."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def send(self, request: WireRequest, deadline: float) -> WireAnswer:
        return WireAnswer(200, "application/json", self._body)


async def signature(body: str, algorithm: Algorithm = Algorithm.HMAC_SHA512) -> bytes:
    """What the store makes of Vault's answer."""
    login = {"method": "token", "token_file": "/nowhere"}
    settings: dict[str, Any] = {"kind": "vault-transit", "address": "http://127.0.0.1:1", "login": login}
    worker = ThreadWorker("test")
    config = VaultTransitConfig.model_validate(settings)
    store = VaultTransitStore("it", config, Vault(body.encode()), worker, pytest.fail)
    store._login = SimpleNamespace(token="any")  # type: ignore[assignment]
    try:
        return await store.sign("key", algorithm, b"message")
    finally:
        worker.close()


async def test_a_signature_is_read() -> None:
    """A signature is found among all else that Vault's answer says."""
    body = f'{{"request_id":"1","lease_id":"","data":{{"hmac":"vault:v1:{TEXT}"}},"warnings":null}}\n'
    assert await signature(body) == SIGNATURE


async def test_a_signature_of_a_jws_is_read() -> None:
    """Transit writes an ECDSA signature for a JWS in URL-safe base64 without padding."""
    raw = bytes(range(192, 256))
    text = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert set(text) & set("-_")
    assert await signature(f'{{"data":{{"signature":"vault:v1:{text}"}}}}', Algorithm.ECDSA_P256) == raw


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize(
    "data",
    [
        f'"hmac":"vault:v2:{TEXT}"',
        f'"hmac":"vault:v1:{TEXT[:-4]}"',
        f'"hmac":"vault:v1:{TEXT[4:]}"',
        f'"hmac":"vault:v1:{TEXT}{TEXT}"',
        f'"signature":"vault:v1:{TEXT}{TEXT}"',
        '"signature":"vault:v1:A"',
        f'"hmac":"{TEXT}"',
        '"hmac":null',
        "",
    ],
)
async def test_what_is_no_signature_is_refused(data: str, algorithm: Algorithm) -> None:
    """A signature of another version or length is refused, and so is a missing one."""
    with pytest.raises(KeyStoreError, match=f"no signature by {algorithm}"):
        await signature(f'{{"data":{{{data}}}}}', algorithm)
