"""A key is kept only where it can sign as its venue wants."""

from __future__ import annotations

from typing import cast

import pytest

from signer.contracts import SigningStore, Venue
from signer.errors import KeyStoreError
from signer.keys.pkcs11 import Pkcs11Store
from signer.keys.stores import require_keeps
from signer.keys.vault_kv import VaultKvStore
from signer.keys.vault_transit import VaultTransitStore
from signer.model import Algorithm


class Wanting:
    """A venue that wants such keys."""

    name = "elsewhere"

    def __init__(self, algorithm: Algorithm, *, has_passphrase: bool = False) -> None:
        self.key_algorithm = algorithm
        self.has_passphrase = has_passphrase


class Able:
    """A store that can sign by one algorithm and keeps no passphrase."""

    algorithms = frozenset({Algorithm.HMAC_SHA512})
    keeps_passphrases = False


def _require(store: object, wanting: Wanting) -> None:
    require_keeps(cast(SigningStore, store), cast(Venue, wanting), "vault")


def test_a_store_that_cannot_sign_so_is_refused() -> None:
    """The message names the store, what it can and what is wanted; what it can is taken."""
    _require(Able(), Wanting(Algorithm.HMAC_SHA512))
    with pytest.raises(KeyStoreError, match=r"store vault: .*hmac-sha512, and elsewhere wants ed25519"):
        _require(Able(), Wanting(Algorithm.ED25519))


@pytest.mark.parametrize("store", [VaultTransitStore, Pkcs11Store])
def test_a_store_that_signs_itself_keeps_no_passphrase(store: type[SigningStore]) -> None:
    """A passphrase is shown to the venue, so it must come out again: a key with one is refused before it is kept."""
    with pytest.raises(KeyStoreError, match=r"store vault: .*passphrase.*Vault's KV"):
        _require(store, Wanting(Algorithm.HMAC_SHA256, has_passphrase=True))


def test_vaults_kv_keeps_a_passphrase() -> None:
    """An entry of KV is read back, so it may hold one."""
    _require(VaultKvStore, Wanting(Algorithm.HMAC_SHA256, has_passphrase=True))


@pytest.mark.parametrize("store", [VaultKvStore, VaultTransitStore, Pkcs11Store])
def test_each_store_signs_by_every_algorithm(store: type[SigningStore]) -> None:
    """No venue is shut out of a store for its algorithm (tests/contract/test_signing_stores.py tries each)."""
    assert store.algorithms == frozenset(Algorithm)
