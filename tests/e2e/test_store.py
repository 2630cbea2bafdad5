"""The key store as a whole: another passphrase, a backup, and back again, beside a gateway and without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.test_lifecycle import account_of, asked, made, own
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import PASSPHRASE, MadeHome

__all__ = ["made", "own"]
NEW = "five other words for this"


def private(path: Path, text: str) -> Path:
    """A file that only its owner reads."""
    path.touch(0o600)
    path.write_text(text)
    return path


def test_a_running_gateway_takes_up_a_new_passphrase(made: MadeHome, tmp_path: Path) -> None:
    """The gateway reads the new passphrase where it read the old; bots go on, and so does a reborn worker."""
    new = private(tmp_path / "new", NEW)
    with running(made) as gateway:
        bot = gateway.client(account_of(made))
        done = made.signer("keyfile", "passphrase", "--new-passphrase-file", str(new), "--reason", "it was on a screen")
        assert (done.returncode, "has taken it up" in done.stderr) == (0, True), done.stderr
        assert asked(bot) == []
        assert made.signer("clients", "list", "--passphrase-file", str(new)).returncode == 0
        gateway.kill_worker_and_wait()
        assert asked(bot) == []
        assert made.signer("clients", "revoke", bot.name).returncode == 0
        assert asked(bot) == ["EAPI:Invalid key"]
    assert made.home.passphrase.read_text() == NEW + "\n"
    with running(made):
        made.verify()


def test_a_gateway_that_cannot_read_the_new_one_goes_on_and_says_so(made: MadeHome, tmp_path: Path) -> None:
    """One line says what to do while its own file has the old passphrase, and bots notice nothing."""
    made.home.passphrase.rename(tmp_path / "elsewhere")
    old, new = tmp_path / "elsewhere", private(tmp_path / "new", NEW)
    with running(made, "--passphrase-file", str(old)) as gateway:
        bot = made.add_client("late", account_of(made), "tracker", url=gateway.url)
        assert gateway.reload() == ""
        flags = ("--passphrase-file", str(old))
        done = made.signer("keyfile", "passphrase", "--new-passphrase-file", str(new), *flags)
        assert done.returncode == 3
        assert "run `signer reload`, or restart the gateway" in done.stderr
        assert asked(bot) == []
        old.write_text(NEW)
        assert made.signer("reload").returncode == 0
        assert asked(bot) == []


def test_back_and_forth(made: MadeHome, tmp_path: Path) -> None:
    """A backup opens and goes back; it is refused where it would bring back what was revoked, unless that is said."""
    saved = tmp_path / "saved.json"
    with running(made) as gateway:
        bot = gateway.client(account_of(made))
        assert made.signer("keyfile", "backup", str(saved)).returncode == 0
        assert saved.stat().st_mode & 0o777 == 0o600
        assert made.signer("keyfile", "backup", str(saved)).returncode == 4
        assert made.signer("keyfile", "restore", str(saved)).returncode == 0
        assert made.signer("keyfile", "backup", str(saved), "--force").returncode == 0
        assert made.signer("clients", "revoke", bot.name).returncode == 0
        before = made.home.keys.read_bytes()
        refused = made.signer("keyfile", "restore", str(saved))
        assert (refused.returncode, "--older-than-now" in refused.stderr) == (4, True)
        assert made.home.keys.read_bytes() == before
        assert asked(bot) == ["EAPI:Invalid key"]
        done = made.signer("keyfile", "restore", str(saved), "--older-than-now")
        assert (done.returncode, f"client {bot.name}" in done.stdout) == (0, True), done.stderr
        assert asked(bot) == ["EAPI:Invalid key"]  # no file brings back what was revoked
    with running(made) as gateway:
        assert asked(bot.at(gateway.url)) == ["EAPI:Invalid key"]
    acts = [(one["act"], one["stage"]) for one in made.records(kind="operator") if one["stage"] != "begun"]
    assert acts[-2:] == [("keyfile restore", "failed"), ("keyfile restore", "done")]


def test_a_damaged_store_is_restored(made: MadeHome, tmp_path: Path) -> None:
    """A missing store is restored if it was not changed since the backup; whether a damaged one was, nobody can
    tell."""
    saved = tmp_path / "saved.json"
    assert made.signer("keyfile", "backup", str(saved)).returncode == 0
    made.home.keys.unlink()
    assert made.signer("keyfile", "restore", str(saved)).returncode == 0
    for damage in (made.home.keys.unlink, lambda: made.home.keys.write_text("{")):
        damage()
        refused = made.signer("keyfile", "restore", str(saved))
        assert (refused.returncode, "--older-than-now" in refused.stderr) == (4, True)
        assert made.signer("keyfile", "restore", str(saved), "--older-than-now").returncode == 0
    assert account_of(made) in made.signer("keys", "list").stdout


def test_an_older_key_store_is_noticed_at_the_start(made: MadeHome, tmp_path: Path) -> None:
    """Put back while no gateway runs, or while its worker is dead: the start refuses it until the operator says that
    it is meant. Who was revoked stays so even then."""
    account = account_of(made)
    assert made.signer("clients", "add", "gone", "--account", account, "--policy", "trader").returncode == 0
    older = made.home.keys.read_bytes()
    gateway = RunningGateway(made)
    try:
        assert made.signer("clients", "revoke", "gone").returncode == 0
        assert made.signer("clients", "add", "late", "--account", account, "--policy", "trader").returncode == 0
        latest = made.home.keys.read_bytes()
        made.home.keys.write_bytes(older)
        gateway.kill_worker()
    finally:
        assert gateway.ended() == 4
    assert "put back to an earlier state" in gateway.log()
    done = made.process("serve")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert f"run `signer keyfile restore {made.home.keys} --older-than-now`" in done.stderr
    made.home.keys.write_bytes(latest)
    with running(made):
        assert '"revoked": true' in made.signer("clients", "list", "--json").stdout
    made.home.keys.write_bytes(older)
    assert made.signer("keyfile", "restore", str(made.home.keys), "--older-than-now").returncode == 0
    with running(made):
        assert '"revoked": true' in made.signer("clients", "list", "--json").stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("keyfile", "passphrase"), 2, "give --new-passphrase-file"),
        (("keyfile", "passphrase", "--new-passphrase-file", "SHORT"), 4, "fewer than 12 characters"),
        (("keyfile", "passphrase", "--new-passphrase-file", "absent"), 4, "there is no such file"),
        (("keyfile", "restore", "absent"), 4, "there is no such file"),
        (("keyfile", "restore", "OTHER"), 4, "another key store is there"),
        (("keyfile", "restore", "SHORT"), 4, "key store is damaged"),
        (("keyfile", "backup", "/nowhere/x"), 4, "cannot be written"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_changes_nothing(
    made: MadeHome, tmp_path: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    """A passphrase too short, a file that is not there or no backup of this store: what, where and the hint."""
    other = tmp_path / "other"
    assert run_at(other, "init", "--passphrase-file", str(private(tmp_path / "same", PASSPHRASE))) == 0
    files = {"SHORT": str(private(tmp_path / "short", "short")), "OTHER": str(other / "keys.json")}
    before = made.home.keys.read_bytes(), made.home.passphrase.read_text().strip()
    done = made.signer(*(files.get(word, word) for word in arguments))
    assert (done.returncode, words in done.stderr, "Traceback" in done.stderr) == (status, True, False), done.stderr
    assert (made.home.keys.read_bytes(), made.home.passphrase.read_text().strip()) == before
    assert not made.home.passphrase.with_name("passphrase.next").exists()


def run_at(folder: Path, *arguments: str) -> int:
    """A command on another home."""
    from signer.cli.main import main

    return main(["--home", str(folder), *arguments])
