"""What the gateway may rely on, whichever key store is behind `contracts.KeyStore`.

A backend joins by adding a factory to ``BACKENDS``: it makes a store that holds `HELD`.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from signer.contracts import KeyStore
from signer.errors import KeyStoreError
from signer.model import Algorithm
from signer.secret import Secret, fingerprint
from tests.harness.stores import API_KEY, CANARY, CLIENT_KEY, MESSAGE, filled_store, open_store

SHA512 = Algorithm.HMAC_SHA512


def _written(tmp_path: Path) -> KeyStore:
    return filled_store(tmp_path / "keys.json")


def _opened(tmp_path: Path) -> KeyStore:
    filled_store(tmp_path / "keys.json")
    return open_store(tmp_path / "keys.json")


def _reopened(tmp_path: Path) -> KeyStore:
    return filled_store(tmp_path / "keys.json").reopened()


BACKENDS: dict[str, Callable[[Path], KeyStore]] = {
    "file, just written": _written,
    "file, opened": _opened,
    "file, reopened": _reopened,
}


@pytest.fixture(params=BACKENDS, name="store")
def _store(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    return BACKENDS[request.param](tmp_path)


def test_it_lists_what_it_holds(store: KeyStore) -> None:
    """Names, accounts and fingerprints of all entries, sorted by name."""
    assert [(info.name, info.account, info.api_key) for info in store.credentials()] == [("main", "spot", API_KEY)]
    assert store.credentials()[0].fingerprint == fingerprint(API_KEY)
    assert [(info.name, info.policy, info.revoked) for info in store.clients()] == [
        ("bot", "trader", False),
        ("other", "tracker", False),
    ]
    assert store.clients()[0].fingerprint == fingerprint(CLIENT_KEY)


async def test_a_signing_key_signs_with_its_secret(store: KeyStore) -> None:
    """The handle's signature is the one that the secret makes."""
    signature = await store.signing_key("main", SHA512).sign(MESSAGE)
    assert signature == await Secret(CANARY).key().sign(MESSAGE)
    assert len(signature) == 64


async def test_a_client_key_knows_its_own_signature_only(store: KeyStore) -> None:
    """The client's signature matches; another's, another message's and a cut one do not."""
    mine = await Secret(CANARY[::-1]).key().sign(MESSAGE)
    key = store.client_key("bot", SHA512)
    assert key.matches(MESSAGE, mine)
    assert not store.client_key("other", SHA512).matches(MESSAGE, mine)
    assert not key.matches(MESSAGE + b"?", mine)
    assert not key.matches(MESSAGE, mine[:-1])
    assert not key.matches(MESSAGE, b"")


@pytest.mark.parametrize("name", ["absent", "", "Main", "main ", "bot", "../main"])
def test_there_is_no_signing_key_but_by_its_exact_name(store: KeyStore, name: str) -> None:
    """A client's name, or one that nearly fits, gives no real key."""
    with pytest.raises(KeyStoreError):
        store.signing_key(name, SHA512)


@pytest.mark.parametrize("name", ["absent", "", "Bot", "main"])
def test_there_is_no_client_key_but_by_its_exact_name(store: KeyStore, name: str) -> None:
    """A credential's name gives no client key."""
    with pytest.raises(KeyStoreError):
        store.client_key(name, SHA512)


@pytest.mark.parametrize("carry_out", [pickle.dumps, copy.copy, copy.deepcopy])
def test_handles_cannot_be_carried_out(store: KeyStore, carry_out: Callable[[object], object]) -> None:
    """A handle does not leave the process, by whatever machinery Python has for copying."""
    for handle in (store.signing_key("main", SHA512), store.client_key("bot", SHA512)):
        with pytest.raises(TypeError):
            carry_out(handle)


def test_nothing_public_gives_bytes_of_a_secret(store: KeyStore) -> None:
    """No attribute of store or handle, public or not, is or shows the secret's bytes."""
    for thing in (store, store.signing_key("main", SHA512), store.client_key("bot", SHA512)):
        for name in dir(thing):
            value = getattr(thing, name, None)
            assert value not in (CANARY, CANARY[::-1], bytearray(CANARY), bytearray(CANARY[::-1]))
            assert CANARY.decode() not in repr(value)
            assert CANARY.decode()[::-1] not in repr(value)
