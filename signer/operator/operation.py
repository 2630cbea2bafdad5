"""What an operator does to a home, on the record: alone with it, or beside the gateway that runs on it.

Only one process at a time writes the audit chain and takes nonces of a credential. So a command asks the gateway if one
runs, and else holds the home's lock until it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from signer.audit import close_audit, open_audit
from signer.audit.log import FileAuditLog
from signer.contracts import SigningKey
from signer.errors import HomeError, SignerError
from signer.gateway import open_account
from signer.gateway.accounts import KeyStates
from signer.gateway.credential import Listeners
from signer.gateway.reconcile.by_hand import record_by_hand
from signer.gateway.trace import operator_record
from signer.home.layout import Home
from signer.home.lock import NOTHING_YET, Holder, HomeLock, holder
from signer.home.settings import AccountConfig, Config
from signer.keycheck.probe import ProbeResult, known, probe
from signer.keys.probes import Probe, keep_probe, kept_probe
from signer.ledger import open_ledger
from signer.ledger.sqlite import SqliteLedger
from signer.model import CredentialInfo, Json, KeyInfo
from signer.operator import reload
from signer.operator.person import Person
from signer.operator.session import Session
from signer.secret import fingerprint
from signer.serving.admin import ANSWER_S, BRAKE_S, Operator, ask, ask_within
from signer.serving.clock import SystemClock
from signer.upstream import UpstreamPool
from signer.venues import open_venue

BUSY_S = 10.0
LOOK_EVERY_S = 0.05
MOST_REASON = 200
MOST_DETAIL = 300

Record = Callable[[Mapping[str, Json]], None]
"""Puts what a command says of itself into the audit log, durably."""

MakeKey = Callable[[], Awaitable[SigningKey]]
"""Fetches the handle of a credential from wherever its secret lives; awaited in the event loop that will use it."""


Ask = Callable[[CredentialInfo, Config, SigningKey | None], Awaitable[ProbeResult]]
"""Asks the venue what a credential may do; its key is used if no gateway runs. Raises `SignerError`."""


class Heard(NamedTuple):
    """What the venue said of a key."""

    key: KeyInfo
    moved: bool
    """Whether its nonce moved without us."""

    @classmethod
    def of(cls, asked: ProbeResult, name: str) -> Heard:
        """What ``asked`` says of the key of credential ``name``. Raises `VenueError` if that is nothing."""
        return cls(known(asked, name), asked.moved)


@dataclass(slots=True)
class Operation:
    """One act of an operator while it goes on."""

    session: Session
    beside: bool
    """Whether a gateway runs."""
    detail: str = ""
    """What the log should say beyond who did what to whom."""
    alone: _Alone | None = None
    """The ledger and the log, if no gateway runs."""

    def probe(self, info: CredentialInfo, config: Config, key: MakeKey) -> Heard:
        """What the venue says of a credential that is in force. ``key`` is used if no gateway runs."""
        if not self.beside:
            return self.try_out(info, config.accounts[info.account], key)
        told = ask(self.session.home.admin, "probe", credential=info.name)
        return Heard.of(_kept(self.session.home, info, told), info.name)

    def try_out(self, info: CredentialInfo, config: AccountConfig, key: MakeKey) -> Heard:
        """What the venue says of a key that no gateway uses now. Raises `VenueError`."""
        return Heard.of(self.session.run(_heard(self.session, info, config, key)), info.name)

    def close_unknown(self, number: int, venue_ids: Sequence[str | None], reason: str) -> bool:
        """Settle or release a call whose outcome is unknown; whether there is one of that number."""
        if self.alone is not None:
            return self.alone.close_unknown(number, venue_ids, reason)
        return bool(ask(self.session.home.admin, "close", number=number, venue_ids=list(venue_ids), reason=reason))

    def take_up(self) -> None:
        """Have the gateway read the home again, if one runs. Raises `HomeError` if it does not."""
        if self.beside:
            reload.reload_running(self.session.home, self.session.person)

    def drain(self) -> None:
        """Wait until the gateway, if one runs, uses no key that it has let go of."""
        if self.beside:
            ask(self.session.home.admin, "drained")


@contextlib.contextmanager
def on_record(
    session: Session, act: str, reason: str = "", *, proceed_unrecorded: bool = False, **whom: str
) -> Iterator[Operation]:
    """Do ``act`` (the command's words) inside the block: recorded durably before it begins, and how it ended.

    ``whom`` is ``client``, ``account`` or ``credential``, left out if empty. ``proceed_unrecorded`` is for brakes: they
    work without a record too, with a warning. An end that cannot be recorded is a warning as well. Raises `HomeError`
    if the home is not to be had, and `AuditError` if the log takes no record: nothing was done then.
    """
    told = {"id": f"{SystemClock().now_us():014x}{secrets.token_hex(4)}", "act": act}
    told |= {key: name for key, name in whom.items() if name}
    with contextlib.ExitStack() as stack:
        record, beside, alone = _log(session, stack, proceed_unrecorded=proceed_unrecorded)
        operation = Operation(session, beside, alone=alone)
        record({**told, "stage": "begun", **({"reason": reason} if reason else {})})
        try:
            yield operation
        except BaseException as error:
            _tried(record, session.person)(
                {**told, "stage": "failed", "detail": str(error)[:MOST_DETAIL] or type(error).__name__}
            )
            raise
        _tried(record, session.person)(
            {**told, "stage": "done", **({"detail": operation.detail[:MOST_DETAIL]} if operation.detail else {})}
        )


@contextlib.asynccontextmanager
async def asking(session: Session) -> AsyncIterator[Ask]:
    """What asks the venue about credentials without putting it on record: through the gateway that runs, or alone.

    Raises `HomeError` if the home is not to be had.
    """
    home = session.home
    lock = await asyncio.to_thread(_lock, home)

    async def beside(info: CredentialInfo, _config: Config, _key: SigningKey | None) -> ProbeResult:
        # A key that the venue refuses is not tried anew: whoever has this run daily would lock the account.
        told = await asyncio.to_thread(ask, home.admin, "probe", credential=info.name, even_if_stopped=False)
        return _kept(home, info, told)

    async def alone(info: CredentialInfo, config: Config, key: SigningKey | None) -> ProbeResult:
        if key is None:
            raise HomeError("the gateway that ran is gone", where=str(home.folder), hint="try again")
        return await _heard(session, info, config.accounts[info.account], lambda: _given(key))

    try:
        yield beside if lock is None else alone
    finally:
        if lock is not None:
            lock.release()


def _log(
    session: Session, stack: contextlib.ExitStack, *, proceed_unrecorded: bool
) -> tuple[Record, bool, _Alone | None]:
    """What puts a record into the home's audit log, whether a gateway does it, and who does it otherwise."""
    home, person = session.home, session.person
    try:
        lock = _lock(home)
        if lock is None:
            beside = partial(_tell_gateway, home, BRAKE_S if proceed_unrecorded else ANSWER_S)
            return _tried(beside, person) if proceed_unrecorded else beside, True, None
        stack.callback(lock.release)
        alone = stack.enter_context(_opened_alone(session))
        return _tried(alone.record, person) if proceed_unrecorded else alone.record, False, alone
    except SignerError as error:
        if not proceed_unrecorded:
            raise
        _warn_unrecorded(error, person)
        return _warned, False, None


def _tell_gateway(home: Home, within_s: float, told: Mapping[str, Json]) -> None:
    ask_within(within_s, home.admin, "record", **told)


def _tried(record: Record, person: Person) -> Record:
    def tried(told: Mapping[str, Json]) -> None:
        try:
            record(told)
        except SignerError as error:
            _warn_unrecorded(error, person)

    return tried


def _warned(_: Mapping[str, Json]) -> None:
    """Whether it has been said already that nothing is recorded."""


def _warn_unrecorded(error: SignerError, person: Person) -> None:
    person.warn(f"this is not in the audit log: {error}")


@dataclass(frozen=True, slots=True)
class _Alone:
    """The home's ledger and audit log, opened by the act itself."""

    session: Session
    ledger: SqliteLedger
    log: FileAuditLog

    def record(self, told: Mapping[str, Json]) -> None:
        me = Operator.of(os.getuid())
        self.session.run(self.log.record(operator_record(me.uid, me.name, told, SystemClock().now_us())))

    def close_unknown(self, number: int, venue_ids: Sequence[str | None], reason: str) -> bool:
        return self.session.run(self._close_unknown(number, venue_ids, reason))

    async def _close_unknown(self, number: int, venue_ids: Sequence[str | None], reason: str) -> bool:
        me, now_us = Operator.of(os.getuid()), SystemClock().now_us()
        for one in await self.ledger.open_intents():
            if one.reservation == number:
                await record_by_hand(self.ledger, self.log, one, venue_ids, me.name, me.uid, reason, now_us)
                return True
        return False


@contextlib.contextmanager
def _opened_alone(session: Session) -> Iterator[_Alone]:
    ledger = session.run(open_ledger(session.home, SystemClock()))
    try:
        log = session.run(open_audit(session.home, ledger, SystemClock(), session.person.warn))
        try:
            yield _Alone(session, ledger, log)
        finally:
            session.run(close_audit(log, ledger))
    finally:
        session.run(ledger.close())


async def _given(key: SigningKey) -> SigningKey:
    return key


def _kept(home: Home, info: CredentialInfo, told: Any) -> ProbeResult:
    """What the gateway heard just now, as it says and keeps it."""
    if not told["heard"]:
        return ProbeResult(None, moved=True)
    kept = kept_probe(home.probes, info.fingerprint)
    if kept is None:
        raise HomeError("the gateway knows another key", where=info.name, hint="run `signer reload`")
    return ProbeResult(kept.key, bool(told["moved"]))


async def _heard(session: Session, info: CredentialInfo, config: AccountConfig, key: MakeKey) -> ProbeResult:
    """What the venue says of a key, kept for lists. Raises `VenueError`."""
    asked = await _asked(session, info, config, key)
    if asked.key is not None:
        keep_probe(session.home.probes, fingerprint(info.api_key), Probe(SystemClock().now_us(), asked.key))
    return asked


async def _asked(session: Session, info: CredentialInfo, config: AccountConfig, key: MakeKey) -> ProbeResult:
    """Nonces go on from the ledger's mark and raise it, so that the gateway's go on above them."""
    clock, upstream = SystemClock(), UpstreamPool.open(config.origin, addresses=config.resolve)
    ledger = await open_ledger(session.home, clock)
    try:
        venue = open_venue(config.venue)
        states = KeyStates(ledger, clock, Listeners(lambda _kind, text: session.person.warn(text)))
        marks = await ledger.marks()
        account = open_account(info.account, config, venue, [(info, await key())], upstream, states, marks)
        return await probe(account, venue, account.credentials[0])
    finally:
        upstream.close()
        await ledger.close()


def _lock(home: Home) -> HomeLock | None:
    """The home's lock, or None if a gateway serves on it. Another command, or a start, is waited for."""
    until = time.monotonic() + BUSY_S
    while True:
        running = holder(home.lock)
        if running is not None and running.serves:
            return None
        try:
            lock = HomeLock(home.lock)
        except HomeError:
            if time.monotonic() >= until:
                raise
            time.sleep(LOOK_EVERY_S)
        else:
            lock.announce(Holder(os.getpid(), SystemClock().now_us(), NOTHING_YET))
            return lock
