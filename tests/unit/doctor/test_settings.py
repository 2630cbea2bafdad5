"""Settings, key store, policies and clients: each that does not read is named, and the others are read all the same."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from signer.doctor.settings import examine, read
from signer.errors import KeyStoreError, WrongPassphrase
from signer.findings import Finding
from signer.home.layout import Home
from signer.keys.file import FileKeyStore
from signer.secret import Secret
from signer.serving.warnings import of_policies
from tests.harness.policies import POLICIES
from tests.harness.stores import API_KEY, CANARY, CLIENT_KEY, new_store, open_store
from tests.unit.doctor.looking import said

TODAY, NOW_US = date(2026, 11, 23), 1_795_435_200_000_000


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Make a home with one account, a key, a client and two policies, in which nothing is wrong."""
    home = Home(tmp_path)
    home.config.write_text("[accounts.spot]\n")
    home.policies.mkdir()
    for name in ("trader", "tracker"):
        (home.policies / f"{name}.toml").write_text(POLICIES[name])
    store = new_store(home.keys)
    store.add_credential("main", "spot", API_KEY, Secret(CANARY), created_us=1)
    store.add_client("bot", "spot", "trader", CLIENT_KEY, Secret(CANARY[::-1]), created_us=2)
    return home


def found(home: Home) -> list[Finding]:
    """All that is said of it."""
    known, unread = read(home, lambda: open_store(home.keys))
    return [*unread, *examine(known, NOW_US, TODAY)]


def test_a_home_that_fits_together(home: Home) -> None:
    """A home that fits together gives no finding."""
    assert said(found(home)) == []


def test_settings_that_do_not_read(home: Home) -> None:
    """Their error, and key store and policies are still told of."""
    home.config.write_text("[acounts.spot]\n")
    told = found(home)
    assert said(told) == [("error", "config")]
    assert {"key store", "policies"} <= {finding.about for finding in told}


def test_a_passphrase_that_does_not_open(home: Home) -> None:
    """An error; what needs no key store is still told of."""

    def opened() -> FileKeyStore:
        raise WrongPassphrase("the passphrase is not the one of this key store", where="x", hint="try another")

    known, unread = read(home, opened)
    assert (said(unread), known.store, known.config is not None) == ([("error", "wrong-passphrase")], None, True)


def test_a_key_store_that_is_gone(home: Home) -> None:
    """A missing key store is a finding with its hint."""
    home.keys.unlink()
    with pytest.raises(KeyStoreError):
        open_store(home.keys)
    assert said(found(home)) == [("error", "key-store")]


def test_each_problem_of_each_policy(home: Home) -> None:
    """A line for each, with its key and hint; the policies that read are in use for the rest."""
    (home.policies / "tracker.toml").write_text('version = 1\npermisions = ["query-funds"]\n')
    told = [finding for finding in found(home) if finding.kind == "policy"]
    assert {finding.about for finding in told} == {"policy tracker"}
    assert any("permisions" in finding.what and "did you mean permissions" in finding.hint for finding in told)


def test_no_policies_at_all(home: Home) -> None:
    """The folder and the client that needs it are both named."""
    for path in home.policies.iterdir():
        path.unlink()
    home.policies.rmdir()
    assert said(found(home)) == [("error", "config"), *[("error", "policy")] * 2]


def test_a_client_without_its_policy_and_a_credential_without_its_account(home: Home) -> None:
    """The check finds everything that the start would refuse, and lists all of it at once."""
    (home.policies / "trader.toml").unlink()
    home.config.write_text("[accounts.other]\n")
    told = found(home)
    assert said(told) == [*[("error", "policy")] * 2, ("warning", "no-key"), *[("error", "config")] * 2]
    assert "at a start bot may only cancel" in told[1].what
    assert {"main belongs to account spot", "bot belongs to account spot"} <= {
        finding.what.partition(",")[0] for finding in told
    }


def test_a_client_that_is_over(home: Home) -> None:
    """An expired one is said, a revoked one is not."""
    store = open_store(home.keys)
    store.update_client("bot", expires_us=NOW_US)
    assert said(found(home)) == [("warning", "client-expired")]
    store.update_client("bot", revoked=True)
    assert said(found(home)) == []


@pytest.mark.parametrize(
    ("review_by", "expected"),
    [
        ("2026-12-08", []),
        ("2026-12-07", [("warning", "review")]),
        ("2026-11-01", [("warning", "review")]),
        ("2026-02-30", [("warning", "policy")]),
    ],
)
def test_a_policy_that_is_to_be_reviewed(home: Home, review_by: str, expected: list[tuple[str, str]]) -> None:
    """A review is due from a fortnight before its day; a day that does not exist leaves the policy unloaded."""
    (home.policies / "tracker.toml").write_text(f'review_by = "{review_by}"\n{POLICIES["tracker"]}')
    assert said(found(home)) == expected


def test_the_start_says_it_only_when_the_day_has_come(home: Home) -> None:
    """A fortnight ahead is for the doctor; from the day on every start says it too."""
    (home.policies / "tracker.toml").write_text(f'review_by = "2026-11-24"\n{POLICIES["tracker"]}')
    known, _ = read(home, lambda: open_store(home.keys))
    assert said(of_policies(known.policies.values(), TODAY)) == []
    assert said(of_policies(known.policies.values(), date(2026, 11, 24))) == [("warning", "review")]
