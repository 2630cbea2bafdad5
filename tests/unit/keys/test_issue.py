"""API keys and secrets on their way in and out."""

from __future__ import annotations

import base64
import json

import pytest

from signer.errors import KeyStoreError
from signer.keys.issue import ApiKeySecret, handed_over, issue, read_json
from tests.harness.stores import API_KEY, CANARY

SECRET_TEXT = base64.b64encode(CANARY).decode()


def test_what_is_issued_has_krakens_shape() -> None:
    """56 characters without padding, and the base64 of 64 bytes, from the randomness given."""
    issued = issue(lambda count: bytes(range(count)))
    assert issued.api_key == base64.b64encode(bytes(range(42))).decode()
    assert len(issued.api_key) == 56
    assert issued.secret.expose_to(bytes) == bytes(range(64))


def test_two_are_never_the_same() -> None:
    """The default randomness is not a constant."""
    assert issue().api_key != issue().api_key


def test_what_is_handed_over_can_be_read_back() -> None:
    """The env file holds the three lines that bots need, and the secret is the one issued."""
    issued = issue()
    lines = dict(
        line.split("=", 1) for line in handed_over("kraken", "http://127.0.0.1:8787", issued).decode().splitlines()
    )
    assert list(lines) == ["KRAKEN_BASE_URL", "KRAKEN_API_KEY", "KRAKEN_API_SECRET"]
    assert lines["KRAKEN_BASE_URL"] == "http://127.0.0.1:8787"
    assert lines["KRAKEN_API_KEY"] == issued.api_key
    assert base64.b64decode(lines["KRAKEN_API_SECRET"]) == issued.secret.expose_to(bytes)


def test_json_is_read_with_white_space_around_the_values() -> None:
    """A pasted value may bring white space along."""
    text = json.dumps({"api_key": f" {API_KEY}\n", "api_secret": f"{SECRET_TEXT} "})
    credential = read_json(text.encode(), where="stdin")
    assert credential.api_key == API_KEY
    assert credential.secret.expose_to(bytes) == CANARY


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[1, 2]",
        b'["ab", "cd"]',
        b"null",
        b"[" * 3000,
        json.dumps({"api_key": API_KEY}).encode(),
        json.dumps({"api_key": API_KEY, "api_secret": 5}).encode(),
        json.dumps({"api_key": API_KEY, "api_secret": SECRET_TEXT, "otp": "1"}).encode(),
        f'{{"api_key": "{API_KEY}", "api_secret": "{SECRET_TEXT}", "api_secret": "{SECRET_TEXT}"}}'.encode(),
        f'{{"api_key": "{API_KEY}", "api_secret": "{SECRET_TEXT}"'.encode(),
    ],
)
def test_anything_but_the_two_fields_is_refused(text: bytes) -> None:
    """Exactly two texts are taken; the error shows what to write and does not quote what was there."""
    with pytest.raises(KeyStoreError, match=r'write \{"api_key"') as caught:
        read_json(text, where="standard input")
    assert caught.value.__cause__ is None
    assert SECRET_TEXT not in str(caught.value)


def test_a_credential_does_not_show_itself() -> None:
    """Neither key nor secret stands in the repr of what carries both."""
    assert repr(ApiKeySecret(API_KEY, issue().secret)) == "ApiKeySecret(…)"
