"""`signer keys`, as scripts and people use it."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from signer.home.settings import load_config
from signer.keys.file import FileKeyStore
from signer.keys.probes import Probe, keep_probe
from signer.model import CredentialInfo, KeyInfo
from signer.operator.judging import judged
from signer.operator.opening import INSECURE_VARIABLE, create_store
from signer.secret import Secret, fingerprint
from tests.harness.persons import Told, told_at
from tests.harness.shell import Shell, pasted, shell
from tests.harness.stores import API_KEY, CANARY, PASSPHRASE_TEXT, open_store, passphrase, spellings

SECRET = base64.b64encode(CANARY).decode()
ADD = ("keys", "add", "main", "--account", "spot")


@pytest.fixture(name="sh")
def _sh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    return shell(tmp_path, monkeypatch, capfd)


def _names(sh: Shell) -> list[str]:
    return [row["name"] for row in json.loads(sh.run("keys", "list", "--json")[1])]


def test_add_reads_standard_input_and_tells_the_gateway(sh: Shell) -> None:
    """The script's way: JSON on stdin; afterwards it is listed, and the running gateway reloads."""
    status, out, err = sh.run(*ADD, "--stdin", stdin=pasted(API_KEY, SECRET))
    assert (status, "Added credential main of account spot" in out, "took it up" in err) == (0, True, True)
    assert sh.reloads == [sh.home]
    (row,) = json.loads(sh.run("keys", "list", "--json")[1])
    assert (row["name"], row["account"], row["fingerprint"]) == ("main", "spot", fingerprint(API_KEY))
    assert row["created"].endswith("Z")
    assert "main  spot" in sh.run("keys", "list")[1]


def test_add_reads_a_file(sh: Shell, tmp_path: Path) -> None:
    """A file of any known format works; it is said what it was read as, that it should go, and that it lay open."""
    file = tmp_path / "key.json"
    file.write_text(pasted(API_KEY, SECRET))
    file.chmod(0o644)
    status, out, err = sh.run(*ADD, "--file", str(file))
    assert status == 0
    assert f"read {file} as JSON; delete it" in err
    assert f"others on this machine could read {file}" in err
    assert SECRET not in out + err
    sh.run("keys", "remove", "main")
    file.write_text(f"{API_KEY}\n{SECRET}\n")
    file.chmod(0o600)
    status, _, err = sh.run(*ADD, "--file", str(file))
    assert (status, "as two lines" in err, "could read" in err) == (0, True, False)
    assert sh.run("keys", "add", "more", "--account", "spot", "--file", str(tmp_path))[0] == 4
    assert sh.run("keys", "add", "more", "--account", "spot", "--file", str(tmp_path / "none"))[0] == 5


