"""A key is kept only where it can sign as its venue wants."""

from __future__ import annotations

from typing import cast

import pytest

from signer.contracts import Venue
from signer.errors import KeyStoreError
from signer.keys.pkcs11 import Pkcs11Store
from signer.keys.stores import require_signs
from signer.keys.vault_kv import VaultKvStore
from signer.keys.vault_transit import VaultTransitStore
from signer.model import Algorithm
from signer.secret import HMACS


class Wanting:
    """A venue that wants such keys."""

    name = "elsewhere"

    def __init__(self, algorithm: Algorithm, *, has_passphrase: bool = False) -> None:
        self.key_algorithm = algorithm
        self.has_passphrase = has_passphrase


@pytest.mark.parametrize("able", [VaultKvStore.algorithms, VaultTransitStore.algorithms, Pkcs11Store.algorithms])
def test_a_store_that_cannot_sign_so_is_refused(able: frozenset[Algorithm]) -> None:
    """The message names the store, what it can and what is wanted; what it can is taken."""
    require_signs(able, cast(Venue, Wanting(Algorithm.HMAC_SHA512)), "vault")
    with pytest.raises(KeyStoreError, match=r"store vault: .*hmac-sha512, and elsewhere wants hmac-sha256"):
        require_signs(able, cast(Venue, Wanting(Algorithm.HMAC_SHA256)), "vault")


def test_a_passphrase_that_nobody_keeps_is_refused() -> None:
    """A key that could never log in is refused before it is kept."""
    with pytest.raises(KeyStoreError, match="passphrase"):
        require_signs(frozenset(HMACS), cast(Venue, Wanting(Algorithm.HMAC_SHA256, has_passphrase=True)), "file")
