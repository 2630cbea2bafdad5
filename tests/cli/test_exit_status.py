"""The exit statuses that scripts and systemd act on (docs/cli.md)."""

from __future__ import annotations

import configparser
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from signer.cli.main import CANNOT, EXIT_STATUS, main
from signer.errors import Refused, SignerError
from signer.home.layout import Home
from signer.home.lock import HomeLock

ROOT = Path(__file__).parents[2]
NOBODY = 54_321
"""A user without a name and without a home."""


def _serve(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "signer", "--home", str(folder), "serve"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    assert main(["--home", str(tmp_path / "home"), "init", "--no-input", "--listen", "127.0.0.1:0"]) == 0
    return tmp_path / "home"


def test_a_taken_port_may_be_free_at_the_next_start(folder: Path) -> None:
    """The command ends with status 5 and one line that names setting and address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = Home(folder).config
        config.write_text(config.read_text(encoding="utf-8").replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        ended = _serve(folder)
    assert ended.returncode == CANNOT
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"signer: {config}: gateway.listen: 127.0.0.1:{port}: Address already in use; ")


def test_a_home_that_another_gateway_holds_may_be_free_at_the_next_start(folder: Path) -> None:
    """Status 5: a worker that ends late must not keep systemd from starting again."""
    lock = HomeLock(Home(folder).lock)
    try:
        assert _serve(folder).returncode == CANNOT
    finally:
        lock.release()


def test_systemd_starts_again_after_what_can_pass() -> None:
    """The unit restarts on 5, and on none of the statuses that another start cannot fix."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(ROOT / "deploy" / "systemd" / "signer.service")
    prevented = {int(word) for word in unit["Service"]["RestartPreventExitStatus"].split()}
    assert CANNOT not in prevented
    assert prevented == {2, *EXIT_STATUS.values()} - {CANNOT}


def test_every_kind_of_error_has_its_status() -> None:
    """A new error cannot end a command with a status that nobody chose."""

    def kinds(kind: type[SignerError]) -> set[str]:
        return {kind.code}.union(*(kinds(each) for each in kind.__subclasses__()))

    assert kinds(SignerError) - {SignerError.code} - kinds(Refused) == EXIT_STATUS.keys()


@pytest.mark.parametrize("home", [[], ["--home", "~nobody-at-all/x"]])
def test_a_user_without_a_home_folder_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: list[str]
) -> None:
    """No traceback where ``~`` leads nowhere: one line, the hint, status 3."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)
    assert main([*home, "status"]) == 3
    shown = capsys.readouterr()
    assert not shown.out
    assert "give --home DIR, or set SIGNER_HOME" in shown.err
    assert len(shown.err.splitlines()) == 1
