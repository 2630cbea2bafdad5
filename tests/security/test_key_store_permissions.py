"""Attacker: another user of the machine. What he could read or plant is refused, with the hint."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from signer.errors import KeyStoreError
from signer.keys.passphrase import from_file
from tests.harness.stores import filled_store, open_store


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    filled_store(tmp_path / "keys.json")
    return tmp_path / "keys.json"


def test_the_file_is_made_private(path: Path) -> None:
    """Nobody else can read the store or its lock, after making and after changing."""
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777, 0o601])
def test_a_wider_mode_is_refused_with_the_hint(path: Path, mode: int) -> None:
    """Any permission for group or others stops the opening, and the message says what to type."""
    path.chmod(mode)
    with pytest.raises(KeyStoreError) as caught:
        open_store(path)
    assert f"chmod 600 {path}" in str(caught.value)
    assert f"{mode:04o}" in str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_mode_opens(path: Path, mode: int) -> None:
    """Ours alone is good, writable or not."""
    path.chmod(mode)
    assert open_store(path).credentials()


def test_another_owner_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody else owns is his to change at any time."""
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(KeyStoreError, match="runs as user 4242"):
        open_store(path)


def test_a_symlink_is_refused(path: Path, tmp_path: Path) -> None:
    """A link may point elsewhere tomorrow: neither the store nor a passphrase is read through one."""
    link = tmp_path / "link.json"
    link.symlink_to(path)
    for read in (open_store, from_file):
        with pytest.raises(KeyStoreError, match="is a symlink"):
            read(link)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    """A FIFO without a writer does not make us wait for one."""
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(KeyStoreError, match="not a regular file"):
        open_store(tmp_path / "fifo")
    (tmp_path / "folder").mkdir(mode=0o700)
    with pytest.raises(KeyStoreError, match="not a regular file"):
        open_store(tmp_path / "folder")
