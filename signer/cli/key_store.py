"""How commands come to the key store: find the passphrase, open the file, tell a running gateway of a change."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from signer.cli import reload
from signer.cli.asking import ask_hidden, has_terminal, quiet_terminal, tried
from signer.cli.ledger import with_ledger
from signer.contracts import SigningKey, SigningStore
from signer.errors import ConfigError, HomeError, KeyStoreError, LedgerError, SignerError
from signer.home.checked import check_name
from signer.home.layout import Home
from signer.home.private_file import read_private
from signer.home.settings import HOME_FILE, Config
from signer.keys.argon import INSECURE_TESTS_ONLY, SECOND_CHOICE
from signer.keys.envelope import AboutCredential
from signer.keys.file import FileKeyStore
from signer.keys.issue import MOST_BYTES, ApiKeySecret, read_json, read_pasted
from signer.keys.key_file import MOST_BYTES as KEY_FILE_BYTES
from signer.keys.key_file import read_key_file
from signer.keys.passphrase import Passphrase, find_passphrase, settle
from signer.keys.renewal import read_envelope
from signer.ledger.sqlite import SqliteLedger
from signer.model import CredentialInfo
from signer.secret import HMACS
from signer.venues import open_venue

INSECURE_VARIABLE = "SIGNER_INSECURE_KEY_STORE_FOR_TESTS"
INSECURE_VALUE = "anyone-can-open-it"
"""Set like this, commands make and open key stores that protect nothing. `serve` does not."""

Function = TypeVar("Function", bound=Callable[..., Any])
T = TypeVar("T")
Row = dict[str, object]


def passphrase_option(function: Function) -> Function:
    """``--passphrase-file``, for every command that opens the key store."""
    text = "File (0600) with the key store's passphrase. Default: docs/key-store.md, section Passphrase."
    return click.option("--passphrase-file", type=click.Path(path_type=Path), metavar="FILE", help=text)(function)


def admin_option(function: Function) -> Function:
    """``--vault-token-file``, for commands that write to the store of an account."""
    text = "File (0600) with a Vault token that has the rights of deploy/vault/admin.hcl. Default: VAULT_TOKEN."
    return click.option("--vault-token-file", type=click.Path(path_type=Path), metavar="FILE", help=text)(function)


def signing_store(name: str, config: Config, vault_token_file: Path | None) -> SigningStore | None:
    """The store that keeps secrets under ``name``, opened for an administrator; None if that is the home's own file.

    Raises `ConfigError` or `KeyStoreError`.
    """
    from signer.keys.stores import SigningStores, require_signs  # noqa: PLC0415 - most homes need it not

    venue = open_venue(config.venue)
    if name == HOME_FILE:
        require_signs(frozenset(HMACS), venue, HOME_FILE)
        return None
    if name not in config.stores:
        raise ConfigError(f"there is no store {name!r}", where="signer.toml", hint=f"add [stores.{name}]")
    token = os.environ.get("VAULT_TOKEN", "")
    if vault_token_file is not None:
        raw = read_private(vault_token_file, limit=MOST_BYTES, missing="name the right file")
        token = raw.decode("ascii", "replace").strip()
    stores, loop = SigningStores(warn, interactive=True, admin_token=token), _loop()
    click.get_current_context().call_on_close(lambda: loop.run(stores.close()))
    store = stores.store(name, config)
    require_signs(store.algorithms, venue, name)
    return store


def in_loop(work: Coroutine[None, None, T]) -> T:
    """What ``work`` comes to, in the one event loop of this command: a store's connections live and die in it."""
    return _loop().run(work)


def _loop() -> asyncio.Runner:
    context = click.get_current_context()
    if __name__ not in context.meta:
        context.meta[__name__] = context.with_resource(asyncio.Runner())
    runner: asyncio.Runner = context.meta[__name__]
    return runner


async def handle_of(info: CredentialInfo, store: FileKeyStore, elsewhere: SigningStore | None) -> SigningKey:
    """The handle of a credential, from the store that keeps its secret. Raises `KeyStoreError`."""
    return store.signing_key(info.name) if elsewhere is None else await elsewhere.signing_key(info)


def read_name(_ctx: click.Context, _param: click.Parameter, name: str) -> str:
    """A new name, if it is well formed; else a usage error."""
    try:
        return check_name(name, "the")
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def warn(text: str, weight: str = "warning") -> None:
    """One line on stderr. Where that leads to a full disk, the command goes on without it."""
    with contextlib.suppress(OSError):
        click.echo(f"signer: {weight}: {text}", err=True)


def passphrase_source(home: Home, flag: Path | None) -> Passphrase | None:
    """The passphrase as a file or the environment tells it now; None if only a person can. Raises `KeyStoreError`."""
    settle(home.passphrase, lambda text: FileKeyStore.is_opened_by(home.keys, text))
    return find_passphrase(flag, home.passphrase, os.environ, warn)


def known_passphrase(home: Home, flag: Path | None) -> Passphrase:
    """The existing store's passphrase: from its source, or asked for. Raises `KeyStoreError` if nobody can tell it."""
    _require_folder(home)
    return passphrase_source(home, flag) or _asked_passphrase(home)


def _asked_passphrase(home: Home) -> Passphrase:
    if not has_terminal():
        hint = "give --passphrase-file, or run it in a terminal to be asked"
        raise KeyStoreError("the passphrase is needed", where=str(home.keys), hint=hint)
    text = ask_hidden("Passphrase of the key store")
    return Passphrase(text.encode(errors="surrogateescape"), where="passphrase")


