"""Makes findings."""

from __future__ import annotations

from datetime import UTC, datetime

from signer.errors import SignerError
from signer.findings import Finding, Weight


def fine(kind: str, about: str, what: str) -> Finding:
    """Make a finding without a problem."""
    return Finding(Weight.FINE, kind, about, what)


def warning(kind: str, about: str, what: str, hint: str) -> Finding:
    """Make a warning about something that works."""
    return Finding(Weight.WARNING, kind, about, what, hint)


def error(kind: str, about: str, what: str, hint: str) -> Finding:
    """Make an error about something that does not work, or is not safe."""
    return Finding(Weight.ERROR, kind, about, what, hint)


def failed(about: str, why: SignerError) -> list[Finding]:
    """Turn an error into findings, one for each of its lines."""
    if "\n" not in why.what:
        return [error(why.code, about, why.what, why.hint)]
    return [error(why.code, about, line, "") for line in why.what.splitlines()]


def when(at_us: int) -> str:
    """Write a time as people read it."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def counted(number: int, word: str) -> str:
    """Write a count with its noun: ``3 clients``, ``1 client``."""
    return f"{number} {word}{'' if number == 1 else 's'}"
