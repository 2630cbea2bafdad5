"""Makes the book at a start: the checkpoint, and the records of the log that came after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from signer.audit.archive import archived_start, was_archived
from signer.audit.chain import START
from signer.audit.disk import Disk
from signer.audit.tail import found, records_after
from signer.book.book import Book
from signer.contracts import Checkpoint
from signer.errors import LedgerError
from signer.model import ChainHead

VERIFY: Final = "`signer audit verify` names the place"
"""The hint for a log that lacks records."""

SPILL_EVERY: Final = 10_000
"""After so many records, a book that is made anew is stored, and lets its closed orders go."""


@dataclass(slots=True)
class Replayed:
    """The book as the log makes it, and how it came about."""

    book: Book
    stored_seq: int
    """The record that the checkpoint stands for; 0 without one."""
    last_seq: int
    whole: bool
    """Whether there is no checkpoint to go on from."""
    known: ChainHead | None = None
    """The record that the checkpoint stood for at the start. A log that does not reach it has lost records."""
    notices: list[str] = field(default_factory=list)


def replay(disk: Disk, folder: Path, checkpoint: Checkpoint) -> Replayed:
    """Load the checkpoint and fold the rest of the log. Blocks.

    A checkpoint that is damaged or of another log is put aside, and the book is made from the whole log, or from
    the state file of what was archived. Raises `AuditError` for a record of another format, and if it needs a state
    file that is missing or was changed.
    """
    notices: list[str] = []
    loaded = _loaded(disk, folder, checkpoint, notices)
    book, head = loaded or archived_start(disk, folder) or (Book(), START)
    replayed = Replayed(book, head.seq, head.seq, loaded is None, None if loaded is None else head, notices)
    for record in records_after(disk, folder, head.seq):
        seq = record["seq"]
        assert isinstance(seq, int)  # noqa: S101 - a sound record has it
        if replayed.last_seq - replayed.stored_seq >= SPILL_EVERY and seq == replayed.last_seq + 1:
            _spill(replayed, checkpoint, str(record["prev"]))
        if seq != replayed.last_seq + 1:
            what = f"records {replayed.last_seq + 1} to {seq - 1} are missing, and the book lacks them"
            notices.append(f"{what}; {VERIFY}")
        book.apply(record)
        replayed.last_seq = seq
    return replayed


def _loaded(disk: Disk, folder: Path, checkpoint: Checkpoint, notices: list[str]) -> tuple[Book, ChainHead] | None:
    try:
        loaded = checkpoint.load()
    except LedgerError as error:
        notices.append(f"the book is made anew from the log: {error}")
        checkpoint.discard()
        return None
    if loaded is None:
        return None
    seq, why = loaded[1].seq, ""
    if found(disk, folder, loaded[1]) is False:
        why = f"the checkpoint is of another log at record {seq}"
    elif was_archived(disk, folder, seq + 1):
        why = f"the checkpoint stands for record {seq}, and the records after it were archived"
    if why:
        notices.append(f"{why}: the book is made anew")
        checkpoint.discard()
        return None
    return loaded


def _spill(replayed: Replayed, checkpoint: Checkpoint, digest: str) -> None:
    """Store the book, so that a long log does not keep all its closed orders in memory."""
    changes = replayed.book.take_changes(ChainHead(replayed.last_seq, digest), whole=replayed.whole)
    try:
        checkpoint.begin(changes)
        while not checkpoint.step():
            pass
    except LedgerError as error:
        replayed.book.touch(changes)
        replayed.notices.append(f"the book's checkpoint cannot be written: {error}")
        replayed.whole, replayed.stored_seq = True, replayed.last_seq
        return
    replayed.book.let_go(changes)
    replayed.whole, replayed.stored_seq = False, replayed.last_seq
