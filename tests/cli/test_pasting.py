"""What a person is asked for, by the shape of the venue's keys."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from signer.cli import pasting
from signer.errors import KeyStoreError
from signer.keys.issue import KeyShape
from signer.keys.key_pair import new_private
from signer.model import Algorithm

TEXT = KeyShape("elsewhere", Algorithm.HMAC_SHA256, None, has_passphrase=True)
PAIR = KeyShape("elsewhere", Algorithm.ED25519, None, has_passphrase=False)


def _typing(monkeypatch: pytest.MonkeyPatch, *answers: str) -> Iterator[str]:
    """Answer each hidden question in turn; what is left of the answers was not asked for."""
    left = iter(answers)
    monkeypatch.setattr(pasting, "ask_hidden", lambda _: next(left))
    return left


def test_a_passphrase_is_asked_for_where_the_venue_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key, secret and passphrase are asked for unseen, in this order."""
    left = _typing(monkeypatch, "an-api-key", "0123456789abcdef", "my phrase", "not asked")
    found = pasting._asked_credential(TEXT)
    assert (found.api_key, found.secret.expose_to(bytes), list(left)) == (
        "an-api-key",
        b"0123456789abcdef",
        ["not asked"],
    )
    assert found.secret.passphrase is not None
    assert found.secret.passphrase.expose_to(bytes) == b"my phrase"


def test_a_pasted_private_key_has_many_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in PEM is read to its last line, and no further; in base64 it is one line."""
    der = new_private(Algorithm.ED25519).expose_to(bytes)
    text = base64.b64encode(der).decode()
    pem = ("-----BEGIN PRIVATE KEY-----", text[:40], text[40:], "-----END PRIVATE KEY-----")
    for lines in (pem, (text,)):
        left = _typing(monkeypatch, "an-api-key", *lines, "not asked")
        assert pasting._asked_credential(PAIR).secret.expose_to(bytes) == der
        assert list(left) == ["not asked"]


def test_a_private_key_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After as many lines as a key can have, it is refused."""
    _typing(monkeypatch, "an-api-key", "-----BEGIN PRIVATE KEY-----", *["AAAA"] * pasting.MOST_LINES)
    with pytest.raises(KeyStoreError, match="no private key"):
        pasting._asked_credential(PAIR)
