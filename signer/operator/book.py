"""Proves the book by the log: folds every record, and compares with the checkpoint and with a running gateway."""

from __future__ import annotations

from collections.abc import Callable

from signer.audit.archive import archived_start
from signer.audit.chain import START
from signer.audit.disk import LocalDisk
from signer.audit.tail import found, records_after
from signer.book.book import Book
from signer.book.compare import BookComparison, BookReport
from signer.errors import AuditError, SignerError
from signer.home.layout import Home
from signer.home.lock import holder
from signer.ledger.reading import read_checkpoint
from signer.model import ChainHead
from signer.serving.admin import ask


def compare_book(home: Home) -> BookReport:
    """Fold the home's whole log and compare the book, beside a running gateway or not.

    Checkpoint and gateway are read before the log, which so reaches both. Raises `LedgerError` if the checkpoint cannot
    be read, `AuditError` for a record of another format, and OSError if a segment cannot be read.
    """
    notes: list[str] = []
    checkpoint, gateway = _checkpoint(home, notes.append), _ask_gateway(home, notes.append)
    disk = LocalDisk()
    try:
        start = archived_start(disk, home.audit) or (Book(), START)
    except AuditError as error:
        return BookReport(differences=[str(error)], notes=notes)
    comparison = BookComparison(start, checkpoint, gateway)
    for record in records_after(disk, home.audit, start[1].seq):
        comparison.take(record)
    report = comparison.report()
    report.notes += notes
    if checkpoint is not None and found(disk, home.audit, checkpoint[1]) is False:
        report.differences.append(f"record {checkpoint[1].seq} is not the one that the checkpoint stands for")
    return report


def _checkpoint(home: Home, note: Callable[[str], None]) -> tuple[Book, ChainHead] | None:
    """Return the checkpoint's book and its record, if there is one."""
    checkpoint = read_checkpoint(home)
    if checkpoint is None:
        note("there is no checkpoint to compare with; the gateway makes it")
    return checkpoint


def _ask_gateway(home: Home, note: Callable[[str], None]) -> tuple[int, str] | None:
    """Return the record and digest at which a running gateway's book was at rest."""
    running = holder(home.lock)
    if running is None or not running.serves:
        note("no gateway was asked, because none runs on this home")
        return None
    try:
        told = ask(home.admin, "book")
    except SignerError as error:
        note(f"no gateway was asked: {error}")
        return None
    if told is None:
        note("the gateway's book was not compared: it was at work at every moment; try again")
        return None
    return int(told["seq"]), str(told["digest"])
