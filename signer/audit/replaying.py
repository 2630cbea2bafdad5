"""Makes the book at a start: the checkpoint, and the records of the log that came after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from signer.audit.archive import archived_start
from signer.audit.chain import START
from signer.audit.disk import Disk
from signer.audit.identity import log_of, lost_gap, missing_segments, unknown_gap, why_unusable
from signer.audit.tail import links_after
from signer.book.book import Book
from signer.book.folding import LogFold
from signer.contracts import Checkpoint
from signer.errors import LedgerError
from signer.model import ChainHead, Gap
from signer.model.gaps import ACCEPT, lacking, missing

VERIFY: Final = "`signer audit verify` names the place"
"""The hint for a log that lacks records."""

MOST_CLOSED: Final = 5_000
"""When so many of its orders are closed, a book that is made anew is stored, and lets them go."""


@dataclass(slots=True)
class Replayed:
    """The book as the log makes it, and how it came about."""

    fold: LogFold
    stored_seq: int
    """The record that the checkpoint stands for; 0 without one."""
    whole: bool
    """Whether there is no checkpoint to go on from."""
    known: ChainHead | None = None
    """The record that the checkpoint stood for at the start. A log that does not reach it has lost records."""
    notices: list[str] = field(default_factory=list)
    missing: Sequence[int] = ()
    """The segments that are missing before others."""

    @property
    def book(self) -> Book:
        """The book as of the last record."""
        return self.fold.book

    def told(self) -> Mapping[str, Gap | None]:
        """Return a sentence for each thing that goes on record, with the records that the book lacks by it."""
        gaps = {f"{missing(gap)}; {VERIFY}": gap for gap in self.fold.gaps}
        return {**dict.fromkeys(self.notices), **gaps}

    def warnings(self) -> Sequence[str]:
        """Return a sentence for each thing that each start says, until a person has seen to it."""
        said = [f"segment {number} of the audit log is missing or damaged; {VERIFY}" for number in self.missing]
        gaps = [Gap(first, last) for first, last in sorted(self.book.gaps)]
        return [*said, f"no order is sent: {lacking(gaps)}; {ACCEPT}"] if gaps else said


def replay(disk: Disk, folder: Path, checkpoint: Checkpoint, kept: ChainHead | None) -> Replayed:
    """Load the checkpoint and fold the rest of the log. ``kept`` is the record that the marks know. Blocks.

    A checkpoint that is damaged or of another log is put aside, and the book is made from the whole log, or from
    the state file of what was archived. `LogFold.gaps` are the records that the book lacks, and that no record names
    yet. Raises `AuditError` for a record of another format, and if it needs a state file that is missing or was
    changed.
    """
    notices: list[str] = []
    gaps: list[Gap] = []
    loaded = _loaded(disk, folder, checkpoint, notices, gaps)
    book, head = loaded or archived_start(disk, folder) or (Book(), START)
    book.log = log_of(disk, folder) or book.log
    known = None if loaded is None else head
    replayed = Replayed(LogFold(book, head), head.seq, loaded is None, known, notices)
    fold = replayed.fold
    for link in links_after(disk, folder, head.seq):
        # While a gap is on no record, a checkpoint must not stand for a record behind it.
        if len(fold.book.placed.closed) >= MOST_CLOSED and not fold.gaps:
            _spill(replayed, checkpoint)
        fold.take(link.fields, link.digest)
    fold.end(unknown_gap(disk, folder, fold.head, kept, known), *gaps)
    replayed.missing = missing_segments(disk, folder)
    return replayed


def _loaded(
    disk: Disk, folder: Path, checkpoint: Checkpoint, notices: list[str], gaps: list[Gap]
) -> tuple[Book, ChainHead] | None:
    try:
        loaded = checkpoint.load()
    except LedgerError as error:
        notices.append(f"the book is made anew from the log: {error}")
        checkpoint.discard()
        return None
    if loaded is None:
        return None
    why = why_unusable(disk, folder, loaded[1], loaded[0])
    if why:
        notices.append(f"{why}: the book is made anew")
        gaps += filter(None, [lost_gap(disk, folder, loaded[1], loaded[0])])
        checkpoint.discard()
        return None
    return loaded


def _spill(replayed: Replayed, checkpoint: Checkpoint) -> None:
    """Store the book, so that a long log does not keep all its closed orders in memory."""
    changes = replayed.book.take_changes(replayed.fold.head, whole=replayed.whole)
    try:
        checkpoint.begin(changes)
        while not checkpoint.step():
            pass
    except LedgerError as error:
        replayed.book.touch(changes)
        replayed.notices.append(f"the book's checkpoint cannot be written: {error}")
        replayed.whole, replayed.stored_seq = True, replayed.fold.head.seq
        return
    replayed.book.let_go(changes)
    replayed.whole, replayed.stored_seq = False, replayed.fold.head.seq
