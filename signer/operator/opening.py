"""Opens the key store of a home with its passphrase, and the stores that keep secrets elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from signer.contracts import SigningKey, SigningStore
from signer.errors import ConfigError, HomeError, LedgerError
from signer.home.layout import Home
from signer.home.private_file import read_private
from signer.home.settings import HOME_FILE, Config, load_config
from signer.keys.argon import INSECURE_TESTS_ONLY, SECOND_CHOICE
from signer.keys.envelope import AboutClient, AboutCredential
from signer.keys.file import FileKeyStore
from signer.keys.issue import MOST_BYTES, KeyShape
from signer.keys.passphrase import Passphrase, find_passphrase, settle
from signer.keys.renewal import read_envelope
from signer.model import CredentialInfo
from signer.operator.person import Person
from signer.operator.reading_book import known_marks, with_marks
from signer.operator.session import Session
from signer.venues import open_venue

INSECURE_VARIABLE = "SIGNER_INSECURE_KEY_STORE_FOR_TESTS"
INSECURE_VALUE = "anyone-can-open-it"
"""The environment variable and value that let commands, but not `serve`, use key stores that protect nothing."""


def require_folder(home: Home) -> None:
    """Raises `HomeError` if the home's folder does not exist."""
    if not home.folder.is_dir():
        raise HomeError("there is no such home", where=str(home.folder), hint="make it with `signer init`")


def require_account(home: Home, account: str) -> Config:
    """Load the settings, which must have ``account``. Raises `ConfigError`."""
    config = load_config(home.config)
    if account not in config.accounts:
        hint = f"add [accounts.{account}] to it; known are: {', '.join(sorted(config.accounts))}"
        raise ConfigError(f"there is no account {account!r}", where=str(home.config), hint=hint)
    return config


def open_store(session: Session) -> FileKeyStore:
    """Open the home's key store for an act. Raises `KeyStoreError`.

    A person who is asked for the passphrase may try again. `serve` opens it in another way, and never takes a store
    that was made for tests.
    """
    home, person = session.home, session.person
    require_folder(home)
    marks = marks_or_warn(session)  # before the file: another act may change both meanwhile
    source = passphrase_source(session)
    if source is not None:
        store = _opened(session, source)
    else:
        store = person.retry(lambda: _opened(session, person.passphrase()))
    store.require_latest(marks)
    return store


def known_passphrase(session: Session) -> Passphrase:
    """Find the existing store's passphrase, or ask for it once. Raises `KeyStoreError` if it cannot be had."""
    require_folder(session.home)
    return passphrase_source(session) or session.person.passphrase()


def passphrase_source(session: Session) -> Passphrase | None:
    """Read the passphrase from its file or the environment; None if only a person knows it. Raises `KeyStoreError`."""
    home = session.home
    settle(home.passphrase, lambda text: FileKeyStore.is_opened_by(home.keys, text))
    return find_passphrase(session.passphrase_file, home.passphrase, os.environ, session.person.warn)


def open_file(session: Session, path: Path, passphrase: Passphrase) -> FileKeyStore:
    """Open the key store at ``path``; the home's marks count its changes. Raises `KeyStoreError`."""
    allowed = allow_test_profile(session.person)
    return FileKeyStore.open(path, passphrase, allow_test_profile=allowed, written=partial(_keep_mark, session))


def create_store(home: Home, person: Person, passphrase: Passphrase) -> FileKeyStore:
    """Make a new, empty key store. Raises `KeyStoreError` if there is one, or the passphrase is weak."""
    profile = INSECURE_TESTS_ONLY if allow_test_profile(person) else SECOND_CHOICE
    return FileKeyStore.create(home.keys, passphrase, profile)


def store_of(home: Home, credential: str) -> str:
    """Return the store that keeps the secret of a credential; empty if there is no such credential.

    It reads the key store's list, which is not sealed. Open the store, which proves the list, before you act on it.
    Raises `KeyStoreError` if the file does not read.
    """
    abouts = [entry.about for entry in read_envelope(home.keys).entries]
    return next((one.store for one in abouts if isinstance(one, AboutCredential) and one.name == credential), "")