@pytest.mark.parametrize(
    ("arguments", "stdin", "status", "words"),
    [
        (("keys", "add", "main", "--account", "nope", "--stdin"), "{}", 3, "known are: second, spot"),
        (("keys", "add", "Main", "--account", "spot", "--stdin"), "{}", 2, "use a-z, 0-9"),
        ((*ADD, "--stdin"), "", 4, 'write {"api_key"'),
        ((*ADD, "--stdin"), pasted(API_KEY, "c2hvcnQ="), 4, "decodes to 5 bytes"),
        ((*ADD, "--stdin"), pasted(SECRET, SECRET), 4, "the api_key of the credential is not well formed"),
        ((*ADD, "--stdin", "--file", "x"), "", 2, "exclude each other"),
        (ADD, "", 2, "give --stdin or --file"),
        (("keys", "remove", "absent"), "", 4, "there is no credential 'absent'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_changes_nothing(
    sh: Shell, arguments: tuple[str, ...], stdin: str, status: int, words: str
) -> None:
    """Each mistake has its exit status and its hint, no traceback, no secret, and the store is as it was."""
    before = sh.home.keys.read_bytes()
    got, out, err = sh.run(*arguments, stdin=stdin)
    assert (got, out) == (status, "")
    assert words in err
    assert "Traceback" not in err
    assert SECRET not in err
    assert sh.home.keys.read_bytes() == before
    assert not sh.reloads


@pytest.mark.parametrize(("accounts", "warned"), [("AB", True), ("AA", False), ("A ", False), (" B", False)])
def test_a_key_of_another_account_is_told_of(sh: Shell, accounts: str, warned: bool) -> None:
    """Two keys of one account of ours that see two accounts of the exchange, as far as it says which they see."""
    for name, api_key in (("main", API_KEY), ("more", API_KEY[::-1])):
        sh.run("keys", "add", name, "--account", "spot", "--stdin", stdin=pasted(api_key, SECRET))
    first, second = (KeyInfo("", ("query-funds",), None, 0, 0, ("192.0.2.1",), account.strip()) for account in accounts)
    keep_probe(sh.home.probes, fingerprint(API_KEY), Probe(1, first))
    store = open_store(sh.home.keys)
    told = [finding.kind for finding in judged(told_at(sh.home), load_config(sh.home.config), store, "more", second)]
    assert ("another-account" in told) == warned


def test_remove_forgets(sh: Shell) -> None:
    """A removed key is not listed, and the gateway was told."""
    sh.run(*ADD, "--stdin", stdin=pasted(API_KEY, SECRET))
    assert sh.run("keys", "remove", "main")[0] == 0
    assert _names(sh) == []
    assert len(sh.reloads) == 2
    assert "There are no credentials" in sh.run("keys", "list")[2]


def test_nothing_is_ever_shown(sh: Shell) -> None:
    """No output of any command holds the secret in any spelling, the API key or the passphrase."""
    runs = [
        sh.run(*ADD, "--stdin", stdin=pasted(API_KEY, SECRET)),
        sh.run(*ADD, "--stdin", stdin=pasted(API_KEY, SECRET)),
        sh.run("keys", "list"),
        sh.run("keys", "list", "--json"),
        sh.run("keys", "remove", "main"),
    ]
    text = "".join(out + err for _, out, err in runs).encode()
    for hidden in [*spellings(CANARY), API_KEY.encode(), PASSPHRASE_TEXT.encode()]:
        assert hidden not in text


def test_a_reload_that_fails_says_that_the_change_is_saved(sh: Shell) -> None:
    """The command fails, for the gateway goes on without the key; but the key is kept, and the message says so."""
    sh.reload_fails = True
    status, _, err = sh.run(*ADD, "--stdin", stdin=pasted(API_KEY, SECRET))
    assert status == 1
    assert "credential main is saved, but the running gateway goes on without it" in err
    assert _names(sh) == ["main"]


def test_ctrl_c_leaves_the_old_store(sh: Shell) -> None:
    """An interrupt in the middle of writing: exit 130, the file byte for byte as it was, nothing beside it."""
    before = sh.home.keys.read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with sh.monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        status, _, err = sh.run(*ADD, "--stdin", stdin=pasted(API_KEY, SECRET))
    assert status == 130
    assert "interrupted" in err
    assert sh.home.keys.read_bytes() == before
    assert not list(sh.home.folder.glob(".*"))


def test_the_passphrase_comes_from_the_flag_first(sh: Shell, tmp_path: Path) -> None:
    """A wrong passphrase file fails, though the home's own would open it; a missing one is not skipped."""
    wrong = tmp_path / "wrong"
    wrong.write_text("not the passphrase")
    wrong.chmod(0o600)
    status, _, err = sh.run("keys", "list", "--passphrase-file", str(wrong))
    assert status == 4
    assert "not the one of this key store" in err
    assert sh.run("keys", "list", "--passphrase-file", str(tmp_path / "absent"))[0] == 4


def test_the_environment_serves_with_a_warning(sh: Shell) -> None:
    """``SIGNER_PASSPHRASE`` opens the store, and stderr says why it should not."""
    sh.home.passphrase.unlink()
    sh.monkeypatch.setenv("SIGNER_PASSPHRASE", PASSPHRASE_TEXT)
    status, _, err = sh.run("keys", "list")
    assert status == 0
    assert "warning: SIGNER_PASSPHRASE" in err


def test_without_any_source_or_terminal_it_says_what_to_give(sh: Shell) -> None:
    """A command without a terminal does not wait for an answer that nobody can type."""
    sh.home.passphrase.unlink()
    status, _, err = sh.run("keys", "list")
    assert status == 4
    assert "--passphrase-file" in err


def test_the_insecure_profile_needs_the_exact_words(sh: Shell) -> None:
    """The variable's every other value is an error, and without it a store made for tests stays shut."""
    sh.monkeypatch.setenv(INSECURE_VARIABLE, "1")
    status, _, err = sh.run("keys", "list")
    assert status == 3
    assert INSECURE_VARIABLE in err
    sh.monkeypatch.delenv(INSECURE_VARIABLE)
    status, _, err = sh.run("keys", "list")
    assert status == 4
    assert "protects nothing" in err


def test_a_store_is_made_for_real_use_unless_told_otherwise(sh: Shell) -> None:
    """`create_store` takes RFC 9106's profile; only the frightening variable makes it cheap, with a warning."""
    sh.home.keys.unlink()
    told = Told()
    create_store(sh.home, told, passphrase())
    assert "protect NOTHING" in told.warned[0]
    sh.home.keys.unlink()
    sh.monkeypatch.delenv(INSECURE_VARIABLE)
    create_store(sh.home, Told(), passphrase())
    assert not FileKeyStore.open(sh.home.keys, passphrase()).credentials()


HSM = '[accounts.held]\nstore = "hsm"\n[stores.hsm]\nkind = "pkcs11"\nmodule = "/nowhere/hsm.so"\n'
HSM += 'token = "signer"\npin_file = "/nowhere/pin"\n'


def test_a_store_that_cannot_be_used_leaves_nothing_half_added(sh: Shell) -> None:
    """The account's secrets go to an HSM that is not there: one line says so, and no entry is kept."""
    with sh.home.config.open("a") as file:
        file.write(HSM)
    status, out, err = sh.run("keys", "add", "main", "--account", "held", "--stdin", stdin=pasted(API_KEY, SECRET))
    assert (status, out) == (4, "")
    assert "/nowhere/hsm.so: it cannot be loaded" in err
    assert _names(sh) == []


class Elsewhere:
    """A store that takes everything."""

    def add(self, info: CredentialInfo, secret: Secret) -> None:
        return


def test_a_key_whose_store_is_gone_can_be_forgotten(sh: Shell) -> None:
    """A removal fails without the store and changes nothing, unless the secret is left where it is."""
    store = open_store(sh.home.keys)
    elsewhere = ("gone", Elsewhere())
    store.add_credential("main", "spot", API_KEY, Secret(CANARY), created_us=1, elsewhere=elsewhere)  # type: ignore[arg-type]
    status, _, err = sh.run("keys", "remove", "main")
    assert (status, "there is no store 'gone'" in err) == (3, True)
    assert _names(sh) == ["main"]
    assert sh.run("keys", "remove", "main", "--leave-secret")[0] == 0
    assert _names(sh) == []


def test_the_last_key_that_clients_use_is_not_removed_unasked(sh: Shell) -> None:
    """The last key of a client needs --yes where there is no terminal; a key that nobody needs goes without."""
    sh.run(*ADD, "--stdin", stdin=pasted(API_KEY, SECRET))
    sh.run("clients", "add", "bot", "--account", "spot", "--policy", "trader")
    status, _, err = sh.run("keys", "remove", "main")
    assert (status, "the last key of account spot" in err, "bot" in err, "--yes" in err) == (4, True, True, True)
    assert _names(sh) == ["main"]
    assert sh.run("keys", "remove", "main", "--yes")[0] == 0
    assert _names(sh) == []
    sh.run(*ADD, "--stdin", stdin=pasted(API_KEY, SECRET))
    sh.run("clients", "revoke", "bot")
    assert sh.run("keys", "remove", "main")[0] == 0
