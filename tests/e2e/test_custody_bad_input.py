"""What a person can get wrong about stores and secrets, met by the program itself: one line with what, where and the
hint, the documented exit status, and nothing half there."""

from __future__ import annotations

import itertools
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pkcs11
import pytest
from pkcs11 import TokenFlag

from signer.sandbox.server import RunningSandbox
from tests.e2e.test_custody import add_stores, toml
from tests.harness.homes import MadeHome
from tests.unit.upstream.certificates import Authority
from tests.vault.custody import token_settings, vault_settings
from tests.vault.running import RunningVault
from tests.vault.softhsm import LABEL, PIN, Token, logged_in, module

NAMES = (f"bad-{number}" for number in itertools.count(1))
SECRET = b64encode(b"s" * 64).decode()
PUBLIC = "k" * 56


class Desk:
    """A home whose accounts keep their keys in stores that are wrong in some way."""

    def __init__(self, folder: Path, sandbox: RunningSandbox, vault: RunningVault, token: Token) -> None:
        self.made = MadeHome(folder / "home", sandbox)
        self.made.add_account(f"desk-{next(NAMES)}")
        self.folder, self.vault, self.token = folder, vault, token
        self.admin = add_stores(self.made, vault, token)
        self._good = self.made.home.config.read_text()

    def account(self, kind: str, **settings: object) -> None:
        """An account whose store is of that kind, with these settings."""
        table = (
            token_settings(self.token, **settings) if kind == "pkcs11" else vault_settings(self.vault, kind, **settings)
        )
        text = f'[accounts.odd]\norigin = "{self.made.sandbox.url}"\nstore = "odd"\n{toml(table, "stores.odd")}'
        self.made.home.config.write_text(self._good + text)

    def add(self, text: str = "", *, token: str = "") -> CompletedProcess[str]:
        """`keys add` to that account."""
        if token:
            self.admin.write_text(token)
        pasted = text or json.dumps({"api_key": PUBLIC, "api_secret": SECRET})
        command = ("keys", "add", "odd", "--account", "odd", "--stdin", "--vault-token-file", str(self.admin))
        return self.made.signer(*command, stdin=pasted)

    def refused_by_vault_away(self, done: CompletedProcess[str], words: str) -> None:
        """Check that a key is refused while Vault cannot be asked."""
        assert (done.returncode, done.stderr.count("\n"), words in done.stderr) == (5, 1, True), done.stderr

    def refused(self, done: CompletedProcess[str], status: int, *words: str) -> None:
        """Check that the refusal is one line without a secret, and that nothing was kept."""
        assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr
        assert all(word in done.stderr for word in words), done.stderr
        assert not any(secret in done.stderr for secret in (SECRET, PIN, "Traceback"))
        assert "odd" not in [info.name for info in self.made.store.reopened().credentials()]
        assert not any(self.vault.lying("odd").values())


@pytest.fixture
def desk(tmp_path: Path, shared_sandbox: RunningSandbox, vault: RunningVault, token: Token) -> Desk:
    """A home of the test's own."""
    return Desk(tmp_path, shared_sandbox, vault, token)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps({"api_key": PUBLIC, "api_secret": "not base64 !"}), "is not base64"),
        (json.dumps({"api_key": PUBLIC, "api_secret": SECRET[:40]}), "decodes to 30 bytes, the exchange's have 64"),
        (json.dumps({"api_key": PUBLIC, "api_secret": PUBLIC}), "paste the private key"),
        (json.dumps({"api_key": SECRET, "api_secret": PUBLIC}), "the key and the secret are swapped"),
        (json.dumps({"api_key": SECRET, "api_secret": SECRET}), "the api_key"),
        (json.dumps({"api_key": PUBLIC}), 'write {"api_key"'),
        ("garbage", 'write {"api_key"'),
    ],
)
def test_a_secret_of_another_shape_reaches_no_store(desk: Desk, text: str, words: str) -> None:
    """Found out before Vault is asked: it is sealed, and the line speaks of the secret."""
    desk.account("vault-transit")
    with desk.vault.sealed():
        done = desk.add(text)
    desk.refused(done, 4, words)


Odd = Callable[[Desk], tuple[str, dict[str, object]]]


def another_authority(desk: Desk) -> tuple[str, dict[str, object]]:
    """A CA that did not sign Vault's certificate."""
    return "vault-kv", {"ca_file": str(Authority(desk.folder, "another").file)}


def no_authority(_: Desk) -> tuple[str, dict[str, object]]:
    """A CA file that is not there."""
    return "vault-kv", {"ca_file": "/nowhere/ca.pem"}


