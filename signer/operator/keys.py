"""Keeps, proves, rotates, moves and removes the real credentials for a person, each on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from signer.errors import ConfigError, SignerError
from signer.findings import Finding
from signer.home.layout import Home
from signer.home.settings import HOME_FILE, Config
from signer.keys.file import FileKeyStore
from signer.keys.issue import ApiKeySecret
from signer.keys.probes import Probe, forget_probe, kept_probe
from signer.keys.replaced import Replaced, forget_replaced, kept_replaced
from signer.lanes.nonces import used_us
from signer.model import CredentialInfo, KeyInfo, Role
from signer.operator.judging import judged, warn_of
from signer.operator.moving import Move
from signer.operator.opening import handle_of, open_store, signing_store
from signer.operator.operation import Operation, on_record
from signer.operator.reading_book import known_marks
from signer.operator.reload import take_up
from signer.operator.rotation import Rotation
from signer.operator.session import Session
from signer.secret import fingerprint
from signer.serving.clock import SystemClock


class ListedKey(NamedTuple):
    """Holds a real credential with its last use and the venue's last answer."""

    info: CredentialInfo
    used_us: int | None
    """The time of its last call, to within some seconds; None if it never signed one."""
    probe: Probe | None
    """The venue's last answer about it."""


class ProvedKey(NamedTuple):
    """Holds the venue's answer about a key, and the findings about it."""

    key: KeyInfo
    findings: Sequence[Finding]


def list_keys(session: Session) -> tuple[Sequence[ListedKey], Sequence[Replaced]]:
    """List the real credentials, and the keys that were replaced and are to be deleted at the venue."""
    used, store = _last_used(session.home), open_store(session)
    known = store.credentials()
    status = [
        ListedKey(info, used.get(info.fingerprint), kept_probe(session.home.probes, info.fingerprint)) for info in known
    ]
    return status, kept_replaced(session.home.replaced, known)


def add_key(
    session: Session,
    store: FileKeyStore,
    config: Config,
    name: str,
    credential: ApiKeySecret,
    *,
    account: str,
    role: Role,
    reason: str,
) -> None:
    """Keep a real API key under ``name``, its secret in the store of ``account``.

    A running gateway proves it at once. Until then it signs reads only. Raises `SignerError`.
    """
    kept_in, known_by = config.accounts[account].store, fingerprint(credential.api_key)
    elsewhere = signing_store(session, kept_in, config, account)
    with on_record(session, "keys add", reason, credential=name) as operation:
        operation.detail = f"account {account}, role {role.value}, fingerprint {known_by}"
        store.add_credential(
            name,
            account,
            credential.api_key,
            credential.secret,
            created_us=SystemClock().now_us(),
            role=role,
            algorithm=credential.algorithm,
            elsewhere=None if elsewhere is None else (kept_in, elsewhere),
        )
    credential.secret.wipe()
    session.person.say(f"Added credential {name} of account {account} (store {kept_in}, fingerprint {known_by}).")
    if take_up(session, f"credential {name}"):
        _prove_new(session, store, config, name)


def prove_key(session: Session, store: FileKeyStore, config: Config, name: str, *, reason: str) -> ProvedKey:
    """Ask the venue, signed with the key, what it may do, and judge that. Raises `SignerError`."""
    info = store.credential(name)
    elsewhere = signing_store(session, info.store, config, info.account)
    with on_record(session, "keys test", reason, credential=name) as operation:
        found = operation.probe(info, config, lambda: handle_of(info, store, elsewhere))
    return ProvedKey(found.key, judged(session, config, store, name, found.key, moved=found.moved))


def rotate_key(
    session: Session,
    store: FileKeyStore,
    config: Config,
    name: str,
    given: ApiKeySecret,
    *,
    other_permissions: bool,
    reason: str,
) -> None:
    """Put the key ``given`` in the place of ``name``'s key; no bot notices. If it raises `SignerError`, the old key
    stays.

    ``other_permissions`` says whether the new key may have fewer or more permissions than the old one.
    """
    old = store.credential(name)
    elsewhere = signing_store(session, old.store, config, old.account)
    with on_record(session, "keys rotate", reason, credential=name) as operation:
        Rotation(store, config, operation, elsewhere).rotate(old, given, other_permissions=other_permissions)
    known_by = fingerprint(given.api_key)
    session.person.say(f"Rotated credential {name} (fingerprint {known_by}); no call uses the old key any more.")


