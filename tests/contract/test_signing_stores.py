"""What the gateway and the commands may rely on, wherever a real secret lives: one suite, four kinds, all real."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from signer.contracts import SigningKey, SigningStore
from signer.errors import KeyStoreError
from signer.home.settings import HOME_FILE
from signer.keys.file import FileKeyStore
from signer.keys.key_pair import new_private, signing_handle
from signer.model import Algorithm, CredentialInfo
from signer.secret import HMACS, Secret
from tests.harness.stores import CANARY, MESSAGE, passphrase, spellings
from tests.harness.vectors import VECTORS, message_of
from tests.vault.custody import KINDS, Custody, token_settings, vault_settings

PASSPHRASE = b"canary of a key's own passphrase"


@pytest.fixture(params=KINDS, name="custody")
async def _custody(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Custody]:
    """A home whose account keeps its secrets in a store of one kind."""
    kind: str = request.param
    if kind == "file":
        made = Custody.made(tmp_path, None)
    elif kind == "pkcs11":
        made = Custody.made(tmp_path, token_settings(request.getfixturevalue("token")))
    else:
        vault = request.getfixturevalue("vault")
        made = Custody.made(tmp_path, vault_settings(vault, kind), vault.admin_token)
    yield made
    await made.close()


def _local(raw: bytes, message: bytes) -> bytes:
    return hmac.digest(raw, message, hashlib.sha512)


async def test_it_signs_as_the_secret_does(custody: Custody) -> None:
    """For messages of every length, empty ones included, the signature is the secret's HMAC-SHA512."""
    custody.add("main")
    key = await custody.key("main")
    for size in (0, 1, 31, 64, 127, 128, 129, 1000):
        message = secrets.token_bytes(size)
        assert await key.sign(message) == _local(CANARY, message)
    assert custody.alarms == []


async def test_krakens_published_vector(custody: Custody) -> None:
    """The signature of Kraken's own example (docs.kraken.com, REST authentication)."""
    vector = VECTORS["valid"][0]
    custody.add("main", base64.b64decode(vector["secret"]))
    signature = await (await custody.key("main")).sign(message_of(vector))
    assert base64.b64encode(signature).decode() == vector["signature"]


def _secret_of(algorithm: Algorithm) -> Secret:
    return Secret(CANARY) if algorithm in HMACS else new_private(algorithm)


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_it_signs_by_each_algorithm_as_the_secret_does(custody: Custody, algorithm: Algorithm) -> None:
    """For messages of every length the signature is one by the secret, and by no other."""
    secret = _secret_of(algorithm)
    custody.add("main", secret, algorithm=algorithm)
    key, known = await custody.key("main"), signing_handle(secret, algorithm)
    other = signing_handle(_secret_of(algorithm) if algorithm not in HMACS else Secret(CANARY[::-1]), algorithm)
    assert (key.algorithm, key.passphrase) == (algorithm, None)
    for size in (0, 1, 63, 64, 65, 1000):
        message = secrets.token_bytes(size)
        signature = await key.sign(message)
        assert known.matches(message, signature)
        assert not other.matches(message, signature)
        assert not known.matches(message + b"!", signature)
    assert custody.alarms == []


@pytest.mark.parametrize("raw", [b"Jefe", b"\x0b" * 20, b"k" * 33, b"\xaa" * 131])
async def test_a_shared_secret_of_any_length(custody: Custody, raw: bytes) -> None:
    """A secret that is shorter than a store takes signs as it is: HMAC pads with zeros (RFC 4231 has such keys)."""
    custody.add("main", raw, algorithm=Algorithm.HMAC_SHA256)
    message = b"what do ya want for nothing?"
    assert await (await custody.key("main")).sign(message) == hmac.digest(raw, message, hashlib.sha256)


@pytest.mark.parametrize("algorithm", [each for each in Algorithm if each not in HMACS])
async def test_a_private_key_is_destroyed(custody: Custody, algorithm: Algorithm) -> None:
    """After its removal neither the entry nor the key is left."""
    info = custody.add("main", new_private(algorithm), algorithm=algorithm)
    custody.remove("main")
    assert custody.file.credentials() == []
    if custody.admin() is not None:
        with pytest.raises(KeyStoreError, match="keys add"):
            await custody.stores.store("it", custody.config).signing_key(info)


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_a_key_of_another_algorithm_is_refused(custody: Custody, algorithm: Algorithm) -> None:
    """What lies there under a credential's name must sign as the credential does, or there is no handle."""
    claimed = Algorithm.ECDSA_P256 if algorithm is Algorithm.ED25519 else Algorithm.ED25519
    info = custody.add("main", _secret_of(algorithm), algorithm=algorithm)
    store = custody.file if info.store == HOME_FILE else custody.stores.store("it", custody.config)
    with pytest.raises(KeyStoreError):
        await _claimed(store, replace(info, algorithm=claimed))


async def _claimed(store: FileKeyStore | SigningStore, info: CredentialInfo) -> SigningKey:
    if isinstance(store, FileKeyStore):
        return store.signing_key(info.name, info.algorithm)
    return await store.signing_key(info)


