"""Puts a brake in force though neither the log nor the gateway answers, and says what is known of it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from signer.contracts import Known
from signer.errors import HomeBusy, HomeError, SignerError
from signer.home.brakes import Brake, file_brake, new_id, read_brakes, remove_brake
from signer.home.layout import Home
from signer.home.lock import Holder, holder
from signer.model import HaltScope, HaltState
from signer.operator.alone import opened_alone, take_lock
from signer.operator.reading_book import read_book
from signer.operator.session import Session
from signer.serving.admin import Operator, ask_within
from signer.serving.brakes import record_brake
from signer.serving.clock import SystemClock

CONFIRM_S = 3.0
"""How long a brake waits for the gateway to confirm that it is in force."""
LEAST_S = 1.0
"""How long the file of a brake is waited for at least, when the gateway has been waited for."""
NO_DISK = "the disk does not answer"


@dataclass(slots=True)
class Braking:
    """What is known of one brake."""

    brake: Brake
    filed: bool = False
    """Whether its file is in the home, which every gateway honours."""
    gateway: Holder | None = None
    """The gateway that serves; None if none does."""
    confirmed: bool = False
    """Whether that gateway says that the brake is in force."""
    recorded: bool = False
    """Whether the log has it."""
    why: str = ""
    """Why it is not on record, or not confirmed."""

    @property
    def in_effect(self) -> bool:
        """Whether it is certain that no call passes that it means to stop."""
        return self.confirmed or (self.gateway is None and self.outlives)

    @property
    def outlives(self) -> bool:
        """Whether it holds over a restart of the gateway."""
        return self.filed or self.recorded

    @property
    def certain(self) -> bool:
        """Whether it is in effect and stays so."""
        return self.in_effect and self.outlives

    def tell(self, session: Session, done: str) -> None:
        """Tell the person what holds; ``done`` says it for a brake that is in effect."""
        person = session.person
        if self.in_effect:
            person.note(done)
        else:
            assert self.gateway is not None  # noqa: S101 - for the type checker
            pid = self.gateway.pid
            then = "it takes the brake up when it runs again" if self.outlives else "the brake is written NOWHERE"
            person.warn(
                f"THE BOT MAY STILL TRADE: the gateway (process {pid}) has not confirmed within {CONFIRM_S:.0f} s"
                f" ({self.why}); {then}; to be sure, end it (SIGKILL to the process and its workers)"
            )
        if self.in_effect and not self.outlives:
            person.warn(f"in effect in memory only, so a restart of the gateway ends it: {self.why}")
        elif self.in_effect and not self.recorded:
            person.warn(f"in effect, not on record: {self.why}; it is recorded as soon as it can be")


def new_brake(
    act: Literal["halt", "revoke"],
    scope: HaltScope,
    reason: str,
    *,
    state: HaltState = "halted",
    clients: Sequence[str] = (),
) -> Brake:
    """Make a brake of the person who runs this process, now. ``clients`` are those of its group."""
    me, now_us = Operator.of(os.getuid()), SystemClock().now_us()
    made = Brake(new_id(now_us), act, scope.client, scope.account, reason, me.name, me.uid, now_us)
    return replace(made, group=scope.group, pair=scope.pair, state=state, clients=tuple(clients))


def apply(session: Session, brake: Brake) -> Braking:
    """Put the brake in force by every way that there is: a file, the running gateway's memory, a record in the log.

    Raises `SignerError` if neither a file nor a record can be written and no gateway serves.
    """
    made = Braking(brake)
    filing = _Filing(session.home, brake)
    running = holder(session.home.lock)
    if running is not None and running.serves:
        _ask_gateway(made, session.home, running)
    filing.settle(made)
    if running is None:
        _record_alone(made, session)
    elif not running.serves:
        _leave_to_gateway(made, f"process {running.pid} starts a gateway or changes the home")
    return made


def revoked_in(home: Home, book: Known) -> Mapping[str, int]:
    """Return when each client was revoked: on record, or by a file that lies in the home."""
    on_record, filed = book.revoked(), read_brakes(home.brakes).revoked
    return {name: max(times.get(name, 0) for times in (on_record, filed)) for name in {*on_record, *filed}}


def revoked_clients(home: Home) -> Mapping[str, int]:
    """Return when each client was revoked. Raises `AuditError` or `LedgerError` if the book does not read."""
    with read_book(home) as book:
        return revoked_in(home, book)


class _Filing:
    """Writes the file of a brake on a thread of its own: a disk that hangs must not delay the brake."""

    def __init__(self, home: Home, brake: Brake) -> None:
        self._home, self._brake = home, brake
        self._error: SignerError | None = HomeError(NO_DISK, where=str(home.brakes))
        self._until = time.monotonic() + CONFIRM_S
        self._thread = threading.Thread(target=self._file, daemon=True)
        self._thread.start()

    def _file(self) -> None:
        try:
            file_brake(self._home.brakes, self._brake)
        except SignerError as error:
            self._error = error
        else:
            self._error = None

    def settle(self, made: Braking) -> None:
        """Wait for the file, and tell whether it is there."""
        self._thread.join(max(LEAST_S, self._until - time.monotonic()))
        made.filed = self._error is None
        if self._error is not None:
            made.why = made.why or str(self._error)


def _ask_gateway(made: Braking, home: Home, running: Holder) -> None:
    made.gateway = running
    try:
        told = ask_within(CONFIRM_S, home.admin, "brake", brake=asdict(made.brake))
    except SignerError as error:
        made.why = str(error)
    else:
        made.confirmed, made.recorded = True, bool(told["recorded"])
        made.why = "" if made.recorded else "the gateway could not record it yet; see its log"


def _leave_to_gateway(made: Braking, what: str) -> None:
    """Leave the record to a gateway that starts, which honours the file. Raises `HomeBusy` if there is no file."""
    if not made.filed:
        raise HomeBusy(f"the brake is written nowhere: {made.why}, and {what}", hint="repeat this")
    made.why = made.why or what


def _record_alone(made: Braking, session: Session) -> None:
    """Record the brake, and those that wait, while no gateway runs.

    Raises `SignerError` if that cannot be, and the brake has no file either.
    """
    try:
        lock = take_lock(session.home)
        if lock is None:
            _leave_to_gateway(made, "a gateway has just started, which records it")
            return
        try:
            _record_all(made, session)
        finally:
            lock.release()
    except SignerError as error:
        if not made.outlives:
            raise
        made.why = str(error)


def _record_all(made: Braking, session: Session) -> None:
    home = session.home
    with opened_alone(session) as alone:
        for each in {made.brake.id: made.brake, **read_brakes(home.brakes).brakes}.values():
            session.run(record_brake(each, alone.journal, SystemClock().now_us()))
            made.recorded = made.recorded or each.id == made.brake.id
            remove_brake(home.brakes, each.id)