def move_key(
    session: Session,
    store: FileKeyStore,
    config: Config,
    info: CredentialInfo,
    to: str,
    given: ApiKeySecret | None,
    *,
    reason: str,
) -> None:
    """Have the store ``to`` keep the secret; the old copy is destroyed when both have signed alike.

    ``given`` is the key as its owner has it, for a store that gives no secret back. Raises `SignerError`.
    """
    source, target = (signing_store(session, each, config, info.account) for each in (info.store, to))
    _require_apart(info.store, to, config)
    with on_record(session, "keys move", reason, credential=info.name) as operation:
        operation.detail = f"from {info.store} to {to}"
        Move(store, operation, source, target).move(info, to, given)
    session.person.say(f"Moved credential {info.name} to the store {to}.")


def remove_key(
    session: Session, store: FileKeyStore, config: Config, name: str, *, leave_secret: bool, reason: str
) -> None:
    """Forget a real credential for good, and destroy its secret unless ``leave_secret``. Raises `SignerError`."""
    info = store.credential(name)
    elsewhere = None if leave_secret else signing_store(session, info.store, config, info.account)
    with on_record(session, "keys remove", reason, credential=name) as operation:
        operation.detail = f"account {info.account}, fingerprint {info.fingerprint}"
        store.remove_credential(name, elsewhere)
        forget_probe(session.home.probes, info.fingerprint)
    session.person.say(f"Removed credential {name}. If the key may have leaked, delete it at the exchange too.")
    take_up(session, f"the removal of {name}")


def confirm_deleted(session: Session, name: str, known_by: str, *, reason: str) -> None:
    """Put on record that the key with fingerprint ``known_by``, which ``name`` had, is deleted at the venue.

    Raises `KeyStoreError` if no such key is to be deleted.
    """
    open_store(session)  # ask for the passphrase: only a trusted person may end the reminder to delete a key
    with on_record(session, "keys confirm-deleted", reason, credential=name) as operation:
        operation.detail = f"fingerprint {known_by}"
        forget_replaced(session.home.replaced, name, known_by)
    session.person.note(f"The old key {known_by} of {name} is not listed any more.")


def cut_off_by_removal(store: FileKeyStore, info: CredentialInfo) -> Sequence[str]:
    """Name the clients that would be left without any key if this one were removed."""
    others = [each for each in store.credentials() if each.account == info.account and each.name != info.name]
    served = [each.name for each in store.clients() if each.account == info.account and not each.revoked]
    return [] if others else served


def _prove_new(session: Session, store: FileKeyStore, config: Config, name: str) -> None:
    info = store.credential(name)
    try:
        found = Operation(session, beside=True).probe(info, config, lambda: handle_of(info, store, None))
    except SignerError as error:
        session.person.warn(f"no order goes by {name} until the exchange has said what it may do: {error}")
    else:
        warn_of(judged(session, config, store, name, found.key, moved=found.moved), session.person)


def _require_apart(here: str, there: str, config: Config) -> None:
    """Raises `ConfigError` if both stores are one place, because the new copy would be destroyed as the old one."""
    if HOME_FILE not in {here, there} and config.stores[here].place == config.stores[there].place:
        hint = f"to rename a store, give credentials of {here} anew with `signer keys remove` and `signer keys add`"
        raise ConfigError(f"the stores {here} and {there} are one place", where="signer.toml", hint=hint)


def _last_used(home: Home) -> Mapping[str, int]:
    """Find when each credential last signed a call, by its fingerprint, from the mark that its nonces have reached."""
    now_us, found = SystemClock().now_us(), known_marks(home).items()
    return {name.rpartition("/")[2]: used_us(mark, now_us) for name, mark in found if name.startswith("credential/")}
