"""Proves the ledger by the log: folds every record, and compares caps, open calls, orders and halts."""

from __future__ import annotations

from signer.audit.disk import LocalDisk
from signer.audit.tail import records_after
from signer.book.compare import BookComparison, BookReport
from signer.errors import LedgerError
from signer.home.layout import Home
from signer.ledger.snapshot import take_snapshot


def compare_book(home: Home) -> BookReport:
    """Fold the home's whole log and compare it with the ledger, beside a running gateway or not.

    The ledger is read first, at one moment. Raises `LedgerError`, and OSError if a segment cannot be read.
    """
    if not home.ledger.is_file():
        raise LedgerError(
            "there is no ledger to compare with", where=str(home.ledger), hint="name the home with --home"
        )
    ledger = take_snapshot(home.ledger)
    comparison = BookComparison(ledger.book, ledger.last, ledger.head_seq)
    for record in records_after(LocalDisk(), home.audit, 0):
        comparison.take(record)
    return comparison.report()
