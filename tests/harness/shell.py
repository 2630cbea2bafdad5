"""A home for the commands, its key store cheap to open, and a way to run them as a shell would."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from signer.cli.main import main
from signer.errors import SignerError
from signer.home.layout import Home
from signer.operator import reload
from signer.operator.opening import INSECURE_VALUE, INSECURE_VARIABLE
from signer.operator.person import Person
from tests.harness.stores import PASSPHRASE_TEXT, new_store


@dataclass
class Shell:
    """Runs commands in a home, and remembers each reload that a running gateway was asked for."""

    home: Home
    monkeypatch: pytest.MonkeyPatch = field(repr=False)
    capfd: pytest.CaptureFixture[str] = field(repr=False)
    reloads: list[Home] = field(default_factory=list)
    reload_fails: bool = False

    def run(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Exit status, standard output and standard error of one command, without a terminal."""
        self.monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        self.capfd.readouterr()
        status = main(["--home", str(self.home.folder), *arguments])
        return status, *self.capfd.readouterr()

    def reload_running(self, home: Home, _person: Person) -> str | None:
        """What stands in for the gateway's reload."""
        self.reloads.append(home)
        if self.reload_fails:
            raise SignerError("the gateway does not answer")
        return "The running gateway took it up."


def shell(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    """A home with two accounts, two policies, an empty key store and its passphrase file."""
    home = Home.chosen(str(folder / "home"))
    home.policies.mkdir(parents=True)
    home.config.write_text('[gateway]\nlisten = "127.0.0.1:9999"\n[accounts.spot]\n[accounts.second]\n')
    for policy in ("trader", "tracker", "trader.cases"):
        (home.policies / f"{policy}.toml").touch()
    new_store(home.keys)
    home.passphrase.write_text(PASSPHRASE_TEXT + "\n")
    home.passphrase.chmod(0o600)
    monkeypatch.setenv(INSECURE_VARIABLE, INSECURE_VALUE)
    for name in ("SIGNER_PASSPHRASE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    made = Shell(home, monkeypatch, capfd)
    monkeypatch.setattr(reload, "reload_running", made.reload_running)
    return made


def pasted(api_key: str, api_secret: str) -> str:
    """The JSON that ``--stdin`` reads."""
    return json.dumps({"api_key": api_key, "api_secret": api_secret})
