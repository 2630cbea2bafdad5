"""Accepts on a person's word that the book lacks records."""

from __future__ import annotations

from collections.abc import Sequence

from signer.model import Gap
from signer.operator.operation import on_record
from signer.operator.reading_book import read_book, require_home
from signer.operator.session import Session


def accept_gaps(session: Session, reason: str) -> Sequence[Gap]:
    """Let orders pass again though the book lacks records, on record. Return which records it lacks.

    If it lacks none, nothing is recorded. Raises `SignerError`.
    """
    require_home(session.home)
    with read_book(session.home) as book:
        gaps = book.gaps()
    if gaps:
        with on_record(session, "book accept", reason) as operation:
            operation.must_record = True
            operation.detail = ", ".join(map(str, gaps))
    return gaps