def old_engine(desk: Desk) -> tuple[str, dict[str, object]]:
    """A KV engine of version 1."""
    if "first-kv/" not in desk.vault.root.sys.list_mounted_secrets_engines()["data"]:
        desk.vault.root.write_data("sys/mounts/first-kv", data={"type": "kv", "options": {"version": "1"}})
    return "vault-kv", {"mount": "first-kv"}


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (another_authority, ("does not prove that it is Vault", "ca_file")),
        (no_authority, ("CA certificates cannot be read", "ca_file")),
        (old_engine, ("KV version 1, and signer uses version 2", "kv enable-versioning")),
        (lambda _: ("vault-transit", {"mount": "secret"}), ("holds the engine kv, not transit", "right mount")),
        (lambda _: ("vault-kv", {"mount": "signer-transit"}), ("holds the engine transit, not kv", "right mount")),
        (lambda _: ("vault-kv", {"mount": "nowhere"}), ("store odd", "nowhere")),
    ],
)
def test_a_vault_that_is_not_as_set(desk: Desk, odd: Odd, words: tuple[str, ...]) -> None:
    """A wrong CA, a mount of another kind or none: found by `keys add`, whatever the token may do."""
    kind, settings = odd(desk)
    desk.account(kind, **settings)
    desk.refused(desk.add(token=desk.vault.token("root")), 4, *words)


@pytest.mark.parametrize("kind", ["vault-kv", "vault-transit"])
def test_a_vault_that_cannot_take_a_key(desk: Desk, kind: str) -> None:
    """Sealed or gone: status 5, to be tried again. No right to write: status 4, and which rights would do."""
    desk.account(kind)
    with desk.vault.sealed():
        desk.refused_by_vault_away(desk.add(), "Vault is sealed")
    desk.refused(desk.add(token=desk.vault.token("signer-gateway")), 4, "permission denied", "admin.hcl")
    desk.refused(desk.add(token="hvs.nobody"), 4, "Vault refuses it", "admin.hcl")


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({"token": "nobody"}, 5, ("there is no such token now", "put it in, or name the right one")),
        ({"module": "/nowhere/module.so"}, 4, ("/nowhere/module.so", "name the HSM's PKCS#11 library")),
        ({"pin_file": "/nowhere/pin"}, 4, ("/nowhere/pin", "put the PIN there")),
    ],
)
def test_a_token_that_is_not_as_set(
    desk: Desk, settings: dict[str, object], status: int, words: tuple[str, ...]
) -> None:
    """A missing token, module or PIN file is refused."""
    desk.account("pkcs11", **settings)
    desk.refused(desk.add(), status, *words)


@contextmanager
def wrong_pin(token: Token) -> Iterator[None]:
    """The PIN file says something else for the length of a block; then a person logs in."""
    token.give_pin("not the PIN")
    try:
        yield
    finally:
        token.give_pin(PIN)
        pkcs11.lib(str(module())).reinitialize()
        with logged_in():
            assert not tries_left_low()


def tries_left_low() -> bool:
    """Whether the token says that the last PIN was wrong."""
    return bool(pkcs11.lib(str(module())).get_token(token_label=LABEL).flags & TokenFlag.USER_PIN_COUNT_LOW)


def test_a_wrong_pin_is_given_once(desk: Desk) -> None:
    """`keys add` gives it once; a gateway that starts then gives none, and says what a person has to do."""
    desk.account("pkcs11")
    assert desk.add().returncode == 0
    with wrong_pin(desk.token):
        done = desk.made.signer("keys", "test", "odd")
        assert (done.returncode, done.stderr.count("\n"), "is not right" in done.stderr) == (4, 1, True), done.stderr
        started = desk.made.process("serve")
        assert (started.returncode, "so none is given" in started.stderr) == (4, True), started.stderr
        assert "pkcs11-tool --login" in started.stderr
        assert PIN not in done.stderr + started.stderr
    assert desk.made.signer("keys", "remove", "odd").returncode == 0


def test_a_transit_key_of_another_type(desk: Desk) -> None:
    """The start and a command refuse the key that somebody put there in one line, and nothing is signed by it."""
    desk.account("vault-transit")
    assert desk.add().returncode == 0
    path = f"signer-transit/keys/{desk.made.store.reopened().credential('odd').reference}"
    desk.vault.root.write_data(f"{path}/config", data={"deletion_allowed": True})
    desk.vault.root.delete(path)
    desk.vault.root.write_data(path, data={"type": "aes256-gcm96"})
    for command in (("serve",), ("keys", "test", "odd")):
        done = (desk.made.process if command == ("serve",) else desk.made.signer)(*command)
        told = [line for line in done.stderr.splitlines() if "warning" not in line]
        assert (done.returncode, len(told)) == (4, 1), done.stderr
        assert "it is a key of type aes256-gcm96, not hmac; remove the credential and add it anew" in told[0]
    assert desk.made.signer("keys", "remove", "odd", "--vault-token-file", str(desk.admin)).returncode == 0
    assert not any(desk.vault.lying("odd").values())
