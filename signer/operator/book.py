"""Proves the book by the log: folds every record, and compares with the checkpoint and with a running gateway."""

from __future__ import annotations

from collections.abc import Callable

from signer.audit.chain import START
from signer.audit.log_reader import LogReader
from signer.book.book import Book
from signer.book.compare import BookComparison, BookReport
from signer.errors import AuditError, LedgerError, SignerError
from signer.home.layout import Home
from signer.home.lock import holder
from signer.ledger.reading import read_checkpoint
from signer.model import ChainHead
from signer.serving.admin import ask


def compare_book(home: Home) -> BookReport:
    """Fold the home's whole log and compare the book, beside a running gateway or not.

    Checkpoint and gateway are read before the log, which so reaches both. A checkpoint that does not read is named, and
    the log is folded all the same. Raises `AuditError` for a record of another format, and OSError if a segment cannot
    be read.
    """
    told = BookReport()
    checkpoint, gateway = _checkpoint(home, told), _ask_gateway(home, told.notes.append)
    log = LogReader(home.audit)
    try:
        start = log.start() or (Book(), START)
    except AuditError as error:
        told.differences.append(str(error))
        return told
    comparison = BookComparison(start, checkpoint, gateway)
    for record, digest in log.records_after(start[1].seq):
        comparison.take(record, digest)
    report = comparison.report()
    report.notes, report.unread = [*report.notes, *told.notes], told.unread
    why = "" if checkpoint is None else log.why_unusable(checkpoint[1], checkpoint[0])
    report.differences += [why] if why else []
    return report


def _checkpoint(home: Home, told: BookReport) -> tuple[Book, ChainHead] | None:
    """Return the checkpoint's book and its record, if there is one that reads."""
    try:
        checkpoint = read_checkpoint(home)
    except LedgerError as error:
        told.unread = str(error)
        return None
    if checkpoint is None:
        told.notes.append("there is no checkpoint to compare with; the gateway makes it")
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
