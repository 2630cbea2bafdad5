"""Accepts the machine's clock on a person's word."""

from __future__ import annotations

from signer.operator.operation import on_record
from signer.operator.reading_book import require_home
from signer.operator.session import Session
from signer.serving.admin import ask
from signer.serving.clock import SystemClock


def accept_clock(session: Session, reason: str) -> int:
    """Have the book go on from the machine's clock, on record. Return that time in microseconds.

    Raises `SignerError`.
    """
    require_home(session.home)
    with on_record(session, "clock accept", reason) as operation:
        operation.must_record = True
        now_us = SystemClock().now_us()
    if operation.beside:
        ask(session.home.admin, "accept_clock")
    return now_us
