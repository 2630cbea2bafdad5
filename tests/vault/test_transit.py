"""Vault Transit as the signer: what it can fail at, and that it heals by itself."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from signer.errors import KeyStoreError, StoreUnavailable
from signer.keys.vault_transit import VaultTransitStore, _wrapped
from signer.model import Algorithm, WireAnswer, WireRequest
from signer.offload.worker import ThreadWorker
from signer.secret import Secret
from tests.harness.stores import CANARY, MESSAGE
from tests.unit.upstream.certificates import Authority
from tests.vault.custody import Custody, vault_settings
from tests.vault.proxy import Proxy
from tests.vault.running import RunningVault

New = Callable[..., Custody]
MOUNT = "signer-transit"


@pytest.fixture(name="new")
async def _new(vault: RunningVault, tmp_path: Path) -> AsyncIterator[New]:
    """Makes homes with a Transit store; settings as in signer.toml."""
    async with AsyncExitStack() as stack:

        def new(**settings: object) -> Custody:
            folder = tmp_path / secrets.token_hex(4)
            folder.mkdir()
            made = Custody.made(folder, vault_settings(vault, "vault-transit", **settings), vault.admin_token)
            stack.push_async_callback(made.close)
            return made

        yield new


async def signed() -> bytes:
    """What the right signature is."""
    return await Secret(CANARY).key().sign(MESSAGE)


async def heals(sign: Callable[[], Any]) -> None:
    """Ask until the signature comes, for as long as a slow machine needs; then it is the right one."""
    async with asyncio.timeout(60):
        while True:
            try:
                signature = await sign()
            except KeyStoreError:
                await asyncio.sleep(0.05)
            else:
                assert signature == await signed()
                return


def put_key(vault: RunningVault, name: str, **options: object) -> None:
    """Import the canary as another program might, with options of its own."""
    pem = vault.root.read(f"{MOUNT}/wrapping_key")["data"]["public_key"]
    ciphertext = _wrapped(CANARY, pem).decode()
    data = {"type": "hmac", "key_size": 64, "hash_function": "SHA256", "ciphertext": ciphertext, **options}
    vault.root.write_data(f"{MOUNT}/keys/{name}/import", data=data)


def delete_key(vault: RunningVault, name: str) -> None:
    """Delete it behind our back."""
    vault.root.write_data(f"{MOUNT}/keys/{name}/config", data={"deletion_allowed": True})
    vault.root.delete(f"{MOUNT}/keys/{name}")


async def test_sealed_then_unsealed(vault: RunningVault, new: New) -> None:
    """While Vault is sealed each signature is refused in words of ours; then the same handle signs again."""
    custody = new()
    custody.add("main")
    key = await custody.key("main")
    with vault.sealed():
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=r"HTTP 503.*sealed"):
                await key.sign(MESSAGE)
    await heals(lambda: key.sign(MESSAGE))


async def test_killed_then_restarted(vault: RunningVault, new: New) -> None:
    """Connections that died with the old process are not what the new one is asked by."""
    custody = new()
    custody.add("main")
    key = await custody.key("main")
    await asyncio.gather(*(key.sign(MESSAGE) for _ in range(8)))
    with vault.killed(), pytest.raises(StoreUnavailable, match="cannot be asked"):
        await key.sign(MESSAGE)
    await heals(lambda: key.sign(MESSAGE))


async def test_down_at_the_start(vault: RunningVault, new: New) -> None:
    """The gateway starts, says so, and signs when Vault is there."""
    custody = new()
    custody.add("main")
    with vault.killed():
        key = await custody.key("main")
        assert "the key of main cannot be used now" in custody.alarms[0]
        with pytest.raises(StoreUnavailable):
            await key.sign(MESSAGE)
    await heals(lambda: key.sign(MESSAGE))


async def test_slow_holds_up_nobody_else(vault: RunningVault, new: New) -> None:
    """A Vault that does not answer costs its own callers a deadline; another store signs meanwhile, and it heals."""
    async with Proxy.to(vault.address) as proxy:
        slow, other = new(address=proxy.address), new()
        await asyncio.to_thread(slow.add, "main")
        other.add("main")
        stuck, free = await slow.key("main"), await other.key("main")
        await stuck.sign(MESSAGE)
        proxy.open.clear()
        waiting = asyncio.ensure_future(stuck.sign(MESSAGE))
        assert await free.sign(MESSAGE) == await signed()
        assert not waiting.done()
        proxy.open.set()
        assert await waiting == await signed()


async def test_sixteen_are_not_served_one_after_another(vault: RunningVault, new: New) -> None:
    """Sixteen requests are on their way before the first has its answer."""
    async with Proxy.to(vault.address) as proxy:
        custody = new(address=proxy.address)
        await asyncio.to_thread(custody.add, "main")
        key = await custody.key("main")
        await asyncio.gather(*(key.sign(MESSAGE) for _ in range(16)))  # connects as often as it needs
        proxy.open.clear()
        burst = [asyncio.ensure_future(key.sign(MESSAGE)) for _ in range(16)]
        async with asyncio.timeout(60):
            while proxy.requests < 16:
                await asyncio.sleep(0.01)
        assert not any(one.done() for one in burst)
        proxy.open.set()
        assert set(await asyncio.gather(*burst)) == {await signed()}


async def test_the_deadline_ends_a_call(vault: RunningVault, new: New) -> None:
    """Without an answer in time the signature is refused, and no more than so many wait at once."""
    async with Proxy.to(vault.address) as proxy:
        custody = new(address=proxy.address, in_flight=2)
        await asyncio.to_thread(custody.add, "main")
        key = await custody.key("main")
        impatient = VaultTransitStore(
            "it",
            custody.config.stores["it"].model_copy(update={"deadline_seconds": 0.2}),  # type: ignore[arg-type]
            custody.stores._senders[0],
            custody.stores._worker("it"),
            custody.alarms.append,
        )
        name = custody.info("main").reference
        await impatient.sign(name, Algorithm.HMAC_SHA512, MESSAGE)
        proxy.open.clear()
        waiting = [asyncio.ensure_future(impatient.sign(name, Algorithm.HMAC_SHA512, MESSAGE)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="2 calls are under way"):
            await key.sign(MESSAGE)
        for one in waiting:
            with pytest.raises(StoreUnavailable, match="in time"):
                await one
        proxy.open.set()
        await heals(lambda: key.sign(MESSAGE))
        await impatient.close()


async def test_a_token_revoked_in_the_middle_of_a_burst(vault: RunningVault, new: New) -> None:
    """Calls that meet the revoked token wait for one new login and are signed."""
    custody = new()
    custody.add("main")
    key = await custody.key("main")
    burst = [asyncio.ensure_future(key.sign(MESSAGE)) for _ in range(16)]
    await asyncio.to_thread(vault.revoke_logins)
    burst += [asyncio.ensure_future(key.sign(MESSAGE)) for _ in range(16)]
    assert set(await asyncio.gather(*burst)) == {await signed()}


async def test_a_token_revoked_again_and_again(vault: RunningVault, new: New) -> None:
    """A token that has signed is replaced at once, however short ago it came: no order is refused."""
    custody = new()
    custody.add("main")
    key = await custody.key("main")
    for _ in range(4):
        assert await key.sign(MESSAGE) == await signed()
        vault.revoke_logins()


async def test_tokens_are_renewed_and_then_replaced(vault: RunningVault, new: New) -> None:
    """With tokens that live a second, and can be renewed for two: calls are signed without a break, by several."""
    role = "auth/approle/role/signer-gateway"
    vault.root.write_data(role, data={"token_ttl": "1s", "token_max_ttl": "2s"})
    try:
        custody = new()
        custody.add("main")
        key = await custody.key("main")
        store = custody.stores.store("it", custody.config)
        assert isinstance(store, VaultTransitStore)
        tokens = {store._login.token}
        async with asyncio.timeout(60):
            while len(tokens) < 3:
                assert await key.sign(MESSAGE) == await signed()
                tokens.add(store._login.token)
                await asyncio.sleep(0.02)
        assert custody.alarms == []
    finally:
        vault.root.write_data(role, data={"token_ttl": "1h", "token_max_ttl": "24h"})


async def test_a_right_taken_away_and_given_back(vault: RunningVault, new: New) -> None:
    """A token that may not sign is told apart from one that ran out; it heals when the policy is fixed."""
    custody = new()
    custody.add("main")
    key = await custody.key("main")
    policy = vault.root.read("sys/policies/acl/signer-gateway")["data"]["policy"]
    vault.root.write_data("sys/policies/acl/signer-gateway", data={"policy": policy.replace("/hmac/", "/nothing/")})
    try:
        for _ in range(2):
            with pytest.raises(KeyStoreError, match=r"gateway\.hcl"):
                await key.sign(MESSAGE)
    finally:
        vault.root.write_data("sys/policies/acl/signer-gateway", data={"policy": policy})
    await heals(lambda: key.sign(MESSAGE))


async def test_a_key_deleted_and_restored(vault: RunningVault, new: New) -> None:
    """A key that is gone is said to be; others go on; it signs again once it is back."""
    custody = new()
    custody.add("main")
    custody.add("other")
    key, other = await custody.key("main"), await custody.key("other")
    delete_key(vault, custody.info("main").reference)
    with pytest.raises(KeyStoreError, match="no usable key"):
        await key.sign(MESSAGE)
    assert await other.sign(MESSAGE) == await signed()
    put_key(vault, custody.info("main").reference)
    assert await key.sign(MESSAGE) == await signed()


async def test_a_version_that_is_gone(vault: RunningVault, new: New) -> None:
    """Only the imported version signs: a later one would sign otherwise, and lock the account at the exchange."""
    custody = new()
    name = custody.add("main").reference
    key = await custody.key("main")
    pem = vault.root.read(f"{MOUNT}/wrapping_key")["data"]["public_key"]
    later = {"ciphertext": _wrapped(CANARY[::-1], pem).decode(), "hash_function": "SHA256"}
    vault.root.write_data(f"{MOUNT}/keys/{name}/import_version", data=later)
    assert await key.sign(MESSAGE) == await signed()
    vault.root.write_data(f"{MOUNT}/keys/{name}/config", data={"min_decryption_version": 2})
    with pytest.raises(KeyStoreError, match="no usable key"):
        await key.sign(MESSAGE)
    with pytest.raises(KeyStoreError, match=r"version 1 .* is gone"):
        await custody.key("main")


async def test_a_key_of_another_type(vault: RunningVault, new: New) -> None:
    """Transit makes an HMAC with a key of any type, and not the one that Kraken wants: refused at the start."""
    custody = new()
    name = custody.add("main").reference
    delete_key(vault, name)
    vault.root.write_data(f"{MOUNT}/keys/{name}", data={"type": "aes256-gcm96"})
    with pytest.raises(KeyStoreError, match="type aes256-gcm96, not hmac"):
        await custody.key("main")


async def test_nobody_gets_the_secret_out(vault: RunningVault, new: New) -> None:
    """The root token cannot read the secret, and a key that was imported as exportable is warned about."""
    custody = new()
    name = custody.add("main").reference
    with pytest.raises(Exception, match="not exportable"):
        vault.root.read(f"{MOUNT}/export/hmac-key/{name}")
    delete_key(vault, name)
    put_key(vault, name, exportable=True)
    await custody.key("main")
    assert "it can be taken out of Vault" in custody.alarms[0]


async def test_another_authority(tmp_path: Path, new: New) -> None:
    """A certificate that the CA file does not vouch for ends the start: it is not sealed or slow, but somebody else."""
    custody = new()
    custody.add("main")
    wrong = new(ca_file=str(Authority(tmp_path, "another").file))
    with pytest.raises(KeyStoreError, match="ca_file") as error:
        await wrong.stores.store("it", wrong.config).signing_key(custody.info("main"))
    assert not isinstance(error.value, StoreUnavailable)


async def test_another_engine(new: New) -> None:
    """The KV engine is refused as a Transit engine."""
    custody = new()
    custody.add("main")
    wrong = new(mount="secret")
    with pytest.raises(KeyStoreError, match=r"Vault refuses it|holds the engine kv, not transit"):
        await wrong.stores.store("it", wrong.config).signing_key(custody.info("main"))


async def test_the_gateways_login_can_add_nothing(new: New) -> None:
    """Without an administrator's token `keys add` is refused, and nothing is half there."""
    custody = new()
    custody.admin_token = ""
    with pytest.raises(KeyStoreError, match=r"admin\.hcl"):
        custody.add("main")
    assert custody.file.credentials() == []


