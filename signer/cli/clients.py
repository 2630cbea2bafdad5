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
from signer.cli.forgiving import forgive
from signer.cli.judging import say_lacking
from signer.cli.key_store import Row, open_store, passphrase_option, read_credential, read_name, show_rows, take_up
from signer.cli.keys import require_account, utc
from signer.cli.open_orders import cancel_orders_option, clear, show_open
from signer.cli.operation import on_record, reason_option
from signer.cli.taking_back import TakingBack, revoke_client
from signer.errors import ConfigError
from signer.gateway.revocations import AT_ONCE
from signer.home.layout import Home
from signer.home.private_file import staged
from signer.keys.entries import ClientChange
from signer.keys.issue import ApiKeySecret, handed_over, issue
from signer.model import ClientInfo, Network
from signer.secret import fingerprint
from signer.serving.clock import SystemClock

DAY_US = 86_400_000_000
UNITS_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": DAY_US}
MOST_OVERLAP_US = 31 * DAY_US
"""A credential that was to be replaced must not live on for want of somebody who looks."""
Nonces = Literal["window", "strict"]


def read_networks(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[Network, ...]:
    """``10.0.0.0/8`` or single addresses, as networks. A usage error with the hint if one has host bits set."""
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


def read_overlap(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """``90s``, ``10m``, ``2h`` or ``7d``, in microseconds. A usage error if it is none of these, or over a month."""
    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text)
    overlap_us = int(found[1]) * UNITS_US[found[2]] if found else 0
    if not 0 < overlap_us <= MOST_OVERLAP_US:
        raise click.BadParameter(f"{text[:40]!r}: write a time such as 90s, 10m or 2h, at most 31d")
    return overlap_us


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
@reason_option
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
    reason: str,
    passphrase_file: Path | None,
) -> None:
    """Issue a virtual key and secret to client NAME; shown once, or written to --env-file."""
    config = require_account(home, account)
    _require_policy(home, policy)
    store = open_store(home, passphrase_file)
    credential = read_credential(True, None) if import_stdin else issue()
    with (
        on_record(home, "clients add", reason, client=name) as operation,
        _handing_over(home, credential, env_file, force, show=not import_stdin),
    ):
        operation.detail = f"account {account}, policy {policy}, fingerprint {fingerprint(credential.api_key)}"
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
    say_lacking(home, config, store, account, policy)


clients.add_command(forgive)


@clients.command("list")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@passphrase_option
@click.pass_obj
def list_(home: Home, as_json: bool, passphrase_file: Path | None) -> None:
    """List the clients, revoked ones included, and former credentials that still pass; never a key or secret."""
    store, now_us = open_store(home, passphrase_file), SystemClock().now_us()
    former = [info for info, _ in store.former_clients() if not info.revoked and (info.expires_us or 0) > now_us]
    rows = [_row(info) for info in store.clients()] + [{**_row(info), "former": True} for info in former]
    rows.sort(key=lambda row: (str(row["name"]), bool(row["former"])))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        shown = [{**row, "created": row["created"] or "-"} for row in rows]
        show_rows(shown, none="There are no clients; add one with `signer clients add`.")


@clients.command()
@click.argument("name")
@reason_option
@cancel_orders_option
@passphrase_option
@click.pass_obj
def revoke(home: Home, name: str, reason: str, cancel_orders: bool, passphrase_file: Path | None) -> int:
    """Refuse every call of client NAME from now on, for good: at once, whatever state the home is in. Says what it has
    open.

    Exit status 5 if the running gateway does not confirm (the client is halted then), or if --cancel-orders could not
    cancel all of it.
    """
    tell_open = clear if cancel_orders else show_open
    return revoke_client(home, name, reason, passphrase_file, then=lambda: tell_open(home, name, ""))


@clients.command()
@click.argument("name")
@click.option(
    "--overlap", metavar="TIME", callback=read_overlap, help="How long the old ones still work: 90s, 10m, 2h."
)
@env_file_options
@reason_option
@passphrase_option
@click.pass_obj
def rotate(
    home: Home,
    *,
    name: str,
    overlap: int | None,
    env_file: Path | None,
    force: bool,
    reason: str,
    passphrase_file: Path | None,
) -> int:
    """Issue a new virtual key and secret to client NAME; the old ones stop working at once, or after --overlap.

    Exit status 5 if the running gateway does not confirm that it refuses the old ones; the client is halted then.
    """
    credential = issue()
    store = open_store(home, passphrase_file)
    old = [info.api_key for info in store.clients() if info.name == name]
    older = [info.api_key for info, _ in store.former_clients() if info.name == name]
    with (
        on_record(home, "clients rotate", reason, client=name) as operation,
        _handing_over(home, credential, env_file, force, show=True),
    ):
        now_us = SystemClock().now_us()
        until_us = None if overlap is None else now_us + overlap
        passes = "" if until_us is None else f", the old one passes until {utc(until_us)}"
        operation.detail = f"fingerprint {fingerprint(credential.api_key)}{passes}"
        store.rotate_client(name, credential.api_key, credential.secret, created_us=now_us, old_until_us=until_us)
    taking = TakingBack(home, name)
    taking.tell_gateway(dict.fromkeys(older, AT_ONCE) | dict.fromkeys(old, until_us or AT_ONCE))
    _confirm(f"Rotated client {name}{passes}", credential)
    if not taking.confirmed:
        return taking.settle()
    take_up(home, f"the new credential of {name}")
    return 0


@clients.command()
@click.argument("name")
@click.option("--policy", help="Policy that it is held to from now on.")
@click.option("--allow-from", multiple=True, metavar="CIDR", callback=read_networks, help="Source it may call from.")
@click.option("--allow-from-anywhere", is_flag=True, help="It may call from any source.")
@click.option("--expires", metavar="DATE|DAYS", callback=read_expiry, help="2027-01-31 (00:00 UTC) or 30d.")
@click.option("--expires-never", is_flag=True, help="It does not expire.")
@reason_option
@passphrase_option
@click.pass_obj
def update(
    home: Home,
    *,
    name: str,
    policy: str | None,
    allow_from: tuple[Network, ...],
    allow_from_anywhere: bool,
    expires: int | None,
    expires_never: bool,
    reason: str,
    passphrase_file: Path | None,
) -> None:
    """Change what client NAME may do, from where, or until when. Its credential stays."""
    if (allow_from and allow_from_anywhere) or (expires is not None and expires_never):
        raise click.UsageError("An option and its opposite exclude each other.")
    changes = ClientChange()
    if policy is not None:
        _require_policy(home, policy)
        changes["policy"] = policy
    if allow_from or allow_from_anywhere:
        changes["sources"] = allow_from
    if expires is not None or expires_never:
        changes["expires_us"] = expires
    if not changes:
        raise click.UsageError("Say what is to change: --policy, --allow-from or --expires.")
    store = open_store(home, passphrase_file)
    with on_record(home, "clients update", reason, client=name) as operation:
        operation.detail = ", ".join(f"{key} {_shown(value)}" for key, value in changes.items())
        store.update_client(name, **changes)
    click.echo(f"Updated client {name}.", err=True)
    take_up(home, f"the update of {name}")


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "any"
    return "never" if value is None else utc(value) if isinstance(value, int) else str(value)


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
        hint = f"write {policy}.toml there; known are: {', '.join(known) or 'none'}"
        raise ConfigError(f"there is no policy {policy!r}", where=str(home.policies), hint=hint)


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
        "created": utc(info.created_us) if info.created_us else None,
        "former": False,
    }