def account_of(home: Home, kind: type[AboutCredential | AboutClient], name: str) -> str:
    """Say which account a credential or client is of; empty if there is none of that name. As `store_of`."""
    abouts = [entry.about for entry in read_envelope(home.keys).entries]
    return next((one.account for one in abouts if isinstance(one, kind) and one.name == name), "")


def signing_store(session: Session, name: str, config: Config, account: str) -> SigningStore | None:
    """Open the store ``name`` for an administrator and keys of ``account``; None if that is the home's own file.

    Raises `ConfigError` or `KeyStoreError`, also for a store that cannot sign for the account's venue. An account that
    is not in the settings any more has no venue, and its keys may still be removed.
    """
    from signer.keys.stores import SigningStores, require_keeps  # noqa: PLC0415 - most homes need it not

    if name == HOME_FILE:
        return None
    if name not in config.stores:
        raise ConfigError(f"there is no store {name!r}", where="signer.toml", hint=f"add [stores.{name}]")
    stores = SigningStores(session.person.warn, interactive=True, admin_token=_admin_token(session.vault_token_file))
    session.call_on_close(lambda: session.run(stores.close()))
    store = stores.store(name, config)
    if account in config.accounts:
        require_keeps(store, open_venue(config.venue_of(account)), name)
    return store


def real_shape(config: Config, account: str) -> KeyShape:
    """Return what a real key of ``account`` is made of; of an account that is not there, as at the first venue."""
    return KeyShape.of_real(open_venue(config.venue_of(account)))


def client_shape(home: Home, account: str) -> KeyShape:
    """Return what a virtual key for ``account`` is made of, whether signer.toml reads or not."""
    from signer.serving.loaded import venue_named  # noqa: PLC0415 - brakes go without it

    return KeyShape.of_client(open_venue(venue_named(home, account)))


async def handle_of(info: CredentialInfo, store: FileKeyStore, elsewhere: SigningStore | None) -> SigningKey:
    """Fetch the handle of a credential from the store that keeps its secret. Raises `KeyStoreError`."""
    if elsewhere is not None:
        return await elsewhere.signing_key(info)
    return store.signing_key(info.name, info.algorithm)


def marks_or_warn(session: Session) -> Mapping[str, int]:
    """Read the home's marks. If that fails, warn and return none, because a revocation must work all the same."""
    try:
        return known_marks(session.home)
    except LedgerError as error:
        session.person.warn(f"whether the key store was put back to an earlier state cannot be known: {error}")
        return {}


def allow_test_profile(person: Person) -> bool:
    """Tell whether the environment asks for key stores that protect nothing, for tests; warns if so."""
    value = os.environ.get(INSECURE_VARIABLE)
    if value is None:
        return False
    if value != INSECURE_VALUE:
        raise ConfigError("this value means nothing", where=INSECURE_VARIABLE, hint="unset it; it is for tests only")
    person.warn(f"{INSECURE_VARIABLE} is set: key stores made now protect NOTHING")
    return True


def _opened(session: Session, passphrase: Passphrase) -> FileKeyStore:
    try:
        return open_file(session, session.home.keys, passphrase)
    finally:
        passphrase.wipe()


def _keep_mark(session: Session, name: str, generation: int) -> None:
    try:
        with_marks(session.home, lambda marks: marks.raise_mark(name, generation))
    except LedgerError as error:
        warn = session.person.warn
        warn(f"the change is made, but until the next start nobody would notice if it were undone: {error}")


def _admin_token(file: Path | None) -> str:
    if file is None:
        return os.environ.get("VAULT_TOKEN", "")
    raw = read_private(file, limit=MOST_BYTES, missing="name the right file")
    return raw.decode("ascii", "replace").strip()
