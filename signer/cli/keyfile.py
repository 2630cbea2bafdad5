"""`signer keyfile`: the file that holds the keys, as a whole."""

from __future__ import annotations

from pathlib import Path

import click

from signer.cli.asking import ask_new, has_terminal
from signer.cli.options import opens_store, reason_option
from signer.keys.passphrase import Passphrase, from_file
from signer.operator.keyfile import back_up, change_passphrase
from signer.operator.keyfile import restore as restore_backup
from signer.operator.opening import open_store
from signer.operator.session import Session


@click.command()
@click.option("--new-passphrase-file", type=click.Path(path_type=Path), metavar="FILE", help="The new one's (0600).")
@reason_option
@opens_store
def passphrase(session: Session, *, new_passphrase_file: Path | None, reason: str) -> None:
    """Change the passphrase. The home's own passphrase file, if there is one, follows."""
    store = open_store(session)
    change_passphrase(session, store, _new(new_passphrase_file), reason=reason)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite the file.")
@reason_option
@opens_store
def backup(session: Session, *, file: Path, force: bool, reason: str) -> None:
    """Copy the key store, sealed as it is, to FILE, and see that the copy opens."""
    back_up(session, open_store(session), file, replace=force, reason=reason)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--older-than-now", is_flag=True, help="Go back to it though the key store was changed since.")
@reason_option
@opens_store
def restore(session: Session, *, file: Path, older_than_now: bool, reason: str) -> None:
    """Put the backup FILE in the key store's place. It opens with the passphrase that was in force when it was made."""
    restore_backup(session, file, older=older_than_now, reason=reason)


def _new(file: Path | None) -> Passphrase:
    if file is not None:
        return from_file(file)
    if not has_terminal():
        raise click.UsageError("There is no terminal to ask on: give --new-passphrase-file.")
    text = ask_new("New passphrase")
    return Passphrase(text.encode(), where="passphrase")
