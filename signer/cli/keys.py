"""`signer keys`: the real credentials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from signer.cli.asking import has_terminal, quiet_terminal
from signer.cli.judging import judged, say
from signer.cli.key_store import (
    Row,
    admin_option,
    credential_and_store,
    handle_of,
    open_store,
    passphrase_option,
    read_credential,
    read_name,
    show_rows,
    signing_store,
    store_of,
    take_up,
    warn,
)
from signer.cli.ledger import with_ledger
from signer.cli.operation import Operation, on_record, reason_option
from signer.cli.succession import Move, Rotation
from signer.errors import ConfigError, KeyStoreError, SignerError
from signer.findings import Weight
from signer.home.layout import Home
from signer.home.settings import HOME_FILE, Config, load_config
from signer.keys.file import FileKeyStore
from signer.keys.probes import forget_probe, kept_probe
from signer.keys.replaced import Replaced, forget_replaced, kept_replaced
from signer.lanes.nonces import used_us
from signer.ledger.sqlite import SqliteLedger
from signer.model import CredentialInfo, KeyInfo, Role
from signer.secret import fingerprint
from signer.serving.clock import SystemClock


@click.group()
def keys() -> None:
    """Keep the real API keys of your accounts."""


@keys.command()
@click.argument("name", callback=read_name)
@click.option("--account", required=True, help="Account in signer.toml that the key belongs to.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.TRADE.value,
    show_default=True,
    help="What it signs: all that no other key of the account is for, reads, or deposits and withdrawals.",
)
@click.option("--stdin", is_flag=True, help='Read {"api_key": "…", "api_secret": "…"} from standard input.')
@click.option(
    "--file", type=click.Path(path_type=Path), help="Read it from a file: two lines, KEY=… and SECRET=…, or JSON."
)
@admin_option
@reason_option
@passphrase_option
@click.pass_obj
def add(
    home: Home,
    *,
    name: str,
    account: str,
    role: str,
    stdin: bool,
    file: Path | None,
    vault_token_file: Path | None,
    reason: str,
    passphrase_file: Path | None,
) -> None:
    """Keep a real API key under NAME, its secret in the account's store. Asks for it, or reads it with --stdin or
    --file."""
    config = require_account(home, account)
    credential, store = credential_and_store(home, stdin=stdin, file=file, passphrase_file=passphrase_file)
    kept_in = config.accounts[account].store
    elsewhere = signing_store(kept_in, config, vault_token_file)
    with on_record(home, "keys add", reason, credential=name) as operation:
        operation.detail = f"account {account}, role {role}, fingerprint {fingerprint(credential.api_key)}"
        store.add_credential(
            name,
            account,
            credential.api_key,
            credential.secret,
            created_us=SystemClock().now_us(),
            role=Role(role),
            elsewhere=None if elsewhere is None else (kept_in, elsewhere),
        )
    credential.secret.wipe()
    known_by = f"store {kept_in}, fingerprint {fingerprint(credential.api_key)}"
    click.echo(f"Added credential {name} of account {account} ({known_by}).")
    if take_up(home, f"credential {name}"):
        _ask_about(home, config, store, name)


def _ask_about(home: Home, config: Config, store: FileKeyStore, name: str) -> None:
    """Have the running gateway prove a new key now: until then it signs reads only."""
    info = store.credential(name)
    try:
        found = Operation(home, beside=True).probe(info, config, lambda: handle_of(info, store, None))
    except SignerError as error:
        warn(f"no order goes by {name} until the exchange has said what it may do: {error}")
    else:
        say(judged(home, config, store, name, found.key, moved=found.moved))


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@passphrase_option
@click.pass_obj
def list_(home: Home, as_json: bool, passphrase_file: Path | None) -> None:
    """List the real credentials, never a key or secret."""
    used, store = _last_used(home), open_store(home, passphrase_file)
    rows = [_row(info, home, used) for info in store.credentials()]
    if as_json:
        rows += [_replaced_row(key) for key in kept_replaced(home.replaced, store.credentials())]
        click.echo(json.dumps(rows, indent=2))
    else:
        shown = [{key: value for key, value in row.items() if key != "delete_since"} for row in rows]
        show_rows(shown, none="There are no credentials; add one with `signer keys add`.")
        _remind(home, store)


@keys.command()
@click.argument("name")
@click.argument("fingerprint")
@reason_option
@passphrase_option
@click.pass_obj
def confirm_deleted(home: Home, *, name: str, fingerprint: str, reason: str, passphrase_file: Path | None) -> None:
    """Say that the key FINGERPRINT, which NAME had before a rotation, is deleted at the exchange."""
    open_store(home, passphrase_file)  # a leaked key that nobody is reminded of lives on: not for everybody to say
    with on_record(home, "keys confirm-deleted", reason, credential=name) as operation:
        operation.detail = f"fingerprint {fingerprint}"
        forget_replaced(home.replaced, name, fingerprint)
    click.echo(f"The old key {fingerprint} of {name} is not listed any more.", err=True)


@keys.command()
@click.argument("name")
@click.option("--leave-secret", is_flag=True, help="Forget it here only; its store may be gone for good.")
@click.option("--yes", is_flag=True, help="Do not ask, though it is the last key of an account that clients use.")
@admin_option
@reason_option
@passphrase_option
@click.pass_obj
def remove(
    home: Home,
    *,
    name: str,
    leave_secret: bool,
    yes: bool,
    vault_token_file: Path | None,
    reason: str,
    passphrase_file: Path | None,
) -> None:
    """Forget the real credential NAME for good, and destroy its secret in the store that keeps it."""
    store, config = open_store(home, passphrase_file), load_config(home.config)
    info = store.credential(name)
    if not yes:
        _require_consent(store, info)
    elsewhere = None if leave_secret else signing_store(info.store, config, vault_token_file)
    with on_record(home, "keys remove", reason, credential=name) as operation:
        operation.detail = f"account {info.account}, fingerprint {info.fingerprint}"
        store.remove_credential(name, elsewhere)
        forget_probe(home.probes, info.fingerprint)
    click.echo(f"Removed credential {name}. If the key may have leaked, delete it at the exchange too.")
    take_up(home, f"the removal of {name}")


@keys.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@reason_option
@passphrase_option
@click.pass_obj
def test(home: Home, *, name: str, as_json: bool, reason: str, passphrase_file: Path | None) -> int:
    """Ask the exchange, signed with the credential NAME, what it may do, and say whether that is what it should.

    The exit status is 1 if it may do too little or too much.
    """
    store, config = open_store(home, passphrase_file), load_config(home.config)
    info = store.credential(name)
    elsewhere = signing_store(info.store, config, None)
    with on_record(home, "keys test", reason, credential=name) as operation:
        found = operation.probe(info, config, lambda: handle_of(info, store, elsewhere))
    findings = judged(home, config, store, name, found.key, moved=found.moved)
    if as_json:
        click.echo(json.dumps({**_told(found.key), "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        for key, value in _told(found.key).items():
            click.echo(f"{key:<12} {', '.join(value) if isinstance(value, list) else value}")
        say(findings)
    return 1 if any(finding.weight in {Weight.ERROR, Weight.REFUSED} for finding in findings) else 0


@keys.command()
@click.argument("name")
@click.option("--stdin", is_flag=True, help='Read {"api_key": "…", "api_secret": "…"} from standard input.')
@click.option(
    "--file", type=click.Path(path_type=Path), help="Read it from a file: two lines, KEY=… and SECRET=…, or JSON."
)
@click.option("--other-permissions", is_flag=True, help="Take a key that may do less or more than the old one.")
@admin_option
@reason_option
@passphrase_option
@click.pass_obj
def rotate(
    home: Home,
    *,
    name: str,
    stdin: bool,
    file: Path | None,
    other_permissions: bool,
    vault_token_file: Path | None,
    reason: str,
    passphrase_file: Path | None,
) -> None:
    """Put a new key in the place of NAME's. It is tried out first; no bot notices, and no call is lost."""
    config = load_config(home.config)
    if not store_of(home, name):
        open_store(home, passphrase_file).credential(name)  # says which there are, before anybody pastes a key
    given, store = credential_and_store(home, stdin=stdin, file=file, passphrase_file=passphrase_file)
    old = store.credential(name)
    elsewhere = signing_store(old.store, config, vault_token_file)
    with on_record(home, "keys rotate", reason, credential=name) as operation:
        Rotation(store, config, operation, elsewhere).rotate(old, given, other_permissions=other_permissions)
    click.echo(
        f"Rotated credential {name} (fingerprint {fingerprint(given.api_key)}); no call uses the old key any more."
    )
    _remind(home, store)


