"""The tls folder: made whole or not at all, renewed in time, and told apart from one that is spoilt."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from signer.errors import ConfigError, KeyStoreError, SignerError
from signer.tls.authority import LEAF_LIFE, RENEW_BEFORE, Authority, server_name
from signer.tls.folder import TlsFolder

NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = [server_name("api.kraken.com"), server_name("127.0.0.1")]


@pytest.fixture
def folder(tmp_path: Path) -> TlsFolder:
    """Make a folder."""
    made = TlsFolder(tmp_path / "tls")
    made.create(NAMES, "test", NOW, replace=False)
    return made


def test_all_is_private(folder: TlsFolder) -> None:
    """The folder has mode 0700, its three files 0600, and nothing else is in it."""
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.folder.iterdir()}
    assert modes == {"ca.pem": 0o600, "ca-key.pem": 0o600, "leaf.pem": 0o600}
    assert stat.S_IMODE(folder.folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.folder.parent.iterdir()] == ["tls"]


def test_a_second_init_replaces_nothing_unless_forced(folder: TlsFolder) -> None:
    """Every bot trusts the CA that there is."""
    before = folder.ca_certificate()
    with pytest.raises(ConfigError, match="there is a CA already"):
        folder.create(NAMES, "test", NOW, replace=False)
    assert folder.ca_certificate() == before
    folder.create(NAMES, "test", NOW, replace=True)
    assert folder.ca_certificate() != before
    assert [path.name for path in folder.folder.parent.iterdir()] == ["tls"]


def test_a_failed_init_leaves_what_there_was(folder: TlsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted before the last file is there: the old CA, whole."""
    before = folder.ca_certificate()

    def interrupted(authority: Authority, now: datetime) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Authority, "leaf", interrupted)
        with pytest.raises(KeyboardInterrupt):
            folder.create(NAMES, "test", NOW, replace=True)
    assert folder.ca_certificate() == before
    folder.renew(NOW)
    assert [path.name for path in folder.folder.parent.iterdir()] == ["tls"]


def test_the_leaf_is_renewed_when_due_and_not_before(folder: TlsFolder) -> None:
    """A missing leaf is made, and one that is due is renewed."""
    first = folder.leaf_certificate()
    folder.renew_if_due(NOW + LEAF_LIFE - RENEW_BEFORE - timedelta(seconds=1))
    assert folder.leaf_certificate() == first
    folder.renew_if_due(NOW + LEAF_LIFE - RENEW_BEFORE)
    second = folder.leaf_certificate()
    assert second.serial_number != first.serial_number
    folder.leaf.unlink()
    folder.renew_if_due(NOW)
    assert folder.leaf_certificate().serial_number != second.serial_number


def test_a_leaf_never_outlives_its_ca(folder: TlsFolder) -> None:
    """The leaf ends with its CA, and a CA that has ended makes none."""
    end = folder.ca_certificate().not_valid_after_utc
    folder.renew(end - timedelta(days=1))
    assert folder.leaf_certificate().not_valid_after_utc == end
    with pytest.raises(ConfigError, match="the CA has expired; make a new CA"):
        folder.renew(end)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("ca.pem", None, "no such file; make it with `signer tls init`"),
        ("ca-key.pem", None, "no such file; make it with `signer tls init`"),
        ("ca-key.pem", b"nonsense", "does not go with ca.pem, or does not read; make a new CA"),
        ("ca-key.pem", Authority.make(NAMES, "other", NOW).key_pem(), "does not go with ca.pem"),
        ("ca.pem", b"nonsense", "does not go with ca.pem, or does not read"),
    ],
)
def test_a_spoilt_folder_is_named_with_its_hint(folder: TlsFolder, name: str, content: bytes | None, says: str) -> None:
    """One line names the file and what to do, and the leaf stays as it is."""
    before, path = folder.leaf.read_bytes(), folder.folder / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(SignerError) as error:
        folder.renew(NOW)
    assert says in str(error.value)
    assert str(folder.folder) in str(error.value)
    assert "\n" not in str(error.value)
    assert folder.leaf.read_bytes() == before


def test_a_key_that_others_can_read_is_refused(folder: TlsFolder) -> None:
    """Such a key is refused before its next use."""
    folder.ca_key.chmod(0o644)
    with pytest.raises(KeyStoreError, match="lets others access it"):
        folder.renew(NOW)
