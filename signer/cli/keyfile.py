"""`signer keyfile`: the file that holds the keys, as a whole."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from signer.cli.asking import ask_new, has_terminal
from signer.cli.key_store import (
    known_marks,
    known_passphrase,
    open_file,
    open_store,
    passphrase_option,
    take_up,
)
from signer.cli.operation import on_record, reason_option
from signer.home.layout import Home
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import Passphrase, from_file, in_step


@click.group()
def keyfile() -> None:
    """Look after the file that holds the keys."""


@keyfile.command()
@click.option("--new-passphrase-file", type=click.Path(path_type=Path), metavar="FILE", help="The new one's (0600).")
@reason_option
@passphrase_option
@click.pass_obj
def passphrase(home: Home, *, new_passphrase_file: Path | None, reason: str, passphrase_file: Path | None) -> None:
    """Change the passphrase. The home's own passphrase file, if there is one, follows."""
    opened = open_store(home, passphrase_file)
    new = _new(new_passphrase_file)
    with on_record(home, "keyfile passphrase", reason), _in_step(home, new):
        opened.change_passphrase(new)
    new.wipe()
    click.echo("Changed the passphrase. Copies of the file that were made before still open with the old one.")
    take_up(home, "the passphrase")


@keyfile.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite the file.")
@reason_option
@passphrase_option
@click.pass_obj
def backup(home: Home, *, file: Path, force: bool, reason: str, passphrase_file: Path | None) -> None:
    """Copy the key store, sealed as it is, to FILE, and see that the copy opens."""
    opened = open_store(home, passphrase_file)
    with on_record(home, "keyfile backup", reason) as operation:
        operation.detail = str(file)
        opened.backup(file, replace=force)
    click.echo(f"Copied the key store to {file}; it opens with the passphrase of now.")


@keyfile.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--older-than-now", is_flag=True, help="Go back to it though the key store was changed since.")
@reason_option
@passphrase_option
@click.pass_obj
def restore(home: Home, *, file: Path, older_than_now: bool, reason: str, passphrase_file: Path | None) -> None:
    """Put the backup FILE in the key store's place. It opens with the passphrase that it was made under."""
    then = known_passphrase(home, passphrase_file)
    saved = open_file(home, file, then)
    with on_record(home, "keyfile restore", reason) as operation:
        operation.detail = f"{file}{', older than now' if older_than_now else ''}"
        with _in_step(home, then):
            changed = saved.restore(home.keys, known_marks(home), older=older_than_now)
    then.wipe()
    click.echo(f"Restored the key store from {file}. Otherwise than before: {', '.join(changed) or 'nothing'}.")
    take_up(home, "the restored key store")
    if older_than_now:
        click.echo("A gateway that was told to revoke a client goes on refusing it until it is restarted.")


def _in_step(home: Home, new: Passphrase) -> contextlib.AbstractContextManager[None]:
    return in_step(home.passphrase, new, lambda text: FileKeyStore.is_opened_by(home.keys, text))


def _new(file: Path | None) -> Passphrase:
    if file is not None:
        return from_file(file)
    if not has_terminal():
        raise click.UsageError("There is no terminal to ask on: give --new-passphrase-file.")
    text = ask_new("New passphrase")
    return Passphrase(text.encode(), where="passphrase")
