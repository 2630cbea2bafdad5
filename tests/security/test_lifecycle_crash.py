"""Threat: the machine dies, or Ctrl-C is pressed, in the middle of a rotation, a move, a new passphrase or a restore.

Each command is killed at every one of its writes in turn. The store opens before and after, without anybody's help, and
every credential in it signs with a secret that belongs to its API key.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from signer.cli.main import main
from signer.contracts import SigningKey
from signer.errors import KeyStoreError
from signer.keys.file import FileKeyStore
from signer.keys.replaced import kept_replaced
from signer.model import CredentialInfo, KeyInfo
from signer.operator import keys
from signer.operator.opening import handle_of, open_store
from signer.operator.operation import Operation
from signer.operator.probing import Heard
from signer.secret import HMACS, Secret
from tests.harness.persons import told_at
from tests.harness.shell import Shell, pasted, shell
from tests.harness.stores import API_KEY, CANARY, MESSAGE

OTHER_KEY, OTHER = "OTHERkey" * 7, CANARY[::-1]
SECRETS = {API_KEY: CANARY, OTHER_KEY: OTHER}
NEW_TEXT = "another passphrase of the tests"
WRITES = ("fsync", "fdatasync", "replace", "link", "unlink", "rename")


class FolderStore:
    """A store outside the home, as a folder: what a Vault or an HSM is to the commands."""

    algorithms = frozenset(HMACS)
    keeps_passphrases = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    async def signing_key(self, info: CredentialInfo) -> SigningKey:
        try:
            return Secret((self._folder / info.reference).read_bytes()).key()
        except FileNotFoundError:
            raise KeyStoreError("there is no such secret", where=str(self._folder)) from None

    def add(self, info: CredentialInfo, secret: Secret) -> None:
        (self._folder / info.reference).write_bytes(secret.expose_to(bytes))
        os.fsync(os.open(self._folder, os.O_RDONLY))

    def remove(self, info: CredentialInfo) -> None:
        (self._folder / info.reference).unlink(missing_ok=True)

    async def describe(self) -> str:
        """Always there."""
        return "is there"

    async def close(self) -> None:
        """Close nothing: nothing is open."""

    def held(self) -> list[str]:
        """What lies there."""
        return sorted(path.name for path in self._folder.iterdir())


@dataclass
class Bench:
    """A home with one credential, whose account may keep secrets in a folder."""

    sh: Shell
    vault: FolderStore
    may: Callable[[str], tuple[str, ...]]

    def require_sound(self) -> CredentialInfo:
        """The store opens by what lies in the home, and the credential signs with a secret of its own key."""
        store = open_store(told_at(self.sh.home))
        (info,) = store.credentials()
        elsewhere = None if info.store == "file" else self.vault
        key = asyncio.run(handle_of(info, store, elsewhere))
        expected = asyncio.run(Secret(SECRETS[info.api_key]).key().sign(MESSAGE))
        assert asyncio.run(key.sign(MESSAGE)) == expected
        return info


@pytest.fixture(name="bench")
def _bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Bench:
    sh, vault = shell(tmp_path, monkeypatch, capfd), FolderStore(tmp_path / "vault")
    bench = Bench(sh, vault, lambda _: ("modify-trades",))
    monkeypatch.setattr(keys, "signing_store", lambda _, name, *__: None if name == "file" else vault)

    def asked(_: Operation, info: CredentialInfo, *__: object) -> Heard:
        return Heard(KeyInfo("at the venue", bench.may(info.api_key), None, 0, 0, ()), moved=False)

    monkeypatch.setattr(Operation, "probe", asked)
    monkeypatch.setattr(Operation, "try_out", asked)
    open_store(told_at(sh.home)).add_credential("main", "spot", API_KEY, Secret(CANARY), created_us=1)
    return bench


def json_of(api_key: str, secret: bytes) -> str:
    """What ``--stdin`` reads."""
    return pasted(api_key, base64.b64encode(secret).decode())


def killed_at(step: int, home: Path, arguments: tuple[str, ...], stdin: str) -> bool:
    """Run a command in a child that dies before its write number ``step``; False if it has fewer."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(_counted(step, home, arguments, stdin))
        finally:
            os._exit(99)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, f"{arguments} ended with {status}"
    return os.WIFSIGNALED(status)