@keys.command()
@click.argument("name")
@click.option("--to", required=True, metavar="STORE", help=f"A store of signer.toml, or {HOME_FILE}: the home's own.")
@click.option("--stdin", is_flag=True, help="Read the key's JSON, for a store that does not give a secret back.")
@click.option(
    "--file", type=click.Path(path_type=Path), help="Read it from a file: two lines, KEY=… and SECRET=…, or JSON."
)
@admin_option
@reason_option
@passphrase_option
@click.pass_obj
def move(
    home: Home,
    *,
    name: str,
    to: str,
    stdin: bool,
    file: Path | None,
    vault_token_file: Path | None,
    reason: str,
    passphrase_file: Path | None,
) -> None:
    """Have another store keep the secret of NAME. The old copy is destroyed when both have signed alike."""
    config = load_config(home.config)
    with quiet_terminal():  # the key before the passphrase, as `credential_and_store` does
        given = None if store_of(home, name) in {HOME_FILE, to, ""} else read_credential(stdin, file)
        store = open_store(home, passphrase_file)
    info = store.credential(name)
    if info.store == to:
        raise click.UsageError(f"{name} is in the store {to} already.")
    stores = signing_store(info.store, config, vault_token_file), signing_store(to, config, vault_token_file)
    _require_apart(info.store, to, config)
    with on_record(home, "keys move", reason, credential=name) as operation:
        operation.detail = f"from {info.store} to {to}"
        Move(store, operation, *stores).move(info, to, given)
    click.echo(f"Moved credential {name} to the store {to}.")


