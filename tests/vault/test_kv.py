"""Vault's KV engine as the key store: what it can fail at, and that a running gateway does without it."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import requests

from signer.errors import KeyStoreError, StoreUnavailable
from tests.harness.stores import API_KEY, CANARY, MESSAGE, spellings
from tests.unit.upstream.certificates import Authority
from tests.vault.custody import Custody, vault_settings
from tests.vault.running import RunningVault
from tests.vault.test_transit import heals, signed

New = Callable[..., Custody]
SECRET = base64.b64encode(CANARY).decode()


@pytest.fixture(name="new")
async def _new(vault: RunningVault, tmp_path: Path) -> AsyncIterator[New]:
    """Makes homes with a KV store; settings as in signer.toml."""
    async with AsyncExitStack() as stack:

        def new(**settings: object) -> Custody:
            folder = tmp_path / secrets.token_hex(4)
            folder.mkdir()
            made = Custody.made(folder, vault_settings(vault, "vault-kv", **settings), vault.admin_token)
            stack.push_async_callback(made.close)
            return made

        yield new


@pytest.mark.parametrize("trouble", ["sealed", "killed"])
async def test_a_running_gateway_goes_on_without_vault(vault: RunningVault, new: New, trouble: str) -> None:
    """What is held signs on, and is kept though it cannot be read again."""
    custody = new()
    custody.add("main")
    key = await custody.key("main")
    with getattr(vault, trouble)():
        assert await key.sign(MESSAGE) == await signed()
        again = await custody.key("main")
        assert await again.sign(MESSAGE) == await signed()
        assert "the secret of main cannot be read now" in custody.alarms[0]


async def test_down_at_the_start(vault: RunningVault, new: New) -> None:
    """The gateway starts, says so, and signs when Vault is there."""
    custody = new()
    custody.add("main")
    with vault.killed():
        key = await custody.key("main")
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await key.sign(MESSAGE)
    await heals(lambda: key.sign(MESSAGE))
    assert len(custody.alarms) == 1


async def test_the_secret_is_read_each_time_it_is_asked_for(vault: RunningVault, new: New) -> None:
    """A corrected entry is taken at the next start, with a new login if the token has been revoked meanwhile."""
    custody = new()
    info = custody.add("main", CANARY[::-1])
    assert await (await custody.key("main")).sign(MESSAGE) != await signed()
    write(vault, info.reference, {"api_key": info.api_key, "api_secret": SECRET})
    vault.revoke_logins()
    assert await (await custody.key("main")).sign(MESSAGE) == await signed()


def write(vault: RunningVault, name: str, entry: dict[str, object]) -> None:
    """Put an entry behind our back."""
    vault.root.write_data(f"secret/data/signer/{name}", data={"data": entry})


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"api_key": API_KEY, "api_secret": "not base64!"}, "not base64"),
        ({"api_key": API_KEY, "api_secret": SECRET[:-4]}, r"decodes to 6\d bytes"),
        ({"api_key": API_KEY, "api_secret": API_KEY}, "not the public one"),
        ({"api_key": API_KEY[::-1], "api_secret": SECRET}, "another API key"),
        ({"api_key": API_KEY, "api_secret": SECRET, "note": "mine"}, "exactly api_key and api_secret"),
        ({"api_key": API_KEY}, "exactly api_key and api_secret"),
        ({"api_key": API_KEY, "api_secret": 5}, "exactly api_key and api_secret"),
        ({}, "exactly api_key and api_secret"),
    ],
)
async def test_an_entry_that_is_not_right(vault: RunningVault, new: New, entry: dict[str, object], says: str) -> None:
    """One line names the entry, what is wrong and the hint, and quotes nothing of it."""
    custody = new()
    info = custody.add("main", api_key=API_KEY)
    write(vault, info.reference, entry)
    with pytest.raises(KeyStoreError, match=says) as error:
        await custody.key("main")
    message = str(error.value)
    assert f"entry signer/{info.reference}" in message
    assert "\n" not in message
    assert not any(spelling in message.encode() for spelling in [*spellings(CANARY), API_KEY.encode()])


async def test_an_entry_that_was_deleted(vault: RunningVault, new: New) -> None:
    """Deleted, and told so; what a running gateway holds stays."""
    custody = new()
    info = custody.add("main")
    key = await custody.key("main")
    vault.root.secrets.kv.v2.delete_latest_version_of_secret(f"signer/{info.reference}", mount_point="secret")
    assert await key.sign(MESSAGE) == await signed()
    with pytest.raises(KeyStoreError, match="it was deleted"):
        await custody.key("main")


@pytest.mark.parametrize(
    ("mount", "engine", "says"),
    [
        ("old-kv", {"type": "kv", "options": {"version": "1"}}, "KV version 1, and signer uses version 2"),
        ("other-transit", {"type": "transit"}, "holds the engine transit, not kv"),
        ("nothing", None, r"Vault refuses it|nothing is mounted"),
    ],
)
async def test_a_mount_that_is_not_kv_version_2(
    vault: RunningVault, new: New, tmp_path: Path, mount: str, engine: dict[str, object] | None, says: str
) -> None:
    """One line names the mount and what it holds; the same for `keys add`."""
    if engine and f"{mount}/" not in vault.root.sys.list_mounted_secrets_engines()["data"]:
        vault.root.write_data(f"sys/mounts/{mount}", data=engine)
    file = tmp_path / "token"
    file.write_text(vault.token("root"))
    file.chmod(0o600)
    custody = new()
    custody.add("main")
    wrong = new(mount=mount, login={"method": "token", "token_file": str(file)})
    with pytest.raises(KeyStoreError, match=says):
        await wrong.stores.store("it", wrong.config).signing_key(custody.info("main"))
    wrong.admin_token = file.read_text()
    with pytest.raises(KeyStoreError, match=says):
        wrong.add("main")


async def test_another_authority(tmp_path: Path, new: New) -> None:
    """A certificate that the CA file does not vouch for, and a CA file that is not there."""
    custody = new()
    info = custody.add("main")
    for file, says in (
        (Authority(tmp_path, "another").file, "does not prove"),
        (tmp_path / "absent", "cannot be read"),
    ):
        wrong = new(ca_file=str(file))
        with pytest.raises(KeyStoreError, match=says) as error:
            await wrong.stores.store("it", wrong.config).signing_key(info)
        assert not isinstance(error.value, StoreUnavailable)
        assert "ca_file" in str(error.value)


async def test_the_administrator_can_read_nothing_back(vault: RunningVault, new: New) -> None:
    """admin.hcl lets in and destroys, but does not let out; nor does it sign."""
    info = new().add("main")
    headers = {"X-Vault-Token": vault.admin_token}
    for path in (f"secret/data/signer/{info.reference}", f"signer-transit/hmac/{info.reference}/sha2-512"):
        url = f"{vault.address}/v1/{path}"
        method = "GET" if "data" in path else "POST"
        answer = await asyncio.to_thread(
            requests.request, method, url, headers=headers, verify=str(vault.authority.file), timeout=30
        )
        assert answer.status_code == 403