def _counted(step: int, home: Path, arguments: tuple[str, ...], stdin: str) -> int:
    left = step

    def counting(write: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(*given, **named)

        return counted

    for name in WRITES:
        setattr(os, name, counting(getattr(os, name)))
    reading, writing = os.pipe()
    os.write(writing, stdin.encode())
    os.close(writing)
    os.dup2(reading, 0)
    import sys

    sys.stdin = os.fdopen(0, "r")
    return main(["--home", str(home), *arguments])


def every_kill(bench: Bench, *arguments: str, stdin: str = "") -> Iterator[int]:
    """Yield how many writes the command had done at each kill; its home is restored afterwards."""
    folder = bench.sh.home.folder
    for step in range(200):
        saved = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        vaulted = {name: (bench.vault._folder / name).read_bytes() for name in bench.vault.held()}
        if not killed_at(step, folder, arguments, stdin):
            assert step > 5, "a command that changes something writes more often"
            return
        yield step
        for path in folder.rglob("*"):
            if path.is_file() and path not in saved:
                path.unlink()
        for path, content in saved.items():
            path.write_bytes(content)
        for name in bench.vault.held():
            (bench.vault._folder / name).unlink()
        for name, content in vaulted.items():
            (bench.vault._folder / name).write_bytes(content)
    raise AssertionError("the command never ends")


def test_kill_at_each_step_of_a_new_passphrase(bench: Bench, tmp_path: Path) -> None:
    """The home's passphrase file and the store agree again at the next command, whichever of the two was written."""
    new = tmp_path / "new"
    new.write_text(NEW_TEXT)
    new.chmod(0o600)
    for _ in every_kill(bench, "keyfile", "passphrase", "--new-passphrase-file", str(new)):
        assert bench.require_sound().api_key == API_KEY
        assert not bench.sh.home.passphrase.with_name("passphrase.next").exists()
    assert bench.sh.home.passphrase.read_text() == NEW_TEXT + "\n"
    bench.require_sound()


def test_kill_at_each_step_of_a_rotation(bench: Bench) -> None:
    """The old key or the new one, with its own secret; and if it is the new one, the old one is to be deleted."""
    seen = set()
    for _ in every_kill(bench, "keys", "rotate", "main", "--stdin", stdin=json_of(OTHER_KEY, OTHER)):
        info = bench.require_sound()
        seen.add(info.api_key)
        assert len(kept_replaced(bench.sh.home.replaced, [info])) == (info.api_key == OTHER_KEY)
    assert seen == {API_KEY, OTHER_KEY}
    assert bench.require_sound().api_key == OTHER_KEY


def test_kill_at_each_step_of_a_rotation_in_another_store(bench: Bench) -> None:
    """A rotation in another store that is killed leaves the old key or the new one; in the end only the new one is
    kept."""
    move = bench.sh.run("keys", "move", "main", "--to", "vault")
    assert move[0] == 0, move
    for _ in every_kill(bench, "keys", "rotate", "main", "--stdin", stdin=json_of(OTHER_KEY, OTHER)):
        bench.require_sound()
    assert bench.vault.held() == [bench.require_sound().reference]


def test_kill_at_each_step_of_a_move_there_and_back(bench: Bench) -> None:
    """The secret is in one place or the other, and the old copy is gone when the command has ended."""
    for _ in every_kill(bench, "keys", "move", "main", "--to", "vault"):
        bench.require_sound()
    assert bench.vault.held() == [bench.require_sound().reference]
    back = ("keys", "move", "main", "--to", "file", "--stdin")
    for _ in every_kill(bench, *back, stdin=json_of(API_KEY, CANARY)):
        bench.require_sound()
    assert (bench.require_sound().store, bench.vault.held()) == ("file", [])


def test_kill_at_each_step_of_a_restore(bench: Bench, tmp_path: Path) -> None:
    """The store of before or that of the backup, though the passphrase was changed in between."""
    saved, old, new = tmp_path / "saved.json", tmp_path / "old", tmp_path / "new"
    old.write_bytes(bench.sh.home.passphrase.read_bytes())
    new.write_text(NEW_TEXT)
    for file in (old, new):
        file.chmod(0o600)
    assert bench.sh.run("keyfile", "backup", str(saved))[0] == 0
    assert bench.sh.run("keyfile", "passphrase", "--new-passphrase-file", str(new))[0] == 0
    restore = ("keyfile", "restore", str(saved), "--older-than-now", "--passphrase-file", str(old))
    for _ in every_kill(bench, *restore):
        bench.require_sound()
    assert bench.sh.home.passphrase.read_bytes() == old.read_bytes()
    bench.require_sound()


def test_a_move_to_a_copy_that_signs_otherwise_leaves_the_old_one(bench: Bench) -> None:
    """Both places sign the same message; a copy with a wrong secret is found and taken away."""
    assert bench.sh.run("keys", "move", "main", "--to", "vault")[0] == 0
    wrong = bench.sh.run("keys", "move", "main", "--to", "file", "--stdin", stdin=json_of(API_KEY, OTHER))
    assert (wrong[0], "do not sign alike" in wrong[2]) == (4, True)
    other = bench.sh.run("keys", "move", "main", "--to", "file", "--stdin", stdin=json_of(OTHER_KEY, OTHER))
    assert (other[0], "another API key" in other[2]) == (4, True)
    assert bench.require_sound().store == "vault"


def test_an_interrupt_after_the_last_write_does_not_take_the_new_secret_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C just when the file has come to name the new secret: what it names must stay."""
    assert bench.sh.run("keys", "move", "main", "--to", "vault")[0] == 0
    write = FileKeyStore.replace_credential

    def interrupted(*given: Any, **named: Any) -> None:
        write(*given, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(FileKeyStore, "replace_credential", interrupted)
    assert bench.sh.run("keys", "rotate", "main", "--stdin", stdin=json_of(OTHER_KEY, OTHER))[0] == 130
    assert bench.require_sound().api_key == OTHER_KEY


def test_a_rotation_that_fails_late_leaves_no_secret_behind(bench: Bench) -> None:
    """A key with other permissions was put into the outside store to be tried out; it is gone again."""
    assert bench.sh.run("keys", "move", "main", "--to", "vault")[0] == 0
    held = bench.vault.held()
    bench.may = lambda api_key: ("modify-trades",) if api_key == API_KEY else ("withdraw-funds",)
    status, _, err = bench.sh.run("keys", "rotate", "main", "--stdin", stdin=json_of(OTHER_KEY, OTHER))
    assert (status, "also has withdraw-funds" in err) == (4, True)
    assert bench.vault.held() == held
    log = [json.loads(line) for file in bench.sh.home.audit.glob("*.jsonl") for line in file.read_bytes().splitlines()]
    assert [one["stage"] for one in log if one.get("act") == "keys rotate"] == ["begun", "failed"]