def open_store(home: Home, flag: Path | None) -> FileKeyStore:
    """The home's key store, opened for a command; who is asked for the passphrase has three tries. Not for `serve`,
    which never takes a store made for tests."""
    _require_folder(home)
    marks = known_marks(home)  # before the file: another command may change both meanwhile
    source = passphrase_source(home, flag)
    if source is not None or not has_terminal():
        store = _opened(home, source or _asked_passphrase(home))
    else:
        store = tried(lambda: _opened(home, _asked_passphrase(home)))
    store.require_latest(marks)
    return store


def _opened(home: Home, passphrase: Passphrase) -> FileKeyStore:
    try:
        return open_file(home, home.keys, passphrase)
    finally:
        passphrase.wipe()


def store_of(home: Home, credential: str) -> str:
    """Where the secret of a credential is, by the key store's list, which is not sealed; empty if it is not there.

    Raises `KeyStoreError` if the file does not read. Whoever acts on it opens the store first, which proves the list.
    """
    abouts = [entry.about for entry in read_envelope(home.keys).entries]
    return next((one.store for one in abouts if isinstance(one, AboutCredential) and one.name == credential), "")


def _require_folder(home: Home) -> None:
    if not home.folder.is_dir():
        raise HomeError("there is no such home", where=str(home.folder), hint="make it with `signer init`")


def open_file(home: Home, path: Path, passphrase: Passphrase) -> FileKeyStore:
    """A key store's file, whose changes the home's ledger keeps count of. Raises `KeyStoreError`."""
    written = partial(_keep_mark, home)
    return FileKeyStore.open(path, passphrase, allow_test_profile=allow_test_profile(), written=written)


def known_marks(home: Home) -> Mapping[str, int]:
    """The ledger's marks. None, with a warning, if it fails: a client must be revoked all the same."""

    async def marks(ledger: SqliteLedger) -> Mapping[str, int]:
        return await ledger.marks()

    try:
        return with_ledger(home, marks)
    except LedgerError as error:
        warn(f"whether the key store was put back to an earlier state cannot be known: {error}")
        return {}


def _keep_mark(home: Home, name: str, generation: int) -> None:
    try:
        with_ledger(home, lambda ledger: ledger.raise_mark(name, generation))
    except LedgerError as error:
        warn(f"the change is made, but until the next start nobody would notice if it were undone: {error}")


def create_store(home: Home, passphrase: Passphrase) -> FileKeyStore:
    """A new, empty key store in the home. Raises `KeyStoreError` if there is one, or the passphrase is weak."""
    profile = INSECURE_TESTS_ONLY if allow_test_profile() else SECOND_CHOICE
    return FileKeyStore.create(home.keys, passphrase, profile)


def read_credential(stdin: bool, file: Path | None) -> ApiKeySecret:
    """An API key and secret from standard input, a file of any known format, or a prompt. Raises `KeyStoreError`."""
    if stdin and file:
        raise click.UsageError("--stdin and --file exclude each other.")
    if stdin:
        return read_json(sys.stdin.buffer.read(MOST_BYTES), where="standard input")
    if file:
        return _from_file(file)
    if not has_terminal():
        raise click.UsageError("There is no terminal to ask on: give --stdin or --file.")
    return tried(_asked_credential)


def _from_file(path: Path) -> ApiKeySecret:
    """The key in a file that somebody has: it may lie open, and should not lie there for long."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise KeyStoreError("it is not a regular file", where=str(path), hint="name the right file")
    with path.open("rb") as file:
        raw = bytearray(file.read(KEY_FILE_BYTES + 1))
    if len(raw) > KEY_FILE_BYTES:
        raise KeyStoreError(f"it is larger than {KEY_FILE_BYTES} bytes", where=str(path), hint="name the right file")
    found = read_key_file(raw, where=str(path))
    raw[:] = bytes(len(raw))
    click.echo(f"signer: read {path} as {found.kind}; delete it when this is done, it holds the secret", err=True)
    if mode & 0o077:
        warn(f"others on this machine could read {path}; if any did, make a new key at Kraken")
    return found.credential


def _asked_credential() -> ApiKeySecret:
    api_key = ask_hidden("API key (public part)")
    return read_pasted(api_key, ask_hidden("API secret (private part)"), where="API secret")


def credential_and_store(
    home: Home, *, stdin: bool, file: Path | None, passphrase_file: Path | None
) -> tuple[ApiKeySecret, FileKeyStore]:
    """A key and the key store. The key comes first: who pastes it expects to be asked for it, and what is pasted at a
    question for a passphrase would end in the shell."""
    with quiet_terminal():
        credential = read_credential(stdin, file)
        return credential, open_store(home, passphrase_file)


def take_up(home: Home, what: str) -> bool:
    """Have a running gateway, if there is one, use the changed key store. Raises what the reload raises, having said
    what is saved."""
    try:
        note = reload.reload_running(home)
    except SignerError:
        warn(f"{what} is saved, but the running gateway goes on without it; run `signer reload` when fixed")
        raise
    if note:
        click.echo(note, err=True)
    return note is not None


def show_rows(rows: list[Row], *, none: str) -> None:
    """``rows`` as aligned columns under their keys, or ``none``."""
    if not rows:
        click.echo(none, err=True)
        return
    lines = [[key.upper() for key in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "any"
    return "never" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def allow_test_profile() -> bool:
    """Whether the environment asks for key stores that protect nothing, for tests; warns if so."""
    value = os.environ.get(INSECURE_VARIABLE)
    if value is None:
        return False
    if value != INSECURE_VALUE:
        raise ConfigError("this value means nothing", where=INSECURE_VARIABLE, hint="unset it; it is for tests only")
    warn(f"{INSECURE_VARIABLE} is set: key stores made now protect NOTHING")
    return True
