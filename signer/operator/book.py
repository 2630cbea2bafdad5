"""Proves the book by the log: folds every record, and compares with the checkpoint and a running gateway."""

from __future__ import annotations

from signer.audit.archive import archived_start
from signer.audit.disk import LocalDisk
from signer.audit.tail import records_after
from signer.book.compare import BookComparison, BookReport, KeptBook, ToldBook
from signer.errors import HomeError
from signer.home.layout import Home
from signer.home.lock import holder
from signer.ledger.reading import read_checkpoint
from signer.serving.admin import ask


def compare_book(home: Home) -> BookReport:
    """Fold the home's whole log and compare, beside a running gateway or not.

    A log whose beginning was archived is folded from its state file on. The checkpoint is read first and the gateway is
    asked next, so the log has both records. Raises `LedgerError`, and OSError if a segment cannot be read.
    """
    kept, told, disk = read_checkpoint(home), _told(home), LocalDisk()
    begun = archived_start(disk, home.audit)
    start = None if begun is None else KeptBook(begun[0], begun[1].seq)
    comparison = BookComparison(start, None if kept is None else KeptBook(kept[0], kept[1].seq), told)
    for record in records_after(disk, home.audit, 0 if start is None else start.seq):
        comparison.take(record)
    return comparison.report()


def _told(home: Home) -> ToldBook | None:
    """Return what a running gateway says of its book; None if none runs, or none answers."""
    running = holder(home.lock)
    if running is None or not running.serves:
        return None
    try:
        told = ask(home.admin, "book")
    except HomeError:
        return None
    return None if told is None else ToldBook(int(told["seq"]), str(told["digest"]))
