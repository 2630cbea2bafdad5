"""`signer tls`: a private CA for bots that know only the exchange's own address."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from urllib.parse import urlsplit

import click
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from signer.cli.options import in_session, json_option
from signer.cli.showing import show_fields, show_json
from signer.home.layout import Home
from signer.home.settings import DEFAULT_ORIGIN
from signer.operator.opening import require_folder
from signer.operator.reload import take_up
from signer.operator.session import Session
from signer.tls.authority import ServerName, permitted_names, server_name
from signer.tls.folder import TlsFolder

ALWAYS = (str(urlsplit(DEFAULT_ORIGIN).hostname), "localhost", "127.0.0.1", "::1")
"""Names by which every bot may call the gateway."""


def read_hosts(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> list[ServerName]:
    """Read host names and addresses. Raises a usage error with the hint if one is neither."""
    try:
        return [server_name(text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option("--host", "hosts", multiple=True, metavar="NAME", callback=read_hosts, help="More names or addresses.")
@click.option("--force", is_flag=True, help="Replace the CA that there is: every bot must trust the new one.")
@in_session
def init(session: Session, *, hosts: list[ServerName], force: bool) -> None:
    """Make a CA that can vouch for the exchange's host name and for this machine.

    It can also vouch for each --host, and for nothing else.
    """
    home = session.home
    require_folder(home)
    owner = socket.gethostname()
    names = list(dict.fromkeys([*map(server_name, ALWAYS), *_own_name(owner), *hosts]))
    folder = TlsFolder(home.tls)
    folder.create(names, owner, datetime.now(UTC), replace=force)
    click.echo(f"signer: {folder.ca} is what bots must trust; `signer tls show --pem` prints it", err=True)
    take_up(session, "the certificate")


@click.command()
@click.option("--pem", is_flag=True, help="Print the CA's certificate, for the bots.")
@json_option
@click.pass_obj
def show(home: Home, *, pem: bool, as_json: bool) -> None:
    """Show the CA, what it may vouch for, and until when its leaf is good. It never shows a key."""
    folder = TlsFolder(home.tls)
    ca, leaf = folder.ca_certificate(), folder.leaf_certificate()
    if pem:
        click.echo(ca.public_bytes(Encoding.PEM), nl=False)
        return
    row = {
        "ca": str(folder.ca),
        "fingerprint": ca.fingerprint(hashes.SHA256()).hex(),
        "names": [str(name.value) for name in permitted_names(ca)],
        "ca_expires": _utc(ca.not_valid_after_utc),
        "leaf_serial": f"{leaf.serial_number:x}",
        "leaf_expires": _utc(leaf.not_valid_after_utc),
    }
    if as_json:
        show_json(row)
    else:
        show_fields(row)


@click.command()
@in_session
def renew(session: Session) -> None:
    """Make a new leaf now. A running gateway shows it from the next connection on."""
    folder = TlsFolder(session.home.tls)
    folder.renew(datetime.now(UTC))
    click.echo(f"signer: the new leaf is good until {_utc(folder.leaf_certificate().not_valid_after_utc)}", err=True)
    take_up(session, "the certificate")


def _own_name(name: str) -> list[ServerName]:
    try:
        return [server_name(name)]
    except ValueError:  # the host name does not fit in a certificate
        return []


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
