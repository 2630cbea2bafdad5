"""Keys of the second venue are tried out by its own algorithm, HMAC-SHA256."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from typing_extensions import override

import signer.venues
from signer.doctor.credentials import Ask, examine
from signer.doctor.known import KnownHome
from signer.errors import HomeError
from signer.findings import Weight
from signer.home.layout import Home
from signer.home.settings import Config, load_config
from signer.keys.file import FileKeyStore
from signer.keys.key_pair import PrivateKey
from signer.model import Algorithm
from signer.operator.opening import handle_of
from signer.secret import HmacKey, Secret
from signer.serving.clock import SystemClock
from signer.venues import open_venue
from tests.harness.stores import CANARY, MESSAGE, filled_store


@pytest.fixture(name="home")
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(signer.venues, "__path__", [*signer.venues.__path__, str(Path(__file__).parent)])
    home = Home(tmp_path)
    home.config.write_text('[accounts.spot]\nvenue = "okx_like"\norigin = "http://127.0.0.1:9"\n')
    return home


@pytest.fixture(name="config")
def _config(home: Home) -> Config:
    return load_config(home.config)


@pytest.fixture(name="store")
def _store(home: Home) -> FileKeyStore:
    return filled_store(home.keys, Algorithm.HMAC_SHA256)


async def test_an_act_signs_by_the_keys_algorithm(config: Config, store: FileKeyStore) -> None:
    """The handle of a credential makes the signature that its entry promises to the venue."""
    key = await handle_of(store.credential("main"), store, None)
    assert key.algorithm is open_venue(config.venue_of("spot")).key_algorithm is Algorithm.HMAC_SHA256
    assert await key.sign(MESSAGE) == await Secret(CANARY).key(Algorithm.HMAC_SHA256).sign(MESSAGE)


class Nobody(AbstractAsyncContextManager[Ask]):
    """A venue that the doctor cannot ask."""

    @override
    async def __aenter__(self) -> Ask:
        raise HomeError("the venue is not asked")

    @override
    async def __aexit__(self, *_: object) -> None:
        """Nothing was opened."""


async def test_the_doctor_expects_a_signature_of_the_venues_length(
    home: Home, config: Config, store: FileKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The doctor asks the store for a key by HMAC-SHA256, and finds its signature of 32 bytes fine."""
    asked, signing_key = list[Algorithm](), FileKeyStore.signing_key

    def watched(self: FileKeyStore, credential: str, algorithm: Algorithm) -> HmacKey | PrivateKey:
        asked.append(algorithm)
        return signing_key(self, credential, algorithm)

    monkeypatch.setattr(FileKeyStore, "signing_key", watched)
    _, found = await examine(
        KnownHome(home, config, store, venues={"okx_like": open_venue("okx_like")}), Nobody, SystemClock()
    )
    assert asked == [Algorithm.HMAC_SHA256]
    assert [one.weight for one in found if one.kind == "signature"] == [Weight.FINE]
