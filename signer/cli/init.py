"""`signer init`: make a complete home, or none."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click

from signer.cli.asking import ask_new, has_terminal
from signer.cli.options import in_session, read_name
from signer.home.settings import DEFAULT_ORIGIN, DEFAULT_VENUE
from signer.keys.passphrase import Passphrase, from_credential, from_file
from signer.operator.init import CONFIG, BadSettings, make_home, require_free
from signer.operator.session import Session


@click.command()
@click.option("--no-input", is_flag=True, help="Ask nothing: a random passphrase goes to a 0600 file in the home.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), metavar="FILE", help="File (0600) to take it from.")
@click.option("--account", default="main", show_default=True, callback=read_name, help="Name of the first account.")
@click.option("--venue", default=DEFAULT_VENUE, show_default=True, help="The exchange of that account.")
@click.option("--origin", help=f"Where that account trades. Default: {DEFAULT_ORIGIN}, of {DEFAULT_VENUE} alone.")
@click.option("--listen", default="127.0.0.1:8787", show_default=True, help="Where bots connect.")
@in_session
def init(
    session: Session,
    *,
    no_input: bool,
    passphrase_file: Path | None,
    account: str,
    venue: str,
    origin: str | None,
    listen: str,
) -> None:
    """Make a home: settings, example policies and an empty key store."""
    home = session.home
    require_free(home)
    if origin is None and venue != DEFAULT_VENUE:
        raise click.UsageError(f"Say where an account at {venue} trades: --origin.")
    passphrase, kept_text = _passphrase(no_input, passphrase_file)
    settings = CONFIG.format(listen=listen, account=account, venue=venue, origin=origin or DEFAULT_ORIGIN)
    try:
        make_home(home, session.person, passphrase, settings, kept_text=kept_text)
    except BadSettings as error:
        raise click.UsageError(f"The settings cannot be so: {error.what}.") from None
    click.echo(f"signer: {home.folder} is ready; next: signer keys add NAME --account {account}")


def _passphrase(no_input: bool, file: Path | None) -> tuple[Passphrase, str]:
    """Return the passphrase, and its text if the home must keep it because nobody else knows it."""
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
