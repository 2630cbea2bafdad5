"""`signer clients`: who may call the gateway, and with which virtual credential."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Literal

import click

from signer.cli.connect import base_url
from signer.cli.key_store import Row, open_store, passphrase_option, read_credential, read_name, show_rows, take_up
from signer.cli.keys import require_account, utc
from signer.clock import SystemClock
from signer.errors import ConfigError
from signer.home import Home
from signer.keys.issue import ApiKeySecret, handed_over, issue
from signer.keys.private_file import staged
from signer.model import ClientInfo, Network
from signer.secret import fingerprint

DAY_US = 86_400_000_000
Nonces = Literal["window", "strict"]


def read_networks(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[Network, ...]:
    """``10.0.0.0/8`` or single addresses, as networks. A usage error with the mend if one has host bits set."""
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(f"{error}; write an address, or a network such as 10.0.0.0/8") from None


def read_expiry(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """``2027-01-31`` (refused from 00:00 UTC of that day) or ``30d``, as microseconds since the epoch.

    A usage error if it does not read, or has passed.
    """
    if text is None:
        return None
    now_us = SystemClock().now_us()
    try:
        expires_us = _moment(text, now_us)
    except ValueError:
        raise click.BadParameter(f"{text[:40]!r}: write a date such as 2027-01-31, or days such as 30d") from None
    if expires_us <= now_us:
        raise click.BadParameter(f"{text} has passed; write a later one")
    return expires_us


def env_file_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--env-file`` and ``--force``, for the commands that issue a credential."""
    force = click.option("--force", is_flag=True, help="Overwrite the env file.")
    text = "Write the bot's environment file (0600) instead of showing its secret."
    return click.option("--env-file", type=click.Path(path_type=Path), metavar="FILE", help=text)(force(function))


@click.group()
def clients() -> None:
    """Issue virtual credentials to bots, and take them back."""


@clients.command()
@click.argument("name", callback=read_name)
@click.option("--account", required=True, help="Account in signer.toml that it trades on.")
@click.option("--policy", required=True, help="Policy that it is held to: a file of the home's policies folder.")
@click.option("--import-stdin", is_flag=True, help='Take {"api_key": "…", "api_secret": "…"} rather than issue a pair.')
@click.option(
    "--allow-from", multiple=True, metavar="CIDR", callback=read_networks, help="Source it may call from. Default: any."
)
@click.option(
    "--expires", metavar="DATE|DAYS", callback=read_expiry, help="2027-01-31 (00:00 UTC) or 30d. Default: never."
)
@click.option("--nonces", type=click.Choice(["window", "strict"]), default="window", show_default=True)
@env_file_options
@passphrase_option
@click.pass_obj
def add(
    home: Home,
    *,
    name: str,
    account: str,
    policy: str,
    import_stdin: bool,
    allow_from: tuple[Network, ...],
    expires: int | None,
    nonces: Nonces,
    env_file: Path | None,
    force: bool,
    passphrase_file: Path | None,
) -> None:
    """Issue a virtual key and secret to client NAME; shown once, or written to --env-file."""
    require_account(home, account)
    _require_policy(home, policy)
    store = open_store(home, passphrase_file)
    credential = read_credential(True, None) if import_stdin else issue()
    with _handing_over(home, credential, env_file, force, show=not import_stdin):
        store.add_client(
            name,
            account,
            policy,
            *credential,
            created_us=SystemClock().now_us(),
            sources=allow_from,
            expires_us=expires,
            nonces=nonces,
        )
    _confirm(f"Added client {name} of account {account} under policy {policy}", credential)
    take_up(home, f"client {name}")


@clients.command("list")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@passphrase_option
@click.pass_obj
def list_(home: Home, as_json: bool, passphrase_file: Path | None) -> None:
    """List the clients, revoked ones included; never a key or secret."""
    infos = open_store(home, passphrase_file).clients()
    if as_json:
        click.echo(json.dumps([_row(info) for info in infos], indent=2))
    else:
        show_rows([_row(info) for info in infos], none="There are no clients; add one with `signer clients add`.")


@clients.command()
@click.argument("name")
@passphrase_option
@click.pass_obj
def revoke(home: Home, name: str, passphrase_file: Path | None) -> None:
    """Refuse every call of client NAME from now on, for good."""
    open_store(home, passphrase_file).update_client(name, revoked=True)
    click.echo(f"Revoked client {name}.", err=True)
    take_up(home, f"the revocation of {name}")


@clients.command()
@click.argument("name")
@env_file_options
@passphrase_option
@click.pass_obj
def rotate(home: Home, *, name: str, env_file: Path | None, force: bool, passphrase_file: Path | None) -> None:
    """Issue a new virtual key and secret to client NAME; the old ones stop working at once."""
    credential = issue()
    store = open_store(home, passphrase_file)
    with _handing_over(home, credential, env_file, force, show=True):
        created_us = SystemClock().now_us()
        store.update_client(name, credential.secret, api_key=credential.api_key, created_us=created_us)
    _confirm(f"Rotated client {name}", credential)
    take_up(home, f"the rotation of {name}")


def _handing_over(
    home: Home, credential: ApiKeySecret, env_file: Path | None, force: bool, *, show: bool
) -> contextlib.AbstractContextManager[None]:
    """Give the bot its credential when the block has stored it, and only then."""
    content = handed_over(base_url(home), credential)
    if env_file:
        return staged(env_file, content, replace=force, exists="give --force to overwrite it, or name another")
    return _shown_after(content) if show else contextlib.nullcontext()


@contextlib.contextmanager
def _shown_after(content: bytes) -> Iterator[None]:
    yield
    click.echo(content.decode(), nl=False)
    click.echo("This secret is shown once and cannot be shown again.", err=True)


def _confirm(done: str, credential: ApiKeySecret) -> None:
    # On stderr: standard output is the env file, and nothing else.
    credential.secret.wipe()
    click.echo(f"{done} (fingerprint {fingerprint(credential.api_key)}).", err=True)


def _require_policy(home: Home, policy: str) -> None:
    """Raises `ConfigError` unless the home has a policy file of that name."""
    files = sorted(home.policies.glob("*.toml"))
    known = [file.stem for file in files if not file.stem.endswith(".cases")]
    if policy not in known:
        mend = f"write {policy}.toml there; known are: {', '.join(known) or 'none'}"
        raise ConfigError(f"there is no policy {policy!r}", where=str(home.policies), mend=mend)


def _moment(text: str, now_us: int) -> int:
    days = re.fullmatch(r"([1-9][0-9]{0,4})d", text)
    if days:
        return now_us + int(days[1]) * DAY_US
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):  # strptime also takes 2027-1-31
        raise ValueError
    return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1_000_000


def _row(info: ClientInfo) -> Row:
    return {
        "name": info.name,
        "account": info.account,
        "policy": info.policy,
        "fingerprint": info.fingerprint,
        "sources": [str(source) for source in info.sources],
        "expires": None if info.expires_us is None else utc(info.expires_us),
        "nonces": info.nonces,
        "revoked": info.revoked,
        "created": utc(info.created_us),
    }
