"""`signer clients`: who may call the gateway, and with which virtual credential."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import click

from signer.cli.connect import base_url
from signer.cli.main import CANNOT
from signer.cli.moments import read_duration, read_expiry
from signer.cli.open_orders import clear, show_open
from signer.cli.options import (
    cancel_orders_option,
    env_file_options,
    json_option,
    opens_store,
    public_key_option,
    read_name,
    read_networks,
    reason_option,
)
from signer.cli.pasting import read_credential
from signer.cli.showing import Row, show_json, show_rows
from signer.home.layout import Home
from signer.home.private_file import staged
from signer.keys.entries import ClientChange
from signer.keys.envelope import AboutClient
from signer.keys.issue import MOST_BYTES, ApiKeySecret, KeyShape, handed_over, issue, issue_for, kept_of
from signer.model import ClientInfo, HaltScope, Network
from signer.operator import clients as operator
from signer.operator.moments import utc
from signer.operator.opening import account_of, client_shape, open_store, require_account
from signer.operator.session import Session
from signer.operator.taking_back import revoke_client


@click.command()
@click.argument("name", callback=read_name)
@click.option("--account", required=True, help="Account in signer.toml that it trades on.")
@click.option("--policy", required=True, help="Policy that it is held to: a file of the home's policies folder.")
@click.option("--import-stdin", is_flag=True, help='Take {"api_key": "…", "api_secret": "…"} rather than issue a pair.')
@public_key_option
@click.option(
    "--allow-from", multiple=True, metavar="CIDR", callback=read_networks, help="Source it may call from. Default: any."
)
@click.option(
    "--expires", metavar="DATE|DAYS", callback=read_expiry, help="2027-01-31 (00:00 UTC) or 30d. Default: never."
)
@click.option("--nonces", type=click.Choice(["window", "strict"]), default="window", show_default=True)
@env_file_options
@reason_option
@opens_store
def add(
    session: Session,
    *,
    name: str,
    account: str,
    policy: str,
    import_stdin: bool,
    public_key: Path | None,
    allow_from: tuple[Network, ...],
    expires: int | None,
    nonces: Literal["window", "strict"],
    env_file: Path | None,
    force: bool,
    reason: str,
) -> None:
    """Issue a virtual key and secret to client NAME. They are shown once, or written to --env-file."""
    require_account(session.home, account)
    operator.require_policy(session.home, policy, account)
    store = open_store(session)
    shape = client_shape(session.home, account)
    shown, kept = _credential(shape, public_key, import_stdin=import_stdin)
    client = operator.NewClient(name, account, policy, allow_from, expires, nonces)
    hand_over = _handing_over(session.home, shape, (shown, kept), env_file, force, show=not import_stdin)
    operator.add_client(session, store, client, kept, hand_over, reason)


@click.command("list")
@json_option
@opens_store
def list_(session: Session, *, as_json: bool) -> None:
    """List the clients, never a key or secret.

    Revoked clients and former credentials that still pass are among them.
    """
    known, former = operator.list_clients(session)
    rows = [_row(info, former=False) for info in known] + [_row(info, former=True) for info in former]
    rows.sort(key=lambda row: (str(row["name"]), bool(row["former"])))
    if as_json:
        show_json(rows)
    else:
        shown = [{**row, "created": row["created"] or "-"} for row in rows]
        show_rows(shown, none="There are no clients; add one with `signer clients add`.")


@click.command()
@click.argument("name")
@reason_option
@cancel_orders_option
@opens_store
def revoke(session: Session, *, name: str, reason: str, cancel_orders: bool) -> int:
    """Refuse every call of client NAME from now on, for good.

    A running gateway refuses the client at once, whatever state the home is in. Only the key store's own entry needs
    the passphrase; without it the client is halted as well. Says what the client has open. Exit status 5 if the running
    gateway does not confirm (the client is halted then), or if --cancel-orders could not cancel all of it.
    """
    tell_open, left = clear if cancel_orders else show_open, [0]

    def then() -> None:
        left[0] = tell_open(session, HaltScope(name))

    certain = revoke_client(session, name, reason, then=then)
    return left[0] or (0 if certain else CANNOT)


@click.command()
@click.argument("name")
@click.option(
    "--overlap", metavar="TIME", callback=read_duration, help="How long the old ones still work: 90s, 10m, 2h."
)
@public_key_option
@env_file_options
@reason_option
@opens_store
def rotate(
    session: Session,
    *,
    name: str,
    overlap: int | None,
    public_key: Path | None,
    env_file: Path | None,
    force: bool,
    reason: str,
) -> int:
    """Issue a new virtual key and secret to client NAME.

    It needs the passphrase, to seal the new secret. The old ones stop working at once, or after --overlap. Exit
    status 5 if the running gateway does not confirm that it refuses the old ones; the client is halted then.
    """
    shape = client_shape(session.home, account_of(session.home, AboutClient, name))
    shown, kept = _credential(shape, public_key)
    hand_over = _handing_over(session.home, shape, (shown, kept), env_file, force, show=True)
    certain = operator.rotate_client(session, name, kept, hand_over, overlap_us=overlap, reason=reason)
    return 0 if certain else CANNOT


@click.command()
@click.argument("name")
@click.option("--policy", help="Policy that it is held to from now on.")
@click.option("--allow-from", multiple=True, metavar="CIDR", callback=read_networks, help="Source it may call from.")
@click.option("--allow-from-anywhere", is_flag=True, help="It may call from any source.")
@click.option("--expires", metavar="DATE|DAYS", callback=read_expiry, help="2027-01-31 (00:00 UTC) or 30d.")
@click.option("--expires-never", is_flag=True, help="It does not expire.")
@reason_option
@opens_store
def update(
    session: Session,
    *,
    name: str,
    policy: str | None,
    allow_from: tuple[Network, ...],
    allow_from_anywhere: bool,
    expires: int | None,
    expires_never: bool,
    reason: str,
) -> None:
    """Change what client NAME may do, from where, or until when. Its credential stays."""
    if (allow_from and allow_from_anywhere) or (expires is not None and expires_never):
        raise click.UsageError("An option and its opposite exclude each other.")
    changes = ClientChange()
    if policy is not None:
        operator.require_policy(session.home, policy, account_of(session.home, AboutClient, name))
        changes["policy"] = policy
    if allow_from or allow_from_anywhere:
        changes["sources"] = allow_from
    if expires is not None or expires_never:
        changes["expires_us"] = expires
    if not changes:
        raise click.UsageError("Say what is to change: --policy, --allow-from or --expires.")
    operator.update_client(session, name, changes, reason=reason)


@click.command()
@click.argument("name")
@reason_option
@opens_store
def forgive(session: Session, *, name: str, reason: str) -> None:
    """Let client NAME, whose nonces are strict, go on with lower ones in another unit.

    No accepted call can be sent again, because its nonces must still rise within each unit. If they are too high
    within one unit, wait, or use `signer clients rotate`. Clients whose nonces are not strict never need this.
    """
    operator.forgive_client(session, name, reason=reason)


def _credential(
    shape: KeyShape, public_key: Path | None, *, import_stdin: bool = False
) -> tuple[ApiKeySecret, ApiKeySecret]:
    """Return a client's credential as the bot is given it, and as it is kept.

    They differ where we make the key pair. Raises `KeyStoreError`, or a usage error for options that exclude each
    other.
    """
    if import_stdin and (public_key or shape.is_pair):
        raise click.UsageError("--import-stdin takes a shared secret; for a key pair give --public-key alone.")
    if public_key:
        with public_key.open("rb") as file:
            made = issue_for(file.read(MOST_BYTES).decode("ascii", "replace"), shape, where=str(public_key))
        return made, made
    given = read_credential(shape, stdin=True, file=None) if import_stdin else issue(shape)
    return given, kept_of(given)


@contextlib.contextmanager
def _handing_over(
    home: Home,
    shape: KeyShape,
    credential: tuple[ApiKeySecret, ApiKeySecret],
    env_file: Path | None,
    force: bool,
    *,
    show: bool,
) -> Iterator[None]:
    """Give the bot its credential, from `_credential`, when the block that stores it ends without an error."""
    shown, kept = credential
    content = handed_over(shape, base_url(home, shape.venue), shown, has_private=shape.is_pair and shown is kept)
    if shown is not kept:
        shown.secret.wipe()
    given: operator.HandOver = _shown_after(content) if show else contextlib.nullcontext()
    if env_file:
        given = staged(env_file, content, replace=force, exists="give --force to overwrite it, or name another")
    with given:
        yield


@contextlib.contextmanager
def _shown_after(content: bytes) -> Iterator[None]:
    yield
    click.echo(content.decode(), nl=False)
    click.echo("This secret is shown once and cannot be shown again.", err=True)


def _row(info: ClientInfo, *, former: bool) -> Row:
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
        "former": former,
    }
