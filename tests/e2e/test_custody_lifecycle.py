"""Keys are rotated, moved and removed in real stores: a Vault and a PKCS#11 token, beside a gateway and alone."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from signer.keys.file import FileKeyStore
from signer.keys.vault_kv import VaultKvStore
from signer.keys.vault_transit import VaultTransitStore
from signer.model import CredentialInfo
from signer.sandbox.control_client import MadeKey
from signer.sandbox.server import RunningSandbox
from tests.e2e.bursts import Burst, nonces_by_key
from tests.e2e.test_custody import add_stores, toml
from tests.e2e.test_lifecycle import asked, pasted
from tests.harness.bots import order
from tests.harness.gateways import running
from tests.harness.homes import MadeHome
from tests.vault.custody import vault_settings
from tests.vault.running import RunningVault
from tests.vault.softhsm import Token, lying

NUMBERS = itertools.count(1)
EVERY_MOVE = (
    "file", "vault-kv", "file", "vault-transit", "file", "pkcs11", "vault-kv", "vault-transit", "vault-kv", "pkcs11",
    "vault-transit", "pkcs11", "file"
)  # fmt: skip
"""Each of the four kinds to each other one, once."""


class Custodian:
    """A home with one credential, and who looks after it."""

    def __init__(self, folder: Path, sandbox: RunningSandbox, vault: RunningVault, token: Token) -> None:
        self.made = MadeHome(folder / "home", sandbox)
        self.account = f"custodian-{next(NUMBERS)}"
        self.name = f"{self.account}-key"
        self._admin = add_stores(self.made, vault, token)
        self._vault = vault
        self.made.add_account(self.account)
        self.keys = [self.made.store.credentials()[0].api_key]
        """The public halves of all that it had, oldest first."""
        self.store = "file"
        self.rotate()

    def another(self) -> MadeKey:
        """Make another key of the account."""
        return self.made.sandbox.control.make_key(self.account, tier="unlimited")

    def run(self, *arguments: str, key: MadeKey | None = None) -> CompletedProcess[str]:
        """A command that succeeds, as the administrator of Vault."""
        done = self.made.signer(*self.command(*arguments), stdin=pasted(key) if key else "")
        assert done.returncode == 0, done.stderr
        return done

    def command(self, *arguments: str) -> tuple[str, ...]:
        """Run a command with the administrator's token."""
        return (*arguments, "--vault-token-file", str(self._admin))

    def rotate(self) -> None:
        """Put another key in its place; nothing of the old one lies anywhere afterwards."""
        new = self.another()
        self.run("keys", "rotate", self.name, "--stdin", key=new)
        self.key = new
        self.keys.append(new.api_key)
        self.require_one_copy()

    def move(self, there: str) -> None:
        """Have another store keep it; nothing of it lies in the old one afterwards."""
        given = [] if self.store == "file" else ["--stdin"]
        self.run("keys", "move", self.name, "--to", there, *given, key=self.key)
        self.store = there
        self.require_one_copy()

    def info(self) -> CredentialInfo:
        """What the home says of it."""
        return self.made.store.reopened().credential(self.name)

    def lying(self) -> dict[str, list[str]]:
        """Return the names of its secrets, as the stores outside tell them."""
        return self._vault.lying(self.name) | {"pkcs11": lying(self.name)}

    def require_one_copy(self) -> None:
        """The secret in force is where it was put last and where the home says, and there is no other."""
        info, lying = self.info(), self.lying()
        assert info.store == self.store
        assert lying == {kind: [info.reference] if kind == info.store else [] for kind in lying}


@pytest.fixture
def custodian(tmp_path: Path, shared_sandbox: RunningSandbox, vault: RunningVault, token: Token) -> Custodian:
    """A home of the test's own."""
    return Custodian(tmp_path, shared_sandbox, vault, token)


def test_no_bot_notices_where_the_key_is(custodian: Custodian) -> None:
    """Through every move and a rotation in each store, a burst of orders has none refused, lost or doubled, the nonces
    of each key rise, and no old copy is left."""
    made = custodian.made
    with running(made) as gateway:
        bots = [gateway.client(custodian.account) for _ in range(2)]
        rotated = set()
        with Burst(bots) as burst:
            for here, there in itertools.pairwise(EVERY_MOVE):
                if here not in rotated:
                    rotated.add(here)
                    custodian.rotate()
                    burst.wait_for(3)
                custodian.move(there)
                burst.wait_for(3)
        assert burst.errors == []
        used = nonces_by_key(made, *custodian.keys[1:])
        assert all(nonces == sorted(set(nonces)) and len(nonces) > 3 for nonces in used)
        assert len(made.orders(custodian.account)) == burst.placed
        assert len(made.arrivals_of(custodian.keys)) == burst.placed
        assert sum(made.used(bot.name)["USD"] for bot in bots) == 2 * burst.placed
        custodian.move("vault-kv")
        custodian.run("keys", "remove", custodian.name, "--yes")
        assert not any(custodian.lying().values())
        assert asked(bots[0], "AddOrder", order()) != []
    made.verify()


