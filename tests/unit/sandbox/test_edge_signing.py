"""API-Sign: the sandbox is held to the published vectors."""

from __future__ import annotations

import base64

import pytest

from signer.sandbox.signing import api_sign, is_signed
from tests.unit.sandbox.edge import Edge, errors

VECTORS = [
    # https://docs.kraken.com/api/docs/guides/spot-rest-auth
    (
        "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==",
        "/0/private/AddOrder",
        "1616492376594",
        b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25",
        "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==",
    ),
    # The official Rust SDK's test of its signer.
    (
        base64.b64encode(b"\x01" * 32).decode(),
        "/0/private/Balance",
        "1700000000000000000",
        b"nonce=1700000000000000000",
        "6i7+cpXVLDDnDOekgsRcgFQhkYFyPDSSxhSVA8OrA6vjziXcy2K1DP3n7f9B/Kgni71WjBSQusZKxduRsdF20Q==",
    ),
]


@pytest.mark.parametrize(("secret", "path", "nonce", "body", "signature"), VECTORS)
def test_the_published_vectors(secret: str, path: str, nonce: str, body: bytes, signature: str) -> None:
    """The published inputs make the published signatures."""
    assert api_sign(secret, path, nonce, body) == signature


@pytest.mark.parametrize(("secret", "path", "nonce", "body", "signature"), VECTORS)
def test_any_change_spoils_a_vector(secret: str, path: str, nonce: str, body: bytes, signature: str) -> None:
    """Another body, path, nonce or signature does not verify."""
    assert not is_signed(signature, secret, path, nonce, body + b"&")
    assert not is_signed(signature, secret, path + "/", nonce, body)
    assert not is_signed(signature, secret, path, nonce + "0", body)
    assert not is_signed("é" + signature, secret, path, nonce, body)


@pytest.mark.parametrize(("secret", "path", "nonce", "body", "signature"), VECTORS)
def test_the_sandbox_takes_the_published_request(
    secret: str, path: str, nonce: str, body: bytes, signature: str
) -> None:
    """A request made of a published vector is let in."""
    edge = Edge()
    edge.make_key(api_key="PUBLISHED", api_secret=secret)
    answer = edge.bots.post(path, data=body, headers={"API-Key": "PUBLISHED", "API-Sign": signature})
    assert errors(answer) == []
    assert edge.engine.called[0][1] == path.removeprefix("/0/private/")
