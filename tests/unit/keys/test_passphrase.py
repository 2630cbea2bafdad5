"""Where passphrases come from, in which order, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from signer.errors import KeyStoreError
from signer.keys.passphrase import Passphrase, find_passphrase, from_file


def _text(passphrase: Passphrase | None) -> bytes:
    assert passphrase is not None
    return passphrase.stretched_by(bytes)


def _private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture(name="sources")
def _sources(tmp_path: Path) -> tuple[Path, Path, dict[str, str]]:
    """The flag's file, the home's file, and an environment with both of its sources."""
    (tmp_path / "credentials").mkdir()
    _private(tmp_path / "credentials" / "signer-passphrase", "from systemd\n")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"), "SIGNER_PASSPHRASE": "from environment"}
    return _private(tmp_path / "flag", "from flag\n"), _private(tmp_path / "home", "from home\n"), environment


def test_the_order_of_sources(sources: tuple[Path, Path, dict[str, str]]) -> None:
    """Flag, systemd, environment, home: the first that is there, and a warning for the environment alone."""
    flag, home, environment = sources
    warnings: list[str] = []
    assert _text(find_passphrase(flag, home, environment, warnings.append)) == b"from flag"
    assert _text(find_passphrase(None, home, environment, warnings.append)) == b"from systemd"
    del environment["CREDENTIALS_DIRECTORY"]
    assert not warnings
    assert _text(find_passphrase(None, home, environment, warnings.append)) == b"from environment"
    assert len(warnings) == 1
    assert "SIGNER_PASSPHRASE" in warnings[0]
    assert "from environment" not in warnings[0]
    assert _text(find_passphrase(None, home, {}, warnings.append)) == b"from home"
    home.unlink()
    assert find_passphrase(None, home, {}, warnings.append) is None


def test_a_source_that_is_there_but_broken_is_not_passed_over(sources: tuple[Path, Path, dict[str, str]]) -> None:
    """A passphrase file that anybody may read is refused, though another source could be tried."""
    flag, home, environment = sources
    flag.chmod(0o644)
    with pytest.raises(KeyStoreError, match="chmod 600"):
        find_passphrase(flag, home, environment, pytest.fail)


def test_a_flag_that_names_nothing_is_refused(sources: tuple[Path, Path, dict[str, str]], tmp_path: Path) -> None:
    """A named file that is missing is an error, not a reason to look elsewhere."""
    _, home, environment = sources
    with pytest.raises(KeyStoreError, match="no such file"):
        find_passphrase(tmp_path / "absent", home, environment, pytest.fail)


def test_systemd_may_show_its_access_list_as_group_permission(
    sources: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    """A credential of mode 0440 is systemd's doing and read; one open to the world is refused."""
    _, home, environment = sources
    credential = tmp_path / "credentials" / "signer-passphrase"
    credential.chmod(0o440)
    assert _text(find_passphrase(None, home, environment, pytest.fail)) == b"from systemd"
    credential.chmod(0o444)
    with pytest.raises(KeyStoreError, match="0444"):
        find_passphrase(None, home, environment, pytest.fail)


@pytest.mark.parametrize(("text", "read"), [("a b\n", b"a b"), ("a\n\n", b"a\n"), (" a ", b" a "), ("a\r\n", b"a\r")])
def test_one_newline_is_taken_off(tmp_path: Path, text: str, read: bytes) -> None:
    """What an editor adds at the end goes; everything else is the passphrase."""
    path = tmp_path / "passphrase"
    path.write_bytes(text.encode())
    path.chmod(0o600)
    assert _text(from_file(path)) == read


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_passphrase_is_refused(tmp_path: Path, text: str) -> None:
    """An empty file is not a passphrase."""
    with pytest.raises(KeyStoreError, match="empty"):
        from_file(_private(tmp_path / "passphrase", text))


def test_a_short_passphrase_makes_no_new_store() -> None:
    """Twelve characters, not bytes, are the least."""
    Passphrase(b"123456789012", where="test").require_strong()
    for short in ("12345678901", "é" * 11):
        with pytest.raises(KeyStoreError, match="fewer than 12 characters"):
            Passphrase(short.encode(), where="test").require_strong()


def test_a_passphrase_does_not_show_itself() -> None:
    """No repr, format or pickle holds it, and after a wipe nothing does."""
    passphrase = Passphrase(b"canary passphrase", where="test")
    assert "canary" not in f"{passphrase} {passphrase!r}"
    with pytest.raises(TypeError):
        pickle.dumps(passphrase)
    passphrase.wipe()
    assert _text(passphrase).strip(b"\0") == b""
