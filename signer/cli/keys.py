"""`signer keys`: the real credentials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from signer.cli.asking import has_terminal, quiet_terminal
from signer.cli.options import json_option, key_options, opens_store, read_name, reason_option, vault_option
from signer.cli.pasting import credential_and_store, read_credential
from signer.cli.showing import Row, show_fields, show_json, show_rows
from signer.errors import KeyStoreError
from signer.findings import Weight
from signer.home.settings import HOME_FILE, load_config
from signer.keys.envelope import AboutCredential
from signer.keys.replaced import Replaced, kept_replaced
from signer.model import CredentialInfo, KeyInfo, Role
from signer.operator import keys as operator
from signer.operator.judging import warn_of
from signer.operator.moments import utc
from signer.operator.opening import account_of, open_store, real_shape, require_account, store_of
from signer.operator.session import Session


@click.command()
@click.argument("name", callback=read_name)
@click.option("--account", required=True, help="Account in signer.toml that the key belongs to.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.TRADE.value,
    show_default=True,
    help="What it signs: all that no other key of the account is for, reads, or deposits and withdrawals.",
)
@key_options
@vault_option
@reason_option
@opens_store
def add(session: Session, *, name: str, account: str, role: str, stdin: bool, file: Path | None, reason: str) -> None:
    """Keep a real API key under NAME, its secret in the account's store.

    The command asks for the key, or reads it with --stdin or --file.
    """
    config = require_account(session.home, account)
    given, store = credential_and_store(session, real_shape(config, account), stdin=stdin, file=file)
    operator.add_key(session, store, config, name, given, account=account, role=Role(role), reason=reason)


@click.command("list")
@json_option
@opens_store
def list_(session: Session, *, as_json: bool) -> None:
    """List the real credentials, never a key or secret."""
    listed, replaced = operator.list_keys(session)
    rows = [_row(one) for one in listed]
    if as_json:
        show_json([*rows, *map(_replaced_row, replaced)])
        return
    shown = [{key: value for key, value in row.items() if key != "delete_since"} for row in rows]
    show_rows(shown, none="There are no credentials; add one with `signer keys add`.")
    _remind(replaced)


@click.command()
@click.argument("name")
@click.argument("fingerprint")
@reason_option
@opens_store
def confirm_deleted(session: Session, *, name: str, fingerprint: str, reason: str) -> None:
    """Say that a replaced key of NAME is deleted at the exchange. FINGERPRINT is the key's, as `keys list` shows it."""
    operator.confirm_deleted(session, name, fingerprint, reason=reason)


@click.command()
@click.argument("name")
@click.option("--leave-secret", is_flag=True, help="Forget it here only; its store may be gone for good.")
@click.option("--yes", is_flag=True, help="Do not ask, though it is the last key of an account that clients use.")
@vault_option
@reason_option
@opens_store
def remove(session: Session, *, name: str, leave_secret: bool, yes: bool, reason: str) -> None:
    """Forget the real credential NAME for good, and destroy its secret in its store."""
    store, config = open_store(session), load_config(session.home.config)
    info = store.credential(name)
    if not yes:
        _require_consent(info, operator.cut_off_by_removal(store, info))
    operator.remove_key(session, store, config, name, leave_secret=leave_secret, reason=reason)


@click.command()
@click.argument("name")
@json_option
@reason_option
@opens_store
def test(session: Session, *, name: str, as_json: bool, reason: str) -> int:
    """Ask the exchange what the key NAME may do, and compare that with its role.

    The question is signed with the key itself. Exit status 1 if it may do too little or too much.
    """
    store, config = open_store(session), load_config(session.home.config)
    found = operator.prove_key(session, store, config, name, reason=reason)
    if as_json:
        show_json({**_told(found.key), "findings": [asdict(finding) for finding in found.findings]})
    else:
        show_fields(_told(found.key))
        warn_of(found.findings, session.person)
    return 1 if any(finding.weight in {Weight.ERROR, Weight.REFUSED} for finding in found.findings) else 0


