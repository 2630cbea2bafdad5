"""Whose the files of a home are: what lets others in is found, and what is as `signer init` makes it is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from signer.doctor.files import examine
from signer.home.layout import Home
from signer.home.settings import Config
from tests.unit.doctor.looking import only, said


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Make a home with a file of each sort."""
    home = Home(tmp_path / "home")
    for folder in (home.folder, home.audit, home.tls, home.policies):
        folder.mkdir(mode=0o700)
    for path in (home.keys, home.marks, home.book, home.tls / "ca-key.pem", home.audit / "audit-000001-20261123.jsonl"):
        path.touch(0o600)
    for path in (home.config, home.policies / "trader.toml"):
        path.touch(0o644)
    return home


def test_a_home_as_it_is_made_is_fine(home: Home) -> None:
    """A home as `init` makes it gives one line, which says how much was looked at."""
    found = only(examine(home, None))
    assert (found.weight, "8 files" in found.what) == ("fine", True)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda home: home.folder.chmod(0o755), ("warning", "mode")),
        (lambda home: home.folder.chmod(0o720), ("error", "mode")),
        (lambda home: home.audit.chmod(0o777), ("error", "mode")),
        (lambda home: home.keys.chmod(0o640), ("error", "key-store")),
        (lambda home: (home.tls / "ca-key.pem").chmod(0o604), ("error", "key-store")),
        (lambda home: home.marks.chmod(0o620), ("error", "mode")),
        (lambda home: home.book.chmod(0o602), ("error", "mode")),
        (lambda home: home.config.chmod(0o664), ("error", "mode")),
        (lambda home: (home.policies / "trader.toml").chmod(0o646), ("error", "mode")),
        (lambda home: home.policies.chmod(0o730), ("error", "mode")),
        (lambda home: home.passphrase.touch(0o600), ("warning", "passphrase-beside")),
        (lambda home: home.passphrase.symlink_to(home.keys), ("error", "key-store")),
        (lambda home: home.pairs("kraken").symlink_to(home.config), ("error", "symlink")),
    ],
    ids=range(13),
)
def test_each_way_in(home: Home, spoil: Callable[[Home], object], expected: tuple[str, str]) -> None:
    """Each way for others to read or write the home gives one finding, with the hint."""
    spoil(home)
    found = [finding for finding in examine(home, None) if finding.weight != "fine"]
    assert expected in said(found)
    assert len(found) == 1 or os.path.lexists(home.passphrase)
    assert all(finding.hint for finding in found)


def test_a_policy_may_be_a_symlink_but_what_it_leads_to_is_looked_at(home: Home, tmp_path: Path) -> None:
    """A policy may be a symlink, as in a Kubernetes volume; a file that others may write to is found behind it."""
    target = tmp_path / "elsewhere.toml"
    target.touch(0o644)
    (home.policies / "linked.toml").symlink_to(target)
    assert said(examine(home, None)) == []
    target.chmod(0o666)
    assert said(examine(home, None)) == [("error", "mode")]
    target.unlink()
    assert said(examine(home, None)) == [("error", "missing")]


def test_the_files_that_the_settings_name(home: Home, tmp_path: Path) -> None:
    """Secret ones must be their owner's alone; a library that others may write to could be anything."""
    secret, module, ca = tmp_path / "secret-id", tmp_path / "module.so", tmp_path / "ca.pem"
    secret.touch(0o644)
    module.touch()
    module.chmod(0o666)
    login = {"method": "approle", "role_id": "r", "secret_id_file": str(secret)}
    vault = {"kind": "vault-kv", "address": "https://vault:8200", "login": login, "ca_file": str(ca)}
    hsm = {"kind": "pkcs11", "module": str(module), "token": "t", "pin_file": str(tmp_path / "pin")}
    config = Config.model_validate({"stores": {"v": vault, "h": hsm}, "accounts": {"main": {}}})
    found = {finding.about: finding.kind for finding in examine(home, config)}
    expected = {secret: "key-store", tmp_path / "pin": "key-store", module: "mode", ca: "missing"}
    assert found == {str(path): kind for path, kind in expected.items()}
