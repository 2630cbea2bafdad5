"""Halts the orders of a client, an account or everybody, even if other parts are broken, and ends halts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from signer.errors import ConfigError, KeyStoreError
from signer.home.layout import Home
from signer.home.settings import load_config
from signer.keys.envelope import AboutClient
from signer.keys.renewal import read_envelope
from signer.ledger.database import resumed_by, whom
from signer.ledger.sqlite import SqliteLedger
from signer.model import Halt
from signer.operator.ledger import require_home, with_ledger
from signer.operator.operation import on_record
from signer.operator.session import Session
from signer.serving.admin import Operator
from signer.serving.clock import SystemClock


class Resumed(NamedTuple):
    """Says whom the halts were of that were ended."""

    ended: Sequence[str]
    left: Sequence[str]
    """The clients that are still halted."""


def halt_orders(session: Session, client: str, account: str, reason: str) -> None:
    """Refuse orders at once: of a client, of an account, or, if both are empty, of everybody.

    It needs no readable key store, no readable settings and no gateway. Raises `ConfigError` if the name is known to be
    wrong, `SignerError` if the ledger does not take the halt.
    """
    if account:
        _require_account(session, account)
    if client:
        _require_client(session, client)
    by = Operator.of(os.getuid()).name
    reason = reason or f"by {by}"
    placed = Halt(client, account, reason, by, SystemClock().now_us())
    # Halt first and record later: a gateway that hangs, or a full disk, must not delay the brake.
    with_ledger(session.home, lambda ledger: ledger.halt(placed))
    session.person.note(f"Halted {whom(client, account)}; `{resumed_by(client, account)}` ends it.")
    with on_record(session, "halt", reason, proceed_unrecorded=True, client=client, account=account):
        pass


def resume_orders(session: Session, client: str, account: str, reason: str, *, every: bool) -> Resumed:
    """End the halt of a client or of an account, or every halt. Raises `SignerError`."""

    async def end(ledger: SqliteLedger) -> Resumed:
        named = [(one.client, one.account) for one in await ledger.halts()] if every else [(client, account)]
        ended = [whom(*each) for each in named if await ledger.resume(*each)]
        return Resumed(ended, [whom(left.client, left.account) for left in await ledger.halts()])

    require_home(session.home)
    with on_record(session, "resume", reason, client=client, account=account) as operation:
        resumed = with_ledger(session.home, end)
        ended = f"ended: {', '.join(resumed.ended)}" if every else ""
        operation.detail = ended if resumed.ended else no_halt(client, account)
    return resumed


def no_halt(client: str, account: str) -> str:
    """Say that there is no halt of that client or account, or, if both are empty, none at all."""
    return f"there is no halt of {whom(client, account)}" if client or account else "there is no halt"


def ways_to_resume(home: Home) -> Sequence[str]:
    """List the command that ends each halt that is in force. Raises `SignerError`."""

    async def in_force(ledger: SqliteLedger) -> Sequence[str]:
        return [resumed_by(halt.client, halt.account) for halt in await ledger.halts()]

    require_home(home)
    return with_ledger(home, in_force)


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
