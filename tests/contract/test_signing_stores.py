"""What the gateway and the commands may rely on, wherever a real secret lives: one suite, four kinds, all real."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from signer.errors import KeyStoreError
from signer.model import Algorithm
from tests.harness.stores import CANARY, MESSAGE, passphrase, spellings
from tests.harness.vectors import VECTORS, message_of
from tests.vault.custody import KINDS, Custody, token_settings, vault_settings


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
