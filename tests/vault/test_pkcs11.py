"""An HSM by PKCS#11: what it can fail at, and that a wrong PIN is given once."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, ObjectClass, TokenFlag

from signer.errors import ConfigError, KeyStoreError, StoreUnavailable
from signer.keys.pkcs11 import Pkcs11Store
from signer.model import Algorithm
from signer.offload.worker import ThreadWorker
from tests.harness.stores import CANARY, MESSAGE
from tests.vault.custody import Custody, token_settings
from tests.vault.softhsm import LABEL, PIN, Token, forget_openssl_errors, logged_in, module
from tests.vault.test_transit import heals, signed

New = Callable[..., Custody]


@pytest.fixture(name="new")
async def _new(token: Token, tmp_path: Path) -> AsyncIterator[New]:
    """Makes homes with a token as their store; settings as in signer.toml."""
    async with AsyncExitStack() as stack:

        def new(**settings: object) -> Custody:
            folder = tmp_path / secrets.token_hex(4)
            folder.mkdir()
            made = Custody.made(folder, token_settings(token, **settings))
            stack.push_async_callback(made.close)
            return made

        yield new
    forget_openssl_errors()


def flags() -> TokenFlag:
    """What the token says of itself."""
    found: TokenFlag = pkcs11.lib(str(module())).get_token(token_label=LABEL).flags
    return found


async def test_removed_and_put_back(token: Token, new: New) -> None:
    """While the token is out, signatures are refused in words of ours; then the same handle signs again."""
    custody = new()
    custody.add("main")
    key = await custody.key("main")
    assert await key.sign(MESSAGE) == await signed()
    with token.removed():
        for _ in range(2):
            with pytest.raises(KeyStoreError):
                await key.sign(MESSAGE)
    await heals(lambda: key.sign(MESSAGE))


async def test_absent_at_the_start(token: Token, new: New) -> None:
    """The gateway starts, says so, and signs when the token is there."""
    custody = new()
    custody.add("main")
    with token.removed():
        with contextlib.suppress(pkcs11.PKCS11Error):
            pkcs11.lib(str(module())).reinitialize()
        key = await custody.key("main")
        assert "the key of main cannot be used now" in custody.alarms[0]
        with pytest.raises(StoreUnavailable):
            await key.sign(MESSAGE)
    await heals(lambda: key.sign(MESSAGE))


async def test_a_wrong_pin_is_given_once(token: Token, new: New) -> None:
    """A second try might lock the token: none is made until a person has logged in with the right PIN."""
    custody = new()
    custody.add("main")
    await custody.stores.close()
    pkcs11.lib(str(module())).reinitialize()  # nobody in this process is logged in
    token.give_pin("not the PIN")
    try:
        custody, before = new(), custody
        custody.file, info = before.file, before.info("main")
        store = custody.stores.store("it", custody.config)
        with pytest.raises(KeyStoreError, match=r"PIN is not right .* not tried again"):
            await store.signing_key(info)
        assert flags() & TokenFlag.USER_PIN_COUNT_LOW

        with logged_in():  # the count is as before
            assert not flags() & TokenFlag.USER_PIN_COUNT_LOW
        with pytest.raises(KeyStoreError, match="not tried again"):
            await store.signing_key(info)
        assert not flags() & TokenFlag.USER_PIN_COUNT_LOW
    finally:
        token.give_pin(PIN)
    assert await (await store.signing_key(info)).sign(MESSAGE) == await signed()


async def test_after_a_wrong_pin_nobody_unattended_gives_another(token: Token, new: New) -> None:
    """After a wrong PIN only a person may give another; a program gives none, not even after a restart."""
    custody = new()
    info = custody.add("main")
    pkcs11.lib(str(module())).reinitialize()  # nobody in this process is logged in
    with pytest.raises(pkcs11.exceptions.PinIncorrect):
        pkcs11.lib(str(module())).get_token(token_label=LABEL).open(user_pin="not the PIN")
    assert flags() & TokenFlag.USER_PIN_COUNT_LOW
    with pytest.raises(KeyStoreError, match="so none is given"):
        await custody.key("main")
    admin = custody.admin()
    assert admin is not None
    assert await (await admin.signing_key(info)).sign(MESSAGE) == await signed()
    assert await (await custody.key("main")).sign(MESSAGE) == await signed()


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"module": "/usr/lib/none.so"}, KeyStoreError, "name the HSM's PKCS#11 library"),
        ({"pin_file": "/nowhere/pin"}, KeyStoreError, "put the PIN there"),
        ({"module": "libsofthsm2.so"}, ConfigError, "whole path"),
    ],
)
async def test_settings_that_are_not_right(
    new: New, settings: dict[str, str], error: type[Exception], says: str
) -> None:
    """One line says what is wrong and the hint."""
    custody = new()
    custody.add("main")
    await custody.stores.close()
    if error is ConfigError:
        with pytest.raises(ValueError, match=says):
            new(**settings)
        return
    wrong = new(**settings)
    with pytest.raises(error, match=says):
        await wrong.stores.store("it", wrong.config).signing_key(custody.info("main"))


async def test_a_slow_token_holds_up_nobody(token: Token, new: New) -> None:
    """A module that does not return costs its caller a deadline; the loop goes on, and no more than so many wait."""
    custody = new(deadline_seconds=0.2, in_flight=2)
    custody.add("main")
    worker, stuck = ThreadWorker("test"), threading.Event()
    settings = custody.config.stores["it"]
    store = Pkcs11Store("it", settings, worker, custody.alarms.append)  # type: ignore[arg-type]
    blocking = worker.run(stuck.wait)
    waiting = [asyncio.ensure_future(store.sign("any", Algorithm.HMAC_SHA512, MESSAGE)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="2 calls wait"):
        await store.sign("any", Algorithm.HMAC_SHA512, MESSAGE)
    for one in waiting:
        with pytest.raises(StoreUnavailable, match="in time"):
            await one
    stuck.set()
    await blocking
    await heals(lambda: store.sign(custody.info("main").reference, Algorithm.HMAC_SHA512, MESSAGE))
    await store.close()
    worker.close()


async def test_nobody_gets_the_secret_out(token: Token, new: New) -> None:
    """A program with the PIN cannot read the secret, and a key that was made otherwise is warned about."""
    custody = new()
    info = custody.add("main")
    with logged_in() as session:
        key = session.get_key(object_class=ObjectClass.SECRET_KEY, label=info.reference)
        with pytest.raises(pkcs11.exceptions.AttributeSensitive):
            key[Attribute.VALUE]
        key.destroy()
        loose: dict[Attribute, Any] = {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
        }
        loose |= {Attribute.LABEL: info.reference, Attribute.TOKEN: True, Attribute.SIGN: True}
        session.create_object(
            {**loose, Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False, Attribute.VALUE: CANARY}
        )
    await custody.key("main")
    assert "can be read out of the token" in custody.alarms[0]


async def test_a_key_that_was_destroyed(token: Token, new: New) -> None:
    """A destroyed key is said to be gone, and others go on."""
    custody = new()
    custody.add("other")
    info = custody.add("main")
    key, other = await custody.key("main"), await custody.key("other")
    with logged_in() as session:
        session.get_key(object_class=ObjectClass.SECRET_KEY, label=info.reference).destroy()
    with pytest.raises(KeyStoreError, match="no such key"):
        await key.sign(MESSAGE)
    assert await other.sign(MESSAGE) == await signed()
