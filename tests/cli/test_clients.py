"""`signer clients`, as scripts and people use it."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from signer.keys.file import FileKeyStore
from signer.keys.issue import issue
from signer.keys.passphrase import Passphrase, from_file
from signer.keys.probes import Probe, keep_probe
from signer.model import Algorithm, KeyInfo
from signer.operator import opening
from signer.operator.reading_book import known_marks, with_marks
from signer.operator.session import Session
from signer.secret import Secret, fingerprint
from tests.harness.shell import Shell, pasted, shell
from tests.harness.stores import API_KEY, CANARY, CLIENT_KEY, SHAPE, open_store, same_key

SECRET = base64.b64encode(CANARY).decode()
ADD = ("clients", "add", "bot", "--account", "spot", "--policy", "trader")


@pytest.fixture(name="sh")
def _sh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    return shell(tmp_path, monkeypatch, capfd)


def _listed(sh: Shell) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(sh.run("clients", "list", "--json")[1])
    return rows


def _env(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def _is_the_clients(sh: Shell, env: dict[str, str]) -> bool:
    """Whether the key and secret of ``env`` are those that the store holds for ``bot``."""
    store = open_store(sh.home.keys)
    held = Secret.from_base64(env["KRAKEN_API_SECRET"], where="env").key()
    return store.clients()[0].api_key == env["KRAKEN_API_KEY"] and same_key(
        store.client_key("bot", Algorithm.HMAC_SHA512), held
    )


def test_add_shows_the_credential_once_as_an_env_file(sh: Shell) -> None:
    """Standard output is the bot's environment, whose secret is the client's; the gateway takes it up."""
    status, out, err = sh.run(*ADD)
    assert status == 0
    env = _env(out)
    assert env["KRAKEN_BASE_URL"] == "http://127.0.0.1:9999"
    assert len(env["KRAKEN_API_KEY"]) == 56
    assert _is_the_clients(sh, env)
    assert "shown once" in err
    assert sh.reloads == [sh.home]


def test_add_writes_an_env_file_instead(sh: Shell, tmp_path: Path) -> None:
    """The file is private and holds what works; the secret is on neither output."""
    file = tmp_path / "bot.env"
    status, out, err = sh.run(*ADD, "--env-file", str(file))
    assert (status, out) == (0, "")
    assert file.stat().st_mode & 0o777 == 0o600
    env = _env(file.read_text())
    assert _is_the_clients(sh, env)
    assert env["KRAKEN_API_SECRET"] not in err
    assert env["KRAKEN_API_KEY"] not in err


def test_an_env_file_is_overwritten_by_force_only(sh: Shell, tmp_path: Path) -> None:
    """Without --force the env file stays, and no client is added whose secret would be lost."""
    file = tmp_path / "bot.env"
    file.write_text("precious")
    status, _, err = sh.run(*ADD, "--env-file", str(file))
    assert status == 4
    assert "--force" in err
    assert file.read_text() == "precious"
    assert _listed(sh) == []
    assert sh.run(*ADD, "--env-file", str(file), "--force")[0] == 0
    assert _is_the_clients(sh, _env(file.read_text()))


def test_a_change_that_fails_leaves_the_env_file(sh: Shell, tmp_path: Path) -> None:
    """A store that cannot be written leaves the bot the credential that still works."""
    file = tmp_path / "bot.env"
    sh.run(*ADD, "--env-file", str(file))
    before = file.read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with sh.monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert sh.run("clients", "rotate", "bot", "--env-file", str(file), "--force")[0] == 4
    assert file.read_text() == before
    assert _is_the_clients(sh, _env(before))


def test_every_field_is_kept_and_listed(sh: Shell) -> None:
    """Sources, expiry, nonces: what was given is what the list says."""
    extra = ("--allow-from", "10.0.0.0/8", "--allow-from", "::1", "--expires", "2127-01-31", "--nonces", "strict")
    assert sh.run(*ADD, *extra)[0] == 0
    (row,) = _listed(sh)
    assert row["sources"] == ["10.0.0.0/8", "::1/128"]
    assert row["expires"] == "2127-01-31T00:00:00Z"
    assert (row["nonces"], row["revoked"], row["policy"], row["account"]) == ("strict", False, "trader", "spot")
    assert "10.0.0.0/8, ::1/128" in sh.run("clients", "list")[1]


def test_days_count_from_now(sh: Shell) -> None:
    """``30d`` is thirty days after the moment of the command."""
    earliest = datetime.now(UTC) + timedelta(days=30, seconds=-1)
    sh.run(*ADD, "--expires", "30d")
    expires = datetime.fromisoformat(str(_listed(sh)[0]["expires"]))
    assert earliest <= expires <= datetime.now(UTC) + timedelta(days=30)


def test_import_takes_a_pair_and_shows_nothing(sh: Shell, tmp_path: Path) -> None:
    """A pair that the bot has already: kept, not printed; with --env-file written there."""
    status, out, err = sh.run(*ADD, "--import-stdin", stdin=pasted(CLIENT_KEY, SECRET))
    assert (status, out) == (0, "")
    assert SECRET not in err
    assert _listed(sh)[0]["fingerprint"] == fingerprint(CLIENT_KEY)
    assert same_key(open_store(sh.home.keys).client_key("bot", Algorithm.HMAC_SHA512), Secret(CANARY).key())
    file = tmp_path / "second.env"
    arguments = ("clients", "add", "second", *ADD[3:], "--import-stdin", "--env-file", str(file))
    assert sh.run(*arguments, stdin=pasted(CLIENT_KEY[::-1], SECRET))[0] == 0
    assert _env(file.read_text())["KRAKEN_API_SECRET"] == SECRET


def test_a_real_key_is_not_imported_as_a_virtual_one(sh: Shell) -> None:
    """A bot that would keep the real secret is what this program is against."""
    sh.run("keys", "add", "main", "--account", "spot", "--stdin", stdin=pasted(API_KEY, SECRET))
    status, _, err = sh.run(*ADD, "--import-stdin", stdin=pasted(API_KEY, SECRET))
    assert status == 4
    assert "that of the credential main" in err


def test_revoke_is_for_good_until_added_anew(sh: Shell) -> None:
    """A revoked client stays listed, is not rotated, and a new issue under its name starts afresh."""
    sh.run(*ADD)
    assert sh.run("clients", "revoke", "bot")[0] == 0
    assert _listed(sh)[0]["revoked"] is True
    assert "true" in sh.run("clients", "list")[1]
    status, out, err = sh.run("clients", "rotate", "bot")
    assert (status, out) == (4, "")
    assert "signer clients add bot" in err
    assert sh.run(*ADD)[0] == 0
    assert _listed(sh)[0]["revoked"] is False
    assert len(sh.reloads) == 3


def test_rotate_issues_another_credential(sh: Shell) -> None:
    """The new one is the client's, the old one is not, and everything else stays."""
    old = _env(sh.run(*ADD, "--nonces", "strict")[1])
    status, out, _ = sh.run("clients", "rotate", "bot")
    assert status == 0
    assert _is_the_clients(sh, _env(out))
    assert not _is_the_clients(sh, old)
    assert _listed(sh)[0]["nonces"] == "strict"


