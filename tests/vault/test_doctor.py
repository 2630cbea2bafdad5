"""What `signer doctor` says of real stores: a Vault that is well, sealed, away or somebody else, and a token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pkcs11
import pytest

from signer.contracts import SigningKey
from signer.doctor import credentials, vaults
from signer.doctor.known import KnownHome
from signer.errors import HomeError
from signer.findings import Finding
from signer.home.layout import Home
from signer.home.settings import Config
from signer.home.stores import VaultConfig
from signer.keycheck.probe import ProbeResult
from signer.model import CredentialInfo, KeyInfo
from signer.serving.clock import SystemClock
from signer.venues import open_venue
from tests.unit.doctor.looking import said
from tests.unit.upstream.certificates import Authority
from tests.vault.custody import Custody, token_settings, vault_settings
from tests.vault.running import RunningVault
from tests.vault.softhsm import LABEL, PIN, Token, module
from tests.vault.test_pkcs11 import flags

KEY = KeyInfo("", ("query-funds",), None, 0, 0, ("127.0.0.1",))


@asynccontextmanager
async def asking() -> AsyncIterator[credentials.Ask]:
    """Stands in for the exchange; the key that it is asked with has signed."""

    async def ask(info: CredentialInfo, config: Config, key: SigningKey | None) -> ProbeResult:
        assert key is not None
        assert len(await key.sign(b"as the exchange would have it")) == 64
        return ProbeResult(KEY, moved=info.name == "shared")

    yield ask


class Held:
    """Stands in for a home that another command holds."""

    async def __aenter__(self) -> credentials.Ask:
        raise HomeError("process 7 starts a gateway on this home")

    async def __aexit__(self, *_: object) -> None:
        """Leave it, though it was never entered."""


def look(folder: Path, table: dict[str, Any], *names: str, admin: str = "", ask: Any = asking) -> list[list[Finding]]:
    """What is said of the store and of the keys in it, put there as `signer keys add` does."""
    made = Custody.made(folder, table, admin)
    for name in names:
        made.add(name)
    known = KnownHome(Home(folder), made.config, made.file, venues={"kraken": open_venue("kraken")})
    asyncio.run(made.close())
    return [*asyncio.run(credentials.examine(known, ask, SystemClock()))]


def server(vault: RunningVault, **settings: object) -> list[Finding]:
    """What is said of the server without a login."""
    table = vault_settings(vault, "vault-kv", **settings)
    config = Config.model_validate({"stores": {"it": table}, "accounts": {"main": {}}}).stores["it"]
    assert isinstance(config, VaultConfig)
    return vaults.examine("it", config, SystemClock())


@pytest.mark.parametrize("kind", ["vault-kv", "vault-transit"])
def test_a_vault_that_is_well(vault: RunningVault, tmp_path: Path, kind: str) -> None:
    """The doctor logs in, tells the token's life, and lets each key sign; a token that others use too is said."""
    stores, keys = look(tmp_path, vault_settings(vault, kind), "main", "shared", admin=vault.admin_token)
    assert said(stores) == []
    assert "logs in, with a token for 60 minutes" in stores[0].what
    assert said(keys) == [("warning", "used-elsewhere")]
    assert [finding.about for finding in keys if finding.kind == "signature"] == [
        "credential main",
        "credential shared",
    ]


def test_a_server_that_serves(vault: RunningVault) -> None:
    """The doctor tells the server's version, and that its certificate ends tomorrow."""
    found = server(vault)
    assert found[0].what.startswith("serves (version ")
    assert said(found) == [("warning", "certificate")]


def test_a_sealed_vault(vault: RunningVault, tmp_path: Path) -> None:
    """A sealed Vault is said of the server, of the store, and of the key that cannot be tried."""
    with vault.sealed():
        assert said(server(vault))[0] == ("error", "vault")
        stores, _ = look(tmp_path, vault_settings(vault, "vault-transit"))
        assert [weight for weight, _ in said(stores)] == ["error"]


def test_a_vault_that_is_away_or_somebody_else(vault: RunningVault, tmp_path: Path) -> None:
    """A Vault that does not answer and one that cannot prove its name are each said."""
    assert said(server(vault, address="https://127.0.0.1:9")) == [("error", "store-unavailable")]
    other = server(vault, ca_file=str(Authority(tmp_path, "another").file))
    assert said(other) == [("error", "key-store")]
    assert "does not prove" in other[0].what


def test_a_token_that_may_do_more_than_it_needs(vault: RunningVault, tmp_path: Path) -> None:
    """A warning with the path and the hint; nothing of the token is in it."""
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text(vault.token("signer-admin", "signer-gateway"))
    login = {"method": "token", "token_file": str(token)}
    stores, _ = look(tmp_path, vault_settings(vault, "vault-kv", login=login))
    assert {weight for weight, _ in said(stores)} == {"warning"}
    assert any("gateway.hcl" in finding.hint for finding in stores)
    assert token.read_text() not in str(stores)


def test_a_login_that_is_wrapped_is_not_used_up(vault: RunningVault, tmp_path: Path) -> None:
    """The doctor leaves the wrapped login to the gateway, since it can be unwrapped once only."""
    login = {"method": "approle", "role_id": "r", "secret_id_file": str(tmp_path / "not-there"), "wrapped": True}
    stores, keys = look(tmp_path, vault_settings(vault, "vault-kv", login=login), "main", admin=vault.admin_token)
    assert (said(stores), said(keys)) == ([], [("warning", "unproven")])


def test_a_home_that_somebody_else_holds(vault: RunningVault, tmp_path: Path) -> None:
    """The key signs, and could not be asked about: both are said."""
    _, keys = look(tmp_path, vault_settings(vault, "vault-kv"), "main", admin=vault.admin_token, ask=Held)
    assert ([finding.weight for finding in keys], said(keys)) == (["fine", "error"], [("error", "home")])


def test_a_token_in_its_slot(token: Token, tmp_path: Path) -> None:
    """Named with its maker; the key in it signs."""
    stores, keys = look(tmp_path, token_settings(token), "main")
    assert (said(stores), said(keys)) == ([], [])
    assert "SoftHSM" in stores[0].what


def test_a_token_that_is_not_there_and_a_module_that_is_none(token: Token, tmp_path: Path) -> None:
    """A missing token and a file that is no module each have an error of their own."""
    with token.removed():
        stores, _ = look(tmp_path, token_settings(token))
        assert said(stores) == [("error", "store-unavailable")]
    (tmp_path / "second").mkdir()
    stores, _ = look(tmp_path / "second", token_settings(token, module="/etc/hostname"))
    assert said(stores) == [("error", "key-store")]


def test_a_pin_that_was_wrong_is_not_given_again(token: Token, tmp_path: Path) -> None:
    """The token says that the last one was: the doctor says so and leaves its tries alone."""
    (tmp_path / "made").mkdir()
    made = Custody.made(tmp_path / "made", token_settings(token))
    made.add("main")
    asyncio.run(made.close())
    slot = pkcs11.lib(str(module())).get_token(token_label=LABEL)
    try:
        with pytest.raises(pkcs11.exceptions.PinIncorrect):
            slot.open(user_pin="wrong")
        before = flags()
        known = KnownHome(Home(tmp_path), made.config, made.file, venues={"kraken": open_venue("kraken")})
        stores, keys = asyncio.run(credentials.examine(known, asking, SystemClock()))
        assert (said(stores), said(keys)) == ([("warning", "store")], [("error", "key-store")])
        assert flags() == before
    finally:
        slot.open(user_pin=PIN).close()
