"""`signer keys`: the real credentials."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from signer.cli.key_store import (
    Row,
    admin_option,
    open_store,
    passphrase_option,
    read_credential,
    read_name,
    show_rows,
    signing_store,
    take_up,
)
from signer.clock import SystemClock
from signer.config import HOME_FILE, Config, load_config
from signer.errors import ConfigError
from signer.home import Home
from signer.model import CredentialInfo
from signer.secret import fingerprint


@click.group()
def keys() -> None:
    """Keep the real API keys of your accounts."""


@keys.command()
@click.argument("name", callback=read_name)
@click.option("--account", required=True, help="Account in signer.toml that the key belongs to.")
@click.option("--stdin", is_flag=True, help='Read {"api_key": "…", "api_secret": "…"} from standard input.')
@click.option("--file", type=click.Path(path_type=Path), help="Read the same JSON from a file (0600).")
@admin_option
@passphrase_option
@click.pass_obj
def add(
    home: Home,
    *,
    name: str,
    account: str,
    stdin: bool,
    file: Path | None,
    vault_token_file: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Keep a real API key under NAME, its secret in the account's store. Asks for it, or reads it with --stdin or
    --file."""
    config = require_account(home, account)
    store = open_store(home, passphrase_file)
    kept_in = config.accounts[account].store
    elsewhere = signing_store(kept_in, config, vault_token_file)
    credential = read_credential(stdin, file)
    store.add_credential(
        name,
        account,
        credential.api_key,
        credential.secret,
        created_us=SystemClock().now_us(),
        elsewhere=None if elsewhere is None else (kept_in, elsewhere),
    )
    credential.secret.wipe()
    known_by = f"store {kept_in}, fingerprint {fingerprint(credential.api_key)}"
    click.echo(f"Added credential {name} of account {account} ({known_by}).")
    take_up(home, f"credential {name}")


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@passphrase_option
@click.pass_obj
def list_(home: Home, as_json: bool, passphrase_file: Path | None) -> None:
    """List the real credentials, never a key or secret."""
    rows = [_row(info) for info in open_store(home, passphrase_file).credentials()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        show_rows(rows, none="There are no credentials; add one with `signer keys add`.")


@keys.command()
@click.argument("name")
@click.option("--leave-secret", is_flag=True, help="Forget it here only; its store may be gone for good.")
@admin_option
@passphrase_option
@click.pass_obj
def remove(
    home: Home, *, name: str, leave_secret: bool, vault_token_file: Path | None, passphrase_file: Path | None
) -> None:
    """Forget the real credential NAME for good, and destroy its secret in the store that keeps it."""
    store, config = open_store(home, passphrase_file), load_config(home.config)
    kept_in = next((info.store for info in store.credentials() if info.name == name), HOME_FILE)
    elsewhere = None if leave_secret else signing_store(kept_in, config, vault_token_file)
    store.remove_credential(name, elsewhere)
    click.echo(f"Removed credential {name}. If the key may have leaked, delete it at the exchange too.")
    take_up(home, f"the removal of {name}")


def require_account(home: Home, account: str) -> Config:
    """The settings, in which there is ``account``. Raises `ConfigError` if there is not."""
    config = load_config(home.config)
    if account not in config.accounts:
        mend = f"add [accounts.{account}] to it; known are: {', '.join(sorted(config.accounts))}"
        raise ConfigError(f"there is no account {account!r}", where=str(home.config), mend=mend)
    return config


def utc(at_us: int) -> str:
    """A time as lists show it: ISO 8601, seconds, UTC."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _row(info: CredentialInfo) -> Row:
    return {
        "name": info.name,
        "account": info.account,
        "store": info.store,
        "fingerprint": info.fingerprint,
        "created": utc(info.created_us),
    }