@click.command()
@click.argument("name")
@key_options
@click.option("--other-permissions", is_flag=True, help="Take a key that may do less or more than the old one.")
@vault_option
@reason_option
@opens_store
def rotate(
    session: Session, *, name: str, stdin: bool, file: Path | None, other_permissions: bool, reason: str
) -> None:
    """Put a new key in the place of NAME's. The new key is tried out first. No bot notices, and no call is lost."""
    home, config = session.home, load_config(session.home.config)
    if not store_of(home, name):
        open_store(session).credential(name)  # raises for an unknown name before a person pastes a key
    shape = real_shape(config, account_of(home, AboutCredential, name))
    given, store = credential_and_store(session, shape, stdin=stdin, file=file)
    operator.rotate_key(session, store, config, name, given, other_permissions=other_permissions, reason=reason)
    _remind(kept_replaced(home.replaced, store.credentials()))


@click.command()
@click.argument("name")
@click.option("--to", required=True, metavar="STORE", help=f"A store of signer.toml, or {HOME_FILE}: the home's own.")
@key_options
@vault_option
@reason_option
@opens_store
def move(session: Session, *, name: str, to: str, stdin: bool, file: Path | None, reason: str) -> None:
    """Have another store keep the secret of NAME. The old copy is destroyed when both have signed alike.

    If its store does not give a secret back, the command asks for the key, or reads it with --stdin or --file.
    """
    config = load_config(session.home.config)
    with quiet_terminal():  # the key before the passphrase, as `credential_and_store` does
        given = None
        if store_of(session.home, name) not in {HOME_FILE, to, ""}:
            shape = real_shape(config, account_of(session.home, AboutCredential, name))
            given = read_credential(shape, stdin=stdin, file=file)
        store = open_store(session)
    info = store.credential(name)
    if info.store == to:
        raise click.UsageError(f"{name} is in the store {to} already.")
    operator.move_key(session, store, config, info, to, given, reason=reason)


def _require_consent(info: CredentialInfo, cut_off: Sequence[str]) -> None:
    """Ask, if clients would lose their last key. Raises `click.Abort` for a no, `KeyStoreError` without a terminal."""
    if not cut_off:
        return
    what = f"it is the last key of account {info.account}, and without it no call of {', '.join(cut_off)} passes"
    if not has_terminal():
        raise KeyStoreError(what, where=info.name, hint="give --yes, or add another key first")
    click.confirm(f"{info.name}: {what}. Remove it?", abort=True, err=True)


def _told(found: KeyInfo) -> Row:
    return {
        "name": found.name,
        "permissions": list(found.permissions),
        "expires": utc(found.expires_us) if found.expires_us else "never",
        "sources": list(found.sources) or ["any"],
        "nonce_window": found.nonce_window,
    }


def _row(one: operator.ListedKey) -> Row:
    info, probe = one.info, one.probe
    expires_us = probe.key.expires_us if probe else None
    return {
        "name": info.name,
        "account": info.account,
        "role": info.role,
        "store": info.store,
        "fingerprint": info.fingerprint,
        "created": utc(info.created_us),
        "used": None if one.used_us is None else utc(one.used_us),
        "tested": utc(probe.at_us) if probe else None,
        "permissions": list(probe.key.permissions) if probe else None,
        "expires": utc(expires_us) if expires_us else None,
        "at_venue": probe.key.name if probe else None,
        "delete_since": None,
    }


def _replaced_row(key: Replaced) -> Row:
    """Return a row like `_row`'s for a replaced key."""
    unknown = dict.fromkeys(("store", "used", "tested", "permissions", "expires"))
    return {
        "name": key.name,
        "account": key.account,
        "role": key.role,
        "fingerprint": key.fingerprint,
        "created": utc(key.created_us),
        **unknown,
        "at_venue": key.at_venue or None,
        "delete_since": utc(key.since_us),
    }


def _remind(replaced: Sequence[Replaced]) -> None:
    for key in replaced:
        called = repr(key.at_venue) if key.at_venue else "whose name there is not known"
        which = f"the key {called} (fingerprint {key.fingerprint}), replaced {utc(key.since_us)}"
        then = f"`signer keys confirm-deleted {key.name} {key.fingerprint}`"
        click.echo(f"Delete this at the exchange now: {which}; then run {then}.")