async def test_a_passphrase_is_kept_or_refused(custody: Custody) -> None:
    """A store that keeps passphrases gives it back beside the signature, after a restart too; others say no first."""
    kept = custody.admin() is None or cast(SigningStore, custody.admin()).keeps_passphrases
    if not kept:
        with pytest.raises(KeyStoreError, match="passphrase"):
            custody.add("main", Secret(CANARY, Secret(PASSPHRASE)))
        assert custody.file.credentials() == []
        return
    info = custody.add("main", Secret(CANARY, Secret(PASSPHRASE)))
    key = await custody.key("main")
    assert await key.sign(MESSAGE) == _local(CANARY, MESSAGE)
    assert info.has_passphrase
    assert key.passphrase is not None
    assert key.passphrase.expose_to(bytes) == PASSPHRASE
    raw, shown = custody.file._path.read_bytes(), repr([key, key.passphrase, info])
    assert not any(spelling in raw or spelling in shown.encode() for spelling in spellings(PASSPHRASE))


async def test_many_at_once(custody: Custody) -> None:
    """Sixteen signatures asked for at the same moment are each the right one."""
    custody.add("main")
    key = await custody.key("main")
    messages = [secrets.token_bytes(40) for _ in range(16)]
    assert await asyncio.gather(*map(key.sign, messages)) == [_local(CANARY, message) for message in messages]


async def test_two_credentials_are_kept_apart(custody: Custody) -> None:
    """Each name signs with its own secret."""
    custody.add("one")
    custody.add("two", CANARY[::-1])
    keys = [await custody.key(name) for name in ("one", "two")]
    assert [await key.sign(MESSAGE) for key in keys] == [_local(CANARY, MESSAGE), _local(CANARY[::-1], MESSAGE)]


async def test_a_new_key_of_the_same_name_takes_nothing_from_the_old_one(custody: Custody) -> None:
    """A handle of the credential before goes on signing while the one after is there already."""
    custody.add("main")
    old = await custody.key("main")
    custody.file.remove_credential("main")  # the entry only: its secret stays where it is
    custody.add("main", CANARY[::-1])
    new = await custody.key("main")
    assert await new.sign(MESSAGE) == _local(CANARY[::-1], MESSAGE)
    assert await old.sign(MESSAGE) == _local(CANARY, MESSAGE)


async def test_an_interrupted_add_can_be_repeated(custody: Custody) -> None:
    """The secret was stored and the entry was not: adding it again works."""
    api_key = secrets.token_hex(28)
    custody.add("main", CANARY[::-1], api_key)
    custody.file.remove_credential("main")
    custody.add("main", CANARY, api_key)
    assert await (await custody.key("main")).sign(MESSAGE) == _local(CANARY, MESSAGE)


async def test_what_is_refused_reaches_no_store(custody: Custody) -> None:
    """A name that is taken: the secret of the one that has it stays."""
    api_key = custody.add("main").api_key
    for name, other in (("main", secrets.token_hex(28)), ("other", api_key)):
        with pytest.raises(KeyStoreError, match=r"already|is that of"):
            custody.add(name, CANARY[::-1], other)
    assert await (await custody.key("main")).sign(MESSAGE) == _local(CANARY, MESSAGE)


async def test_remove_destroys_the_secret(custody: Custody) -> None:
    """Neither the entry nor the secret is left; removing a secret that never was there is no error."""
    info = custody.add("main")
    custody.remove("main")
    assert custody.file.credentials() == []
    if (admin := custody.admin()) is not None:
        admin.remove(info)
        with pytest.raises(KeyStoreError, match="keys add"):
            await custody.stores.store("it", custody.config).signing_key(info)


async def test_the_homes_file_alone_opens_nothing_that_is_elsewhere(custody: Custody) -> None:
    """For a secret in another store the file holds an entry, bound as all are, and no secret in any spelling."""
    info = custody.add("main")
    raw = (custody.file._path).read_bytes()
    assert not any(spelling in raw for spelling in spellings(CANARY))
    if info.store == "it":
        with pytest.raises(KeyStoreError, match="no credential 'main'"):
            custody.file.signing_key("main", Algorithm.HMAC_SHA512)
    moved = raw.replace(b'"store": "it"', b'"store": "at"') if info.store == "it" else raw.replace(b"main", b"mine")
    assert moved != raw
    custody.file._path.write_bytes(moved)
    with pytest.raises(KeyStoreError):
        type(custody.file).open(custody.file._path, passphrase(), allow_test_profile=True)


async def test_nothing_public_shows_the_secret(custody: Custody) -> None:
    """No attribute or repr of handle, store or alarm has it in any spelling."""
    custody.add("main")
    key = await custody.key("main")
    things: list[object] = [key, custody.stores, custody.admin(), custody.alarms]
    things += [getattr(thing, name, None) for thing in tuple(things) for name in dir(thing)]
    text = " ".join(map(repr, things)).encode()
    assert not any(spelling in text for spelling in spellings(CANARY))
