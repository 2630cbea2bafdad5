"""What a person does to clients: issue, rotate, update and forgive their virtual credentials, each on record."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from signer.contracts import Marks
from signer.errors import AuditError, ConfigError, KeyStoreError, LedgerError
from signer.gateway.replay import FORGIVEN, highest_of, name_of
from signer.gateway.snapshot import AT_ONCE
from signer.home.layout import Home
from signer.home.settings import Config, load_config
from signer.keys.entries import ClientChange
from signer.keys.file import FileKeyStore
from signer.keys.issue import ApiKeySecret
from signer.model import ClientInfo, Network
from signer.operator.braking import revoked_clients
from signer.operator.judging import warn_of_lacking
from signer.operator.moments import utc
from signer.operator.opening import open_store, require_account
from signer.operator.operation import on_record
from signer.operator.reading_book import with_marks
from signer.operator.reload import take_up
from signer.operator.session import Session
from signer.operator.taking_back import TakingBack
from signer.secret import fingerprint
from signer.serving.clock import SystemClock
from signer.serving.loaded import policies_of, venues_of

HandOver = contextlib.AbstractContextManager[None]
"""Gives the bot its credential when the block that stores it ends without an error."""


@dataclass(frozen=True, slots=True)
class NewClient:
    """Describes a new client."""

    name: str
    account: str
    policy: str
    sources: tuple[Network, ...] = ()
    """Where it may call from; anywhere if empty."""
    expires_us: int | None = None
    """The time from which it is refused, in microseconds since the epoch; None is never."""
    nonces: Literal["window", "strict"] = "window"


def list_clients(session: Session) -> tuple[Sequence[ClientInfo], Sequence[ClientInfo]]:
    """List the clients, revoked ones included, and the former credentials that still pass."""
    store, now_us = open_store(session), SystemClock().now_us()
    revoked = _revoked(session)
    clients = [replace(info, revoked=info.revoked or _is_over(info, revoked)) for info in store.clients()]
    over = {info.name for info in clients if info.revoked}
    former = [info for info in store.former() if info.name not in over and (info.expires_us or 0) > now_us]
    return clients, former


def _revoked(session: Session) -> Mapping[str, int]:
    try:
        return revoked_clients(session.home)
    except (AuditError, LedgerError) as error:
        session.person.warn(f"which clients were revoked is told from the key store alone: {error}")
        return {}


def _is_over(info: ClientInfo, revoked: Mapping[str, int]) -> bool:
    """Tell whether the client was revoked after it was made, whatever the key store says."""
    return info.name in revoked and info.created_us <= revoked[info.name]


def require_policy(home: Home, policy: str, account: str) -> None:
    """Raises `ConfigError` unless the home has a policy file of that name, which is not for another venue."""
    files = sorted(home.policies.glob("*.toml"))
    known = [file.stem for file in files if not file.stem.endswith(".cases")]
    if policy not in known:
        hint = f"write {policy}.toml there; known are: {', '.join(known) or 'none'}"
        raise ConfigError(f"there is no policy {policy!r}", where=str(home.policies), hint=hint)
    config = load_config(home.config)
    if len(config.venues) > 1:
        _require_venue(home, config, policy, account)


def _require_venue(home: Home, config: Config, policy: str, account: str) -> None:
    """Raises `ConfigError` if the policy is for another venue than that of the account; one that is broken may be."""
    loaded, venue = policies_of(home, venues_of(home, config)).policies.get(policy), config.venue_of(account)
    if loaded is not None and loaded.words.venue != venue:
        what = f"policy {policy} is for {loaded.words.venue}, and account {account} is at {venue}"
        raise ConfigError(what, where=str(home.policies / f"{policy}.toml"), hint=f"name a policy for {venue}")


def add_client(
    session: Session, store: FileKeyStore, client: NewClient, credential: ApiKeySecret, hand_over: HandOver, reason: str
) -> None:
    """Store a client and its virtual credential. Raises `SignerError`."""
    config = require_account(session.home, client.account)
    known_by = fingerprint(credential.api_key)
    with on_record(session, "clients add", reason, client=client.name) as operation, hand_over:
        operation.detail = f"account {client.account}, policy {client.policy}, fingerprint {known_by}"
        store.add_client(
            client.name,
            client.account,
            client.policy,
            *credential,
            created_us=max(SystemClock().now_us(), revoked_clients(session.home).get(client.name, 0) + 1),
            sources=client.sources,
            expires_us=client.expires_us,
            nonces=client.nonces,
        )
    _confirm(
        session, f"Added client {client.name} of account {client.account} under policy {client.policy}", credential
    )
    take_up(session, f"client {client.name}")
    warn_of_lacking(session, config, store, client.account, client.policy)


def rotate_client(
    session: Session,
    name: str,
    credential: ApiKeySecret,
    hand_over: HandOver,
    *,
    overlap_us: int | None,
    reason: str,
) -> bool:
    """Give a client another virtual credential; the old one passes for ``overlap_us`` more, or not at all.

    Returns whether it is certain that the old one is refused then. Raises `SignerError`.
    """
    store = open_store(session)
    _require_not_over(session, store, name)
    old = [info.api_key for info in store.clients() if info.name == name]
    older = [info.api_key for info in store.former() if info.name == name]
    with on_record(session, "clients rotate", reason, client=name) as operation, hand_over:
        now_us = SystemClock().now_us()
        until_us = None if overlap_us is None else now_us + overlap_us
        passes = "" if until_us is None else f", the old one passes until {utc(until_us)}"
        operation.detail = f"fingerprint {fingerprint(credential.api_key)}{passes}"
        store.rotate_client(name, *credential, created_us=now_us, old_until_us=until_us)
    taking = TakingBack(session, name)
    taking.tell_gateway(dict.fromkeys(older, AT_ONCE) | dict.fromkeys(old, until_us or AT_ONCE))
    _confirm(session, f"Rotated client {name}{passes}", credential)
    if not taking.confirmed:
        return taking.settle()
    take_up(session, f"the new credential of {name}")
    return True


def _require_not_over(session: Session, store: FileKeyStore, name: str) -> None:
    """Raise `KeyStoreError` for a client that was revoked, though an older key store was put back since."""
    revoked = revoked_clients(session.home)
    if any(info.name == name and _is_over(info, revoked) for info in store.clients()):
        hint = f"`signer clients revoke {name}` once more, then `signer clients add {name} …` issues a new credential"
        raise KeyStoreError(f"client {name!r} is revoked", where=str(session.home.audit), hint=hint)


def update_client(session: Session, name: str, changes: ClientChange, *, reason: str) -> None:
    """Change what a client may do, from where or until when. Its credential stays. Raises `SignerError`."""
    store = open_store(session)
    with on_record(session, "clients update", reason, client=name) as operation:
        operation.detail = ", ".join(f"{key} {_shown(value)}" for key, value in changes.items())
        store.update_client(name, **changes)
    session.person.note(f"Updated client {name}.")
    take_up(session, f"the update of {name}")


def forgive_client(session: Session, name: str, *, reason: str) -> None:
    """Let a client whose nonces are strict go on with lower nonces in another unit.

    Raises `ConfigError` if there is no such client.
    """
    known = {info.name: info for info in open_store(session).clients()}
    if name not in known:
        hint = f"known are: {', '.join(known) or 'none'}"
        raise ConfigError(f"there is no client {name!r}", where=str(session.home.keys), hint=hint)
    client = known[name]
    if client.nonces != "strict":
        text = f"{name} counts each unit of its nonces apart, so none locks out another; nothing is to be forgiven."
        session.person.say(f"{text} To begin anew in the same unit: `signer clients rotate {name}`.")
        return
    prefix = name_of(client.name, client.fingerprint)
    with on_record(session, "clients forgive", reason, client=name) as operation:
        highest = with_marks(session.home, lambda marks: _forgiven(marks, prefix))
        operation.detail = f"nonces up to {highest} count in their own unit only"
    session.person.say(
        f"Forgave client {name}: its next nonce may be lower than {highest}, in a unit of another length."
    )
    take_up(session, f"what {name} is forgiven")


async def _forgiven(marks: Marks, prefix: str) -> int:
    highest = highest_of(prefix, await marks.marks())
    await marks.raise_mark(f"{prefix}/{FORGIVEN}", highest)
    return highest


def _confirm(session: Session, done: str, credential: ApiKeySecret) -> None:
    """Tell it as a note, because the command's only result is the bot's environment file."""
    credential.secret.wipe()
    session.person.note(f"{done} (fingerprint {fingerprint(credential.api_key)}).")


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "any"
    return "never" if value is None else utc(value) if isinstance(value, int) else str(value)
