"""Does an act on record, alone with the home or beside a running gateway.

Only one process at a time may write the log and take nonces of a credential. So a command asks the running gateway, or
else holds the home's lock until it is done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from signer.audit.archive import Archived
from signer.errors import SignerError
from signer.home.brakes import new_id
from signer.home.layout import Home
from signer.home.settings import AccountConfig, Config
from signer.model import CredentialInfo, Json
from signer.operator import reload
from signer.operator.alone import Alone, opened_alone, take_lock
from signer.operator.person import Person
from signer.operator.probing import Heard, MakeKey, ask_venue, told_by_gateway
from signer.operator.session import Session
from signer.serving.admin import ANSWER_S, BRAKE_S, ask, ask_within
from signer.serving.clock import SystemClock

MOST_REASON = 200
MOST_DETAIL = 300

Record = Callable[[Mapping[str, Json]], None]
"""Puts a command's record into the audit log, durably."""


@dataclass(slots=True)
class Operation:
    """Stands for one act while it goes on."""

    session: Session
    beside: bool
    """Whether a gateway runs."""
    detail: str = ""
    """Text for the record, beside the person, the act and its target."""
    last_stage: str = "done"
    """The stage of the last record; empty if the act itself has recorded its end."""
    must_record: bool = False
    """Whether the act is done by its last record, so that it fails without."""
    alone: Alone | None = None
    """The journal and the marks, if no gateway runs."""

    def probe(self, info: CredentialInfo, config: Config, key: MakeKey) -> Heard:
        """Ask the venue about a credential that is in force; ``key`` is used if no gateway runs."""
        if not self.beside:
            return self.try_out(info, config.accounts[info.account], key)
        told = ask(self.session.home.admin, "probe", credential=info.name)
        return Heard.of(told_by_gateway(self.session.home, info, told), info.name)

    def try_out(self, info: CredentialInfo, config: AccountConfig, key: MakeKey) -> Heard:
        """Ask the venue about a key that no gateway uses now. Raises `VenueError`."""
        return Heard.of(self.session.run(ask_venue(self.session, info, config, key)), info.name)

    def close_unknown(self, number: int, venue_ids: Sequence[str | None], reason: str) -> bool:
        """Record the end of a call whose outcome is unknown; whether there is one of that number."""
        if self.alone is not None:
            return self.alone.close_unknown(number, venue_ids, reason)
        return bool(ask(self.session.home.admin, "close", number=number, venue_ids=list(venue_ids), reason=reason))

    def record_archived(self, archived: Archived, moved: Sequence[str]) -> None:
        """Have a record vouch for the state file of these segments, durably. Raises `SignerError`."""
        if self.alone is not None:
            self.alone.record_archived(archived, moved)
        else:
            ask(self.session.home.admin, "archived", **archived.fields(), segments=list(moved))

    def take_up(self) -> None:
        """Make a running gateway read the home again. Raises `HomeError` if it does not."""
        if self.beside:
            reload.reload_running(self.session.home, self.session.person)

    def drain(self) -> None:
        """Wait until a running gateway has finished all calls that use a replaced key."""
        if self.beside:
            ask(self.session.home.admin, "drained")


@contextlib.contextmanager
def on_record(
    session: Session,
    act: str,
    reason: str = "",
    *,
    proceed_unrecorded: bool = False,
    begun: str = "",
    **whom: str,
) -> Iterator[Operation]:
    """Do ``act`` (the command's words) inside the block: recorded durably before it begins, and how it ended.

    ``whom`` is ``client``, ``account`` or ``credential``, left out if empty. ``proceed_unrecorded`` is for brakes: they
    work without a record too, with a warning. ``begun`` is the id of an act whose begin is recorded elsewhere. An end
    that cannot be recorded is a warning as well, but of `Operation.must_record`. Raises `HomeError` if the home is not
    to be had, and `AuditError` if the log takes no record: nothing was done then.
    """
    told = {"id": begun or new_id(SystemClock().now_us()), "act": act}
    told |= {key: name for key, name in whom.items() if name}
    with contextlib.ExitStack() as stack:
        record, beside, alone = _log(session, stack, proceed_unrecorded=proceed_unrecorded)
        operation = Operation(session, beside, alone=alone)
        if not begun:
            record({**told, "stage": "begun", **({"reason": reason} if reason else {})})
        try:
            yield operation
        except BaseException as error:
            _tried(record, session.person)(
                {**told, "stage": "failed", "detail": str(error)[:MOST_DETAIL] or type(error).__name__}
            )
            raise
        if operation.last_stage:
            detail = {"detail": operation.detail[:MOST_DETAIL]} if operation.detail else {}
            end = record if operation.must_record else _tried(record, session.person)
            end({**told, "stage": operation.last_stage, **detail})


def _log(
    session: Session, stack: contextlib.ExitStack, *, proceed_unrecorded: bool
) -> tuple[Record, bool, Alone | None]:
    """Return a function that writes to the home's log, whether a gateway does the writing, and else who does."""
    home, person = session.home, session.person
    try:
        lock = take_lock(home)
        if lock is None:
            beside = partial(_tell_gateway, home, BRAKE_S if proceed_unrecorded else ANSWER_S)
            return _tried(beside, person) if proceed_unrecorded else beside, True, None
        stack.callback(lock.release)
        alone = stack.enter_context(opened_alone(session))
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
    """Tell whether the warning that nothing is recorded was shown already."""


def _warn_unrecorded(error: SignerError, person: Person) -> None:
    person.warn(f"this is not in the audit log: {error}")
