"""The person at this terminal, who reads its two streams and may answer questions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, final

import click
from typing_extensions import override

from signer.cli.asking import ask_hidden, has_terminal, tried
from signer.errors import KeyStoreError
from signer.home.layout import Home
from signer.keys.passphrase import Passphrase
from signer.operator.person import Person
from signer.operator.session import Session

T = TypeVar("T")


def warn(text: str, weight: str = "warning") -> None:
    """Print one line on stderr. If stderr leads to a full disk, the command goes on without the line."""
    with contextlib.suppress(OSError):
        click.echo(f"signer: {weight}: {text}", err=True)


@final
class Terminal(Person):
    """Shows results on standard output, and everything else on standard error."""

    def __init__(self, keys: Path) -> None:
        self._keys = keys

    @override
    def say(self, text: str) -> None:
        click.echo(text)

    @override
    def note(self, text: str) -> None:
        click.echo(text, err=True)

    @override
    def warn(self, text: str, weight: str = "warning") -> None:
        warn(text, weight)

    @override
    def passphrase(self) -> Passphrase:
        if not has_terminal():
            hint = "give --passphrase-file, or run it in a terminal to be asked"
            raise KeyStoreError("the passphrase is needed", where=str(self._keys), hint=hint)
        text = ask_hidden("Passphrase of the key store")
        return Passphrase(text.encode(errors="surrogateescape"), where="passphrase")

    @override
    def retry(self, attempt: Callable[[], T]) -> T:
        return tried(attempt) if has_terminal() else attempt()


def on_home(home: Home, passphrase_file: Path | None = None, vault_token_file: Path | None = None) -> Session:
    """Begin a session of this terminal at ``home``, which ends with the command."""
    session = Session(home, Terminal(home.keys), passphrase_file=passphrase_file, vault_token_file=vault_token_file)
    return click.get_current_context().with_resource(session)
