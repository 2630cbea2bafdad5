"""Says whether orders pass now, and why not, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from signer.serving.readiness import Readiness


def lines(readiness: Readiness, name: str = "") -> Iterator[str]:
    """Say whether orders pass, then why not, then the notes. If ``name`` is given, judge that client."""
    found = readiness.of_client(name) if name else readiness.everybody
    stopped = bool(found or readiness.not_ready_reason)
    yield f"Orders pass now: {'no' if stopped else 'yes' if readiness.asked else 'not checked'}"
    yield from (f"  everybody: {each}" for each in readiness.everybody)
    yield from (f"  client {who}: {each}" for who, stopped in sorted(readiness.clients.items()) for each in stopped)
    yield from (f"  note: {each}" for each in readiness.notes)