def test_the_list_never_shows_a_key(sh: Shell) -> None:
    """The list shows fingerprints only, as a table and as JSON."""
    env = _env(sh.run(*ADD)[1])
    for arguments in (("clients", "list"), ("clients", "list", "--json")):
        _, out, err = sh.run(*arguments)
        assert fingerprint(env["KRAKEN_API_KEY"]) in out
        assert env["KRAKEN_API_KEY"] not in out + err
        assert env["KRAKEN_API_SECRET"] not in out + err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("clients", "add", "bot", "--account", "nope", "--policy", "trader"), 3, "known are: second, spot"),
        (("clients", "add", "bot", "--account", "spot", "--policy", "nope"), 3, "known are: tracker, trader"),
        (("clients", "add", "bot", "--account", "spot", "--policy", "../trader"), 3, "there is no policy"),
        (("clients", "add", "bot", "--account", "spot", "--policy", "trader.cases"), 3, "there is no policy"),
        (("clients", "add", "a/b", *ADD[3:]), 2, "use a-z, 0-9"),
        ((*ADD, "--allow-from", "10.0.0.1/8"), 2, "host bits set"),
        ((*ADD, "--allow-from", "example.com"), 2, "write an address"),
        ((*ADD, "--expires", "2020-01-01"), 2, "has passed"),
        ((*ADD, "--expires", "0d"), 2, "30d"),
        ((*ADD, "--expires", "2027-1-31"), 2, "2027-01-31"),
        ((*ADD, "--expires", "2027-02-30"), 2, "2027-01-31"),
        ((*ADD, "--nonces", "none"), 2, "window"),
        ((*ADD, "--import-stdin"), 4, "not an API key and secret in JSON"),
        ((*ADD, "--env-file", "/nowhere/bot.env"), 4, "No such file or directory"),
        (("clients", "revoke", "absent"), 4, "there is no client 'absent'; known are: none"),
        (("clients", "rotate", "absent"), 4, "there is no client 'absent'"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(
    sh: Shell, arguments: tuple[str, ...], status: int, words: str
) -> None:
    """Each mistake has its exit status and its hint, issues nothing, and the store is as it was."""
    before = sh.home.keys.read_bytes()
    got, out, err = sh.run(*arguments)
    assert (got, out) == (status, "")
    assert words in err
    assert "Traceback" not in err
    assert sh.home.keys.read_bytes() == before
    assert not sh.reloads


def test_two_that_add_at_once_both_succeed(sh: Shell) -> None:
    """The command that finishes first is not undone by the one that began before it."""
    opened, others = opening.open_file, iter(["other", "third"])

    def while_another_adds(session: Session, path: Path, passphrase: Passphrase) -> FileKeyStore:
        store = opened(session, path, passphrase)
        for name in others:
            other = opened(session, path, from_file(session.home.passphrase))
            made = issue(SHAPE)
            other.add_client(name, "spot", "trader", *made, created_us=1)
        return store

    sh.monkeypatch.setattr(opening, "open_file", while_another_adds)
    status, _, err = sh.run(*ADD)
    assert (status, "earlier state" in err) == (0, False)
    assert [row["name"] for row in _listed(sh)] == ["bot", "other", "third"]


def test_a_former_credential_that_still_passes_is_listed(sh: Shell) -> None:
    """A former credential is listed with its fingerprint and its end, until that is over or the client is revoked."""
    first = _env(sh.run(*ADD)[1])["KRAKEN_API_KEY"]
    second = _env(sh.run("clients", "rotate", "bot", "--overlap", "2h")[1])["KRAKEN_API_KEY"]
    now, former = _listed(sh)
    assert (now["fingerprint"], now["former"], now["expires"]) == (fingerprint(second), False, None)
    assert (former["name"], former["fingerprint"], former["former"]) == ("bot", fingerprint(first), True)
    assert isinstance(former["expires"], str)
    assert fingerprint(first) in sh.run("clients", "list")[1]
    sh.run("clients", "revoke", "bot")
    assert [row["former"] for row in _listed(sh)] == [False]


@pytest.mark.parametrize(("may", "lacks"), [(["query-funds"], True), (["query-funds", "query-open-trades"], False)])
def test_add_says_what_the_account_s_key_lacks(sh: Shell, may: list[str], lacks: bool) -> None:
    """The command says what the key lacks, as far as the exchange has told."""
    (sh.home.policies / "trader.toml").write_text(
        'version = 1\npermissions = ["query-funds", "query-open-trades"]\n', encoding="utf-8"
    )
    (sh.home.policies / "tracker.toml").write_text("version = 1\npermissions = []\n", encoding="utf-8")
    sh.run("keys", "add", "main", "--account", "spot", "--stdin", stdin=pasted(API_KEY, SECRET))
    told = KeyInfo("", tuple(may), None, 0, 0, ("192.0.2.1",))
    keep_probe(sh.home.probes, fingerprint(API_KEY), Probe(1, told))
    status, _, err = sh.run(*ADD)
    said = "credential main: may not do what policy trader promises"
    assert (status, f"signer: error: {said}" in err) == (0, lacks)


def test_forgive_is_for_strict_clients_and_on_record(sh: Shell) -> None:
    """Forgiving raises a mark of its own and lowers none; a client with a window is told that it needs none."""
    sh.run(*ADD, "--nonces", "strict")
    api_key = str(_listed(sh)[0]["fingerprint"])
    name = f"client/bot/{api_key}"
    with_marks(sh.home, lambda marks: marks.raise_mark(f"{name}/19", 1_795_000_000_000_000_000))
    status, out, _ = sh.run("clients", "forgive", "bot", "--reason", "curl counted in nanoseconds")
    assert (status, "1795000000000000000" in out) == (0, True)
    assert sh.reloads[-1] == sh.home
    kept = {each: mark for each, mark in known_marks(sh.home).items() if each.startswith("client/")}
    assert kept == {f"{name}/19": 1_795_000_000_000_000_000, f"{name}/forgiven": 1_795_000_000_000_000_000}
    assert "clients forgive" in sh.run("audit", "tail")[1]
    assert sh.run("clients", "forgive", "nobody")[0] == 3
    sh.run("clients", "add", "other", "--account", "spot", "--policy", "trader")
    assert "nothing is to be forgiven" in sh.run("clients", "forgive", "other")[1]
