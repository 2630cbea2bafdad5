"""Halts the orders of a client, an account or everybody, even if other parts are broken, and ends halts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from signer.contracts import Known
from signer.errors import ConfigError, KeyStoreError
from signer.home.brakes import read_brakes
from signer.home.layout import Home
from signer.home.settings import load_config
from signer.keys.envelope import AboutClient
from signer.keys.renewal import read_envelope
from signer.model import Halt
from signer.model.halts import resumed_by, whom
from signer.operator.braking import apply, new_brake
from signer.operator.operation import on_record
from signer.operator.reading_book import read_book, require_home
from signer.operator.session import Session
from signer.serving.admin import Operator, ask
from signer.serving.brakes import Resumed, end_halts
from signer.serving.clock import SystemClock


def halt_orders(session: Session, client: str, account: str, reason: str) -> bool:
    """Refuse orders at once: of a client, of an account, or, if both are empty, of everybody.

    Works without a key store, settings, a log, or a gateway that answers. Returns whether the halt is certain to be in
    effect, and to stay; the person is told what holds. Raises `ConfigError` if the name is known to be wrong,
    `SignerError` if no gateway serves and the halt cannot be written anywhere.
    """
    require_home(session.home)
    if account:
        _require_account(session, account)
    if client:
        _require_client(session, client)
    brake = new_brake("halt", client, account, reason)
    made = apply(session, replace(brake, reason=reason or f"by {brake.by}"))
    made.tell(session, f"Halted {whom(client, account)}; `{resumed_by(client, account)}` ends it.")
    return made.certain


def resume_orders(session: Session, client: str, account: str, reason: str, *, every: bool) -> Resumed:
    """End the halt of a client or of an account, or every halt. Raises `SignerError`."""
    home = session.home
    require_home(home)
    with on_record(session, "resume", reason, client=client, account=account) as operation:
        if operation.alone is None:
            told = ask(home.admin, "resume", client=client, account=account, every=every)
            resumed = Resumed(told["ended"], told["left"])
        else:
            by, now_us, journal = Operator.of(os.getuid()), SystemClock().now_us(), operation.alone.journal
            resumed = session.run(end_halts(home.brakes, journal, client, account, every=every, by=by, now_us=now_us))
        # The record of each end is the end itself: another one could end a halt that has begun meanwhile.
        operation.last_stage = "" if resumed.ended else "failed"
        operation.detail = no_halt(client, account)
    return resumed


def no_halt(client: str, account: str) -> str:
    """Say that there is no halt of that client or account, or, if both are empty, none at all."""
    return f"there is no halt of {whom(client, account)}" if client or account else "there is no halt"


def ways_to_resume(home: Home) -> Sequence[str]:
    """List the command that ends each operator's halt that is in force. Raises `SignerError`."""
    require_home(home)
    with read_book(home) as book:
        return [resumed_by(halt.client, halt.account) for halt in halts_in(home, book) if not halt.cure]


def halts_in(home: Home, book: Known) -> Sequence[Halt]:
    """List the halts in force: those on record, and those whose file lies in the home."""
    on_record = {(halt.client, halt.account): halt for halt in book.halts()}
    return [*(on_record | read_brakes(home.brakes).halts).values()]


def _require_account(session: Session, account: str) -> None:
    """Raises `ConfigError` unless signer.toml names ``account``."""
    home = session.home
    try:
        known = load_config(home.config).accounts
    except ConfigError as error:
        # A brake must work when other things are broken.
        session.person.warn(f"the account's name is not checked: {error}")
        return
    if account not in known:
        hint = f"known are: {', '.join(sorted(known))}"
        raise ConfigError(f"there is no account {account!r}", where=str(home.config), hint=hint)


def _require_client(session: Session, client: str) -> None:
    """Raises `ConfigError` unless the key store lists ``client``; its list of names needs no passphrase."""
    home = session.home
    try:
        entries = read_envelope(home.keys).entries
    except KeyStoreError as error:
        # A brake must work when other things are broken.
        session.person.warn(f"the client's name is not checked: {error}")
        return
    known = sorted(entry.about.name for entry in entries if isinstance(entry.about, AboutClient))
    if client not in known:
        hint = f"known are: {', '.join(known)}" if known else "there are no clients yet"
        raise ConfigError(f"there is no client {client!r}", where=str(home.keys), hint=hint)
