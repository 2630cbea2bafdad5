"""`signer init`: a complete home, or nothing."""

from __future__ import annotations

import os
import secrets
import tempfile
from importlib.resources import files
from pathlib import Path

import click

from signer.cli.asking import ask_new, has_terminal
from signer.cli.key_store import create_store, read_name
from signer.cli.pairs_list import current_pairs
from signer.errors import ConfigError, HomeError
from signer.home.layout import Home
from signer.home.private_file import write_private
from signer.home.settings import KRAKEN_ORIGIN, load_config
from signer.keys.passphrase import Passphrase, from_credential, from_file
from signer.policy.schema import json_schema
from signer.venues.kraken.vocabulary import WORDS

SCHEMA = "policy.schema.json"
"""What the first line of each example policy names, so that editors find it beside them."""

CONFIG = """\
# signer's settings. Every key is explained in docs/configuration.md.
version = 1

[gateway]
listen = "{listen}"

[accounts.{account}]
origin = "{origin}"
"""


@click.command()
@click.option("--no-input", is_flag=True, help="Ask nothing: a random passphrase goes to a 0600 file in the home.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), metavar="FILE", help="File (0600) to take it from.")
@click.option("--account", default="main", show_default=True, callback=read_name, help="Name of the first account.")
@click.option("--origin", default=KRAKEN_ORIGIN, show_default=True, help="Where that account trades.")
@click.option("--listen", default="127.0.0.1:8787", show_default=True, help="Where bots connect.")
@click.pass_obj
def init(home: Home, no_input: bool, passphrase_file: Path | None, account: str, origin: str, listen: str) -> None:
    """Make a home: settings, example policies and an empty key store."""
    _require_free(home)
    passphrase, keep = _passphrase(no_input, passphrase_file)
    home.folder.parent.mkdir(parents=True, exist_ok=True)
    # Built beside its place and moved there whole: an interrupted init leaves no half home.
    with tempfile.TemporaryDirectory(prefix=".signer-init-", dir=home.folder.parent) as beside:
        fresh = Home(Path(beside) / "home")
        fresh.folder.mkdir(mode=0o700)
        _write_config(fresh, CONFIG.format(listen=listen, account=account, origin=origin))
        _copy_policies(fresh)
        if keep:
            write_private(fresh.passphrase, keep.encode() + b"\n", replace=False)
        current_pairs(fresh, load_config(fresh.config))  # policies are judged by it from the first start on
        click.echo("signer: making the key store …", err=True)
        create_store(fresh, passphrase)
        if home.folder.exists():
            home.folder.rmdir()
        fresh.folder.rename(home.folder)
    click.echo(f"signer: {home.folder} is ready; next: signer keys add NAME --account {account}")


def _require_free(home: Home) -> None:
    empty = home.folder.is_dir() and not any(home.folder.iterdir())
    if home.folder.exists() and not empty:
        hint = "choose another --home, or move it away yourself"
        raise HomeError("something is there already", where=str(home.folder), hint=hint)


def _write_config(home: Home, text: str) -> None:
    write_private(home.config, text.encode(), replace=False)
    try:
        load_config(home.config)
    except ConfigError as error:  # names a file that goes away again
        raise click.UsageError(f"The settings cannot be so: {error.what}.") from None


def _passphrase(no_input: bool, file: Path | None) -> tuple[Passphrase, str]:
    """The passphrase, and its text if it must be kept in the home because nobody else knows it."""
    if file is not None:
        return from_file(file), ""
    if no_input:
        text = secrets.token_urlsafe(32)
        return Passphrase(text.encode(), where="passphrase"), text
    if (credential := from_credential(os.environ)) is not None:
        return credential, ""
    if not has_terminal():
        raise click.UsageError("There is no terminal to ask on: give --no-input or --passphrase-file.")
    text = ask_new("Passphrase for the key store")
    return Passphrase(text.encode(), where="passphrase"), ""


def _copy_policies(home: Home) -> None:
    home.policies.mkdir(mode=0o700)
    for example in files("signer.example_policies").iterdir():
        if example.name.endswith(".toml"):
            write_private(home.policies / example.name, example.read_bytes(), replace=False)
    write_private(home.policies / SCHEMA, json_schema(WORDS).encode(), replace=False)
