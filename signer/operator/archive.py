"""Moves the oldest segments of the log to another folder, on record."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from signer.audit.archive import state_name
from signer.audit.disk import LocalDisk
from signer.audit.moving import SegmentMove, copy_segments, plan_move, remove_segments
from signer.audit.tail import found
from signer.errors import AuditError
from signer.home.layout import Home
from signer.ledger.reading import read_checkpoint
from signer.operator.operation import on_record
from signer.operator.session import Session

ACT = "audit archive"


def archive(session: Session, before_us: int, to: Path, reason: str) -> bool:
    """Move the segments whose records are all from before that time to the folder ``to``, beside a gateway or not.

    The person is told what was moved and why the next segment stays. Returns whether anything was moved. Raises
    `SignerError`; then the log has all that it had, and the act can be done again.
    """
    home, disk = session.home, LocalDisk()
    _require_outside(home, to)
    with _said(home.audit, "cannot be read"):
        move = plan_move(disk, home.audit, before_us, _checkpoint_seq(home))
    if not isinstance(move, SegmentMove):
        session.person.say(f"Nothing is archived: {move}.")
        return False
    with on_record(session, ACT, reason) as operation:
        operation.detail = _span(move)
        with _said(to, "cannot be written", hint="name a folder that this user may write to, with enough space"):
            copy_segments(disk, home.audit, move, to)
        if not move.is_recorded:
            operation.record_archived(move.state.archived(), move.names)
        with _said(home.audit, "a segment cannot be removed", hint="do the same again, which goes on where it stopped"):
            remove_segments(disk, home.audit, move)
    _tell(session, move, to)
    return True


def _tell(session: Session, move: SegmentMove, to: Path) -> None:
    head = move.state.head
    session.person.say(f"Archived {_span(move)} to {to}.")
    session.person.say(f"{state_name(head.seq)} stands for them; `signer audit verify {to}` proves them.")
    session.person.say(f"head {head.seq}:{head.digest}")
    session.person.note(f"The next one stays: {move.rest}.")


def _span(move: SegmentMove) -> str:
    first, last = move.names[0], move.names[-1]
    named = first if first == last else f"{first} to {last}"
    return f"{named} (records {move.first.seq} to {move.last.seq})"


def _checkpoint_seq(home: Home) -> int:
    """Return the record that the checkpoint stands for; 0 without one of this log. Raises `LedgerError`."""
    checkpoint = read_checkpoint(home)
    if checkpoint is None or not found(LocalDisk(), home.audit, checkpoint[1]):
        return 0
    return checkpoint[1].seq


def _require_outside(home: Home, to: Path) -> None:
    """Raises `AuditError` if ``to`` is, or lies in, the home or the log's folder, or is no folder."""
    inside = (home.folder.resolve(), home.audit.resolve())
    if any(to.resolve().is_relative_to(folder) for folder in inside):
        hint = "name a folder elsewhere, best on another disk"
        raise AuditError("an archive must not lie in the home", where=str(to), hint=hint)
    if to.exists() and not to.is_dir():
        raise AuditError("this is no folder", where=str(to), hint="name a folder; it is made if it is missing")


@contextlib.contextmanager
def _said(where: Path, what: str, hint: str = "see that this user may read it") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AuditError(f"{what}: {error.strerror}", where=str(error.filename or where), hint=hint) from error
