"""Threat: a key that was rotated away can still sign, because the gateway's process keeps its handle."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from signer.keys.file import FileKeyStore
from signer.keys.passphrase import from_file
from signer.secret import HmacKey, Secret, fingerprint
from signer.serving.collector import settle
from tests.harness.inside import inside
from tests.harness.rig import OWN_KEY, PERMISSIONS, Rig

MESSAGE = b"a message of this test"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Give the collector back to the other tests as it was."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def handles_that_sign(message: bytes, signature: bytes) -> list[HmacKey]:
    """Return the handles in this process that sign ``message`` so."""
    gc.unfreeze()
    return [one for one in gc.get_objects() if isinstance(one, HmacKey) and one.matches(message, signature)]


async def test_no_old_handle_is_left_after_a_reload(rig: Rig, tmp_path: Path) -> None:
    """The process holds the old handle before the reload, and none once the calls under way have ended."""
    bot = rig.bot("wide")
    home = rig.copied(tmp_path)[0].home
    async with inside(home) as made:
        key = made.wiring.gateway.snapshot.accounts["main"].credentials[0].key
        signature = await key.sign(MESSAGE)
        del key
        settle()
        assert await made.call(bot, "Balance") == []
        store = FileKeyStore.open(home.keys, from_file(home.passphrase))
        new = rig.sandbox.control.make_key(rig.sandbox.account, permissions=PERMISSIONS)
        info = replace(store.credential(OWN_KEY), api_key=new.api_key, fingerprint=fingerprint(new.api_key))
        store.replace_credential(info, Secret.from_base64(new.api_secret, where="sandbox"))
        del store
        assert handles_that_sign(MESSAGE, signature), "else the search finds nothing at all"
        await made.wiring.reloads.reload()
        await made.wiring.reloads.drained()
        settle()
        while handles_that_sign(MESSAGE, signature):  # the venue's clock is being measured through the old account
            await asyncio.sleep(0.05)
            settle()
        assert await made.call(bot, "Balance") == []
