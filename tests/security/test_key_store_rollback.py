"""Threat: somebody puts the whole key store back to an earlier state, and what was revoked or replaced comes back.

The marks keep how far each store has come (`contracts.Marks`). `tests/e2e/test_store.py` has the same with
gateways that run.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from signer.operator import opening
from tests.harness.shell import Shell, shell
from tests.harness.stores import filled_store, open_store

REVOKE = ("clients", "revoke", "bot")


@pytest.fixture(name="sh")
def _shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    made = shell(tmp_path, monkeypatch, capfd)
    made.home.keys.unlink()
    filled_store(made.home.keys)
    return made


def add(sh: Shell, name: str) -> int:
    """`clients add`; its exit status."""
    return sh.run("clients", "add", name, "--account", "spot", "--policy", "trader")[0]


@pytest.mark.parametrize("change", ["clients", "passphrase", "restore"])
def test_every_change_is_remembered(sh: Shell, tmp_path: Path, change: str) -> None:
    """After a change of the file, each command refuses the file of before in one line."""
    saved, new = tmp_path / "saved.json", tmp_path / "new"
    assert sh.run("keyfile", "backup", str(saved))[0] == 0
    new.write_bytes(sh.home.passphrase.read_bytes())
    new.chmod(0o600)
    older = sh.home.keys.read_bytes()
    changes = {
        "clients": REVOKE,
        "passphrase": ("keyfile", "passphrase", "--new-passphrase-file", str(new)),
        "restore": ("keyfile", "restore", str(saved)),
    }
    assert sh.run(*changes[change])[0] == 0
    sh.home.keys.write_bytes(older)
    for command in (REVOKE, ("clients", "list"), ("keys", "list"), ("keyfile", "backup", str(tmp_path / "more"))):
        status, _, err = sh.run(*command)
        assert (status, err.count("put back to an earlier state"), "--older-than-now" in err) == (4, 1, True)
    assert sh.home.keys.read_bytes() == older


def test_an_older_one_does_not_climb_back(sh: Shell) -> None:
    """Changes to the older file cannot bring it to the height of the latest: none is made."""
    older = sh.home.keys.read_bytes()
    assert [add(sh, name) for name in ("one", "two")] == [0, 0]
    sh.home.keys.write_bytes(older)
    assert [add(sh, name) for name in ("one", "two", "three")] == [4, 4, 4]


def test_who_means_it_says_so(sh: Shell) -> None:
    """`keyfile restore` of the very file takes it for the latest from then on, and the one of before for older."""
    older = sh.home.keys.read_bytes()
    assert sh.run(*REVOKE)[0] == 0
    revoked = sh.home.keys.read_bytes()
    sh.home.keys.write_bytes(older)
    assert sh.run("keyfile", "restore", str(sh.home.keys))[0] == 4
    assert sh.run("keyfile", "restore", str(sh.home.keys), "--older-than-now")[0] == 0
    assert add(sh, "more") == 0
    sh.home.keys.write_bytes(revoked)
    assert add(sh, "less") == 4


def test_a_lost_store_comes_back_from_its_latest_backup_only(sh: Shell, tmp_path: Path) -> None:
    """The marks know that a backup is outdated, even if the file itself is gone."""
    saved = tmp_path / "saved.json"
    assert sh.run("keyfile", "backup", str(saved))[0] == 0
    assert sh.run(*REVOKE)[0] == 0
    sh.home.keys.unlink()
    status, _, err = sh.run("keyfile", "restore", str(saved))
    assert (status, "changed since the backup" in err) == (4, True)
    assert not sh.home.keys.exists()


def test_an_interrupt_between_file_and_mark_shuts_nobody_out(sh: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is ahead of the marks then; it opens, and the next change brings them along."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(opening, "_keep_mark", interrupted)
        assert sh.run(*REVOKE)[0] == 130
    assert open_store(sh.home.keys).clients()[0].revoked
    between = sh.home.keys.read_bytes()
    assert add(sh, "more") == 0
    sh.home.keys.write_bytes(between)
    assert add(sh, "less") == 4


def test_a_client_is_revoked_though_the_marks_are_broken(sh: Shell) -> None:
    """A brake must work when other things are broken; what cannot be known is said."""
    sh.home.marks.write_bytes(b"these are no marks" * 100)
    status, _, err = sh.run(*REVOKE)
    assert (status, "cannot be known" in err, "nobody would notice" in err) == (0, True, True)
    assert open_store(sh.home.keys).clients()[0].revoked
