"""A thief of the operator's terminal, who is the gateway's user without the passphrase: keys and clients are not his.

That nothing is shown to him who has it, `test_canary.py` and `tests/cli/test_keys.py` ask.
"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from signer.cli.commands import COMMANDS, LazyGroup
from signer.cli.main import EXIT_STATUS
from tests.harness.shell import Shell, pasted, shell
from tests.harness.stores import API_KEY, CANARY

SECRET = b64encode(CANARY).decode()
PAIR = ("--account", "spot")
ATTEMPTS: dict[str, tuple[str, ...]] = {
    "clients add": ("his", *PAIR, "--policy", "trader"),
    "clients update": ("bot", "--allow-from-anywhere"),
    "clients forgive": ("bot",),
    "clients list": (),
    "clients revoke": ("bot",),
    "clients rotate": ("bot",),
    "keys add": ("his", *PAIR, "--stdin"),
    "keys confirm-deleted": ("main", "0" * 16),
    "keys list": (),
    "keys move": ("main", "--to", "file"),
    "keys remove": ("main",),
    "keys rotate": ("main", "--stdin"),
    "keys test": ("main",),
    "keyfile backup": ("copy.json",),
    "keyfile passphrase": ("--new-passphrase-file", "his-own"),
    "keyfile restore": ("keys.json",),
}


@pytest.fixture(name="taken")
def _taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    """A home with a key and a client, whose passphrase is elsewhere."""
    sh = shell(tmp_path, monkeypatch, capfd)
    assert sh.run("keys", "add", "main", *PAIR, "--stdin", stdin=pasted(API_KEY, SECRET))[0] == 0
    assert sh.run("clients", "add", "bot", *PAIR, "--policy", "trader")[0] == 0
    sh.home.passphrase.unlink()
    monkeypatch.chdir(sh.home.folder)
    return sh


@pytest.mark.parametrize("command", ATTEMPTS)
def test_the_key_store_is_closed_without_its_passphrase(taken: Shell, command: str) -> None:
    """Each command says that it is needed, and leaves the key store as it is."""
    before = taken.home.keys.read_bytes()
    status, out, _ = taken.run(*command.split(), *ATTEMPTS[command], stdin=pasted(API_KEY, SECRET))
    assert (status, out) == (EXIT_STATUS["key-store"], "")
    assert taken.home.keys.read_bytes() == before


def test_every_command_on_keys_and_clients_is_among_them() -> None:
    """A new one must be tried as well; and none is called export."""
    groups = {name: COMMANDS[name] for name in ("keys", "clients", "keyfile")}
    found = {f"{name} {sub}" for name, group in groups.items() if isinstance(group, LazyGroup) for sub in group.table}
    assert found == set(ATTEMPTS)


def test_he_can_stop_trading_and_look(taken: Shell) -> None:
    """What needs no passphrase is what an operator must be able to do in a hurry; nothing secret is in it."""
    for command in (("halt", "--reason", "his"), ("status",), ("resume", "--all"), ("audit", "tail")):
        status, out, err = taken.run(*command)
        assert status in {0, 1}
        assert SECRET not in out + err
