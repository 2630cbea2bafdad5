"""Resets what a client has spent of its caps, on a person's word."""

from __future__ import annotations

from collections.abc import Sequence

from signer.operator.operation import on_record
from signer.operator.reading_book import read_book, require_home
from signer.operator.session import Session


def reset_caps(session: Session, client: str, unit: str, reason: str) -> Sequence[str]:
    """Forget what a client has spent of its caps (of those that count ``unit``, if given), on record.

    Return the names of these caps; none if it has spent nothing, and then nothing is recorded. Raises `SignerError`.
    """
    require_home(session.home)
    with read_book(session.home) as book:
        used = [cap for cap in book.usage(f"client/{client}") if cap.used and unit in {"", cap.unit}]
    if used:
        with on_record(session, "caps reset", reason, client=client, unit=unit) as operation:
            operation.must_record = True
    return [cap.cap for cap in used]