class Answers:
    """Stands in for the way to Vault: answers as told, and remembers what it was asked."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self._answer = WireAnswer(status, "application/json", body)
        self.asked: list[WireRequest] = []

    async def send(self, request: WireRequest, deadline: float) -> WireAnswer:
        self.asked.append(request)
        return self._answer


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b"[]", 200),
        (b'{"data": null}', 200),
        (b'{"data": {"hmac": 5}}', 200),
        (b'{"data": {"hmac": "vault:v2:AAAA"}}', 200),
        (b'{"data": {"hmac": "vault:v1:AAAA"}}', 200),
        (b'{"data": {"hmac": "vault:v1:?"}}', 200),
        (b"<html>", 200),
        (b"<html>", 302),
        (b"\xff", 500),
        (b'{"errors": null}', 400),
    ],
)
async def test_an_answer_that_is_no_signature_is_never_sent_on(
    vault: RunningVault, new: New, body: bytes, status: int
) -> None:
    """Whatever is not 64 bytes of version 1 becomes an error of ours; the namespace travels with each request."""
    settings = new(namespace="team/a").config.stores["it"]
    answers, worker = Answers(body, status), ThreadWorker("test")
    store = VaultTransitStore("it", settings, answers, worker, print)  # type: ignore[arg-type]
    store._login._vault = type("Client", (), {"token": "t"})()
    with pytest.raises(KeyStoreError):
        await store.sign("main-0", Algorithm.HMAC_SHA512, MESSAGE)
    assert ("X-Vault-Namespace", "team/a") in answers.asked[0].headers
    worker.close()
