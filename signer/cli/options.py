"""Options that several commands share, each stated once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

import click
from click.decorators import FC

from signer.cli.terminal import on_home
from signer.home.checked import check_name
from signer.home.layout import Home
from signer.model import HaltScope, Network
from signer.model.escaping import printable

MOST_REASON = 200
"""Characters of a reason that goes on record."""

R = TypeVar("R")


def in_session(function: Callable[..., R]) -> Callable[..., R]:
    """Give the command a `Session` at the chosen home as its first argument."""

    @click.pass_obj
    @functools.wraps(function)
    def called(home: Home, /, *arguments: Any, **options: Any) -> R:
        return function(on_home(home), *arguments, **options)

    return called


def opens_store(function: Callable[..., R]) -> Callable[..., R]:
    """Add ``--passphrase-file``, and a `Session` that knows it as the command's first argument."""

    @passphrase_option
    @click.pass_obj
    @functools.wraps(function)
    def called(
        home: Home,
        /,
        *arguments: Any,
        passphrase_file: Path | None,
        vault_token_file: Path | None = None,
        **options: Any,
    ) -> R:
        return function(on_home(home, passphrase_file, vault_token_file), *arguments, **options)

    return called


def passphrase_option(function: FC) -> FC:
    """Add ``--passphrase-file``, for every command that opens the key store."""
    text = "File (0600) with the key store's passphrase. Default: docs/key-store.md, section Passphrase."
    return click.option("--passphrase-file", type=click.Path(path_type=Path), metavar="FILE", help=text)(function)


def vault_option(function: FC) -> FC:
    """Add ``--vault-token-file``, for commands that write to the store of an account. Goes with `opens_store`."""
    text = "File (0600) with a Vault token that has the rights of deploy/vault/admin.hcl. Default: VAULT_TOKEN."
    return click.option("--vault-token-file", type=click.Path(path_type=Path), metavar="FILE", help=text)(function)


def json_option(function: FC) -> FC:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="For scripts.")(function)


def reason_option(function: FC) -> FC:
    """Add ``--reason``, for every command that is put on record."""
    text = "Why, for the audit log."
    return click.option("--reason", default="", callback=reading_reason(MOST_REASON), help=text)(function)


def key_options(function: FC) -> FC:
    """Add ``--stdin`` and ``--file``, for commands that are given a real API key."""
    stdin = click.option("--stdin", is_flag=True, help='Read {"api_key": "…", "api_secret": "…"} from standard input.')
    text = "Read it from a file: two lines, KEY=… and SECRET=…, or JSON."
    return stdin(click.option("--file", type=click.Path(path_type=Path), help=text)(function))


def public_key_option(function: FC) -> FC:
    """Add ``--public-key``, for the commands that issue a credential."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    text = "PEM file with the public key of the bot's own pair, for an exchange whose clients sign by one."
    return click.option("--public-key", type=file, metavar="FILE", help=text)(function)


def env_file_options(function: FC) -> FC:
    """Add ``--env-file`` and ``--force``, for the commands that issue a credential."""
    force = click.option("--force", is_flag=True, help="Overwrite the env file.")
    text = "Write the bot's environment file (0600) instead of showing its secret."
    return click.option("--env-file", type=click.Path(path_type=Path), metavar="FILE", help=text)(force(function))


def scope_options(function: Callable[..., R]) -> Callable[..., R]:
    """Add the options that say what a halt is of, given to the command as ``scope``. A usage error for two of them."""
    texts = {
        "client": ("NAME", "Only this client."),
        "account": ("NAME", "Every client of this account."),
        "group": ("NAME", "The clients of this group of signer.toml."),
        "pair": ("PAIR", "Orders for this pair, of every client. Write it as you like: XBT/USD, XBTUSD, BTC/USD."),
    }

    @functools.wraps(function)
    def called(*arguments: Any, **options: Any) -> R:
        scope = HaltScope(*(options.pop(kind) for kind in HaltScope._fields))
        if sum(map(bool, scope)) > 1:
            raise click.UsageError("--client, --account, --group and --pair exclude each other.")
        return function(*arguments, scope=scope, **options)

    for kind, (metavar, text) in reversed(texts.items()):
        called = click.option(f"--{kind}", default="", metavar=metavar, help=text)(called)
    return called


def cancel_orders_option(function: FC) -> FC:
    """Add ``--cancel-orders``, for a halt or a revocation."""
    text = "Also cancel what is open, through the running gateway."
    return click.option("--cancel-orders", is_flag=True, help=text)(function)


def read_name(_ctx: click.Context, _param: click.Parameter, name: str) -> str:
    """Read a new name that is well formed; else a usage error."""
    try:
        return check_name(name, "the")
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def read_networks(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Read ``10.0.0.0/8`` or single addresses as networks. A usage error with the hint if one has host bits set."""
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(f"{error}; write an address, or a network such as 10.0.0.0/8") from None


def reading_reason(limit: int) -> Callable[[click.Context, click.Parameter, str], str]:
    """Make a callback for ``--reason``: the text as one line that cannot move a cursor.

    A usage error if it has over ``limit`` characters.
    """

    def read(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
        shown = printable(text.strip())
        if len(shown) > limit:
            escaped = " (control characters count as they are written, \\n as two)" if shown != text.strip() else ""
            raise click.BadParameter(f"it has {len(shown)} characters{escaped}; write at most {limit}")
        return shown

    return read