def test_without_a_gateway(custodian: Custodian) -> None:
    """The same commands work without a gateway, and what they leave signs."""
    for there in ("pkcs11", "vault-kv", "vault-transit"):
        custodian.move(there)
        custodian.rotate()
        assert custodian.made.signer("keys", "test", custodian.name).returncode == 0
    (*_, last) = nonces_by_key(custodian.made, *custodian.keys)
    assert last == sorted(set(last))
    custodian.run("keys", "remove", custodian.name, "--yes")
    assert not any(custodian.lying().values())
    custodian.made.verify()


def killed_after(step: tuple[type, str], custodian: Custodian, arguments: tuple[str, ...], key: MadeKey) -> None:
    """Run a command in a process that dies (`kill -9`) right after ``step``."""
    owner, method = step
    child = os.fork()
    if child == 0:
        try:
            setattr(owner, method, fatal(getattr(owner, method)))
            custodian.made.signer(*custodian.command(*arguments), stdin=pasted(key))
        finally:
            os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


def fatal(done: Callable[..., object]) -> Callable[..., None]:
    """``done``, and then the end."""

    def and_die(*given: Any, **named: Any) -> None:
        done(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return and_die


STEPS = {
    "kept, and nothing names it": (VaultKvStore, "add"),
    "named, and the gateway does not know": (FileKeyStore, "_publish"),
    "the old one destroyed": (VaultKvStore, "remove"),
}


def test_killed_in_the_middle_of_a_rotation(custodian: Custodian) -> None:
    """Orders go on with the key that the gateway has, and after its next reload with the one that the file names."""
    custodian.move("vault-kv")
    with running(custodian.made) as gateway:
        bot = gateway.client(custodian.account)
        for step in STEPS.values():
            custodian.keys.append((key := custodian.another()).api_key)
            killed_after(step, custodian, ("keys", "rotate", custodian.name, "--stdin"), key)
            assert asked(bot, "AddOrder", order()) == []
            assert gateway.reload() == ""
            assert asked(bot, "AddOrder", order()) == []
        assert all(nonces == sorted(set(nonces)) for nonces in nonces_by_key(custodian.made, *custodian.keys))
    custodian.made.verify()


def test_killed_in_the_middle_of_a_move(custodian: Custodian) -> None:
    """The secret is where the home says at each step; the next move finds nothing in its way."""
    custodian.move("vault-kv")
    steps = {**STEPS, "kept, and nothing names it": (VaultTransitStore, "add")}
    with running(custodian.made) as gateway:
        bot = gateway.client(custodian.account)
        for step in steps.values():
            if custodian.store != "vault-kv":
                custodian.move("vault-kv")
            move = ("keys", "move", custodian.name, "--to", "vault-transit", "--stdin")
            killed_after(step, custodian, move, custodian.key)
            custodian.store = custodian.info().store
            assert custodian.info().reference in custodian.lying()[custodian.store]
            assert asked(bot, "AddOrder", order()) == []
            assert gateway.reload() == ""
            assert asked(bot, "AddOrder", order()) == []
        custodian.require_one_copy()
    custodian.made.verify()


def test_two_names_of_one_place(custodian: Custodian, vault: RunningVault) -> None:
    """A move between them would destroy the only copy: refused in one line, nothing changed."""
    with custodian.made.home.config.open("a") as file:
        file.write(toml(vault_settings(vault, "vault-kv"), "stores.alias"))
    custodian.move("vault-kv")
    move = ("keys", "move", custodian.name, "--to", "alias", "--stdin")
    done = custodian.made.signer(*custodian.command(*move), stdin=pasted(custodian.key))
    assert (done.returncode, "are one place" in done.stderr, done.stderr.count("\n")) == (3, True, 1)
    custodian.require_one_copy()
    assert json.loads(custodian.made.signer("keys", "test", custodian.name, "--json").stdout)["permissions"]