def require_account(home: Home, account: str) -> Config:
    """The settings, in which there is ``account``. Raises `ConfigError` if there is not."""
    config = load_config(home.config)
    if account not in config.accounts:
        hint = f"add [accounts.{account}] to it; known are: {', '.join(sorted(config.accounts))}"
        raise ConfigError(f"there is no account {account!r}", where=str(home.config), hint=hint)
    return config


def _require_consent(store: FileKeyStore, info: CredentialInfo) -> None:
    """Ask, if clients would be left without any key. Raises `click.Abort` for a no, else `KeyStoreError`."""
    others = [each for each in store.credentials() if each.account == info.account and each.name != info.name]
    served = [each.name for each in store.clients() if each.account == info.account and not each.revoked]
    if others or not served:
        return
    what = f"it is the last key of account {info.account}, and without it no call of {', '.join(served)} passes"
    if not has_terminal():
        raise KeyStoreError(what, where=info.name, hint="give --yes, or add another key first")
    click.confirm(f"{info.name}: {what}. Remove it?", abort=True, err=True)


def _require_apart(here: str, there: str, config: Config) -> None:
    """Raises `ConfigError` if both names lead to one place: the old copy would be the new one, and be destroyed."""
    if HOME_FILE not in {here, there} and config.stores[here].place == config.stores[there].place:
        hint = f"to rename a store, give credentials of {here} anew with `signer keys remove` and `signer keys add`"
        raise ConfigError(f"the stores {here} and {there} are one place", where="signer.toml", hint=hint)


def _told(found: KeyInfo) -> Row:
    return {
        "name": found.name,
        "permissions": list(found.permissions),
        "expires": utc(found.expires_us) if found.expires_us else "never",
        "sources": list(found.sources) or ["any"],
        "nonce_window": found.nonce_window,
    }


def utc(at_us: int) -> str:
    """A time as lists show it: ISO 8601, seconds, UTC."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _row(info: CredentialInfo, home: Home, used: Mapping[str, int]) -> Row:
    probe = kept_probe(home.probes, info.fingerprint)
    expires_us = probe.key.expires_us if probe else None
    return {
        "name": info.name,
        "account": info.account,
        "role": info.role,
        "store": info.store,
        "fingerprint": info.fingerprint,
        "created": utc(info.created_us),
        "used": utc(used[info.fingerprint]) if info.fingerprint in used else None,
        "tested": utc(probe.at_us) if probe else None,
        "permissions": list(probe.key.permissions) if probe else None,
        "expires": utc(expires_us) if expires_us else None,
        "at_venue": probe.key.name if probe else None,
        "delete_since": None,
    }


def _replaced_row(key: Replaced) -> Row:
    """As `_row`, of a key that signs nothing any more."""
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


def _remind(home: Home, store: FileKeyStore) -> None:
    for key in kept_replaced(home.replaced, store.credentials()):
        called = repr(key.at_venue) if key.at_venue else "whose name there is not known"
        which = f"the key {called} (fingerprint {key.fingerprint}), replaced {utc(key.since_us)}"
        then = f"`signer keys confirm-deleted {key.name} {key.fingerprint}`"
        click.echo(f"Delete this at Kraken now: {which}; then run {then}.")


def _last_used(home: Home) -> Mapping[str, int]:
    """When each credential last signed a call, to within some seconds, from the mark that its nonces have reached."""

    async def marks(ledger: SqliteLedger) -> Mapping[str, int]:
        return await ledger.marks()

    now_us = SystemClock().now_us()
    found = with_ledger(home, marks).items()
    return {name.rpartition("/")[2]: used_us(mark, now_us) for name, mark in found if name.startswith("credential/")}
