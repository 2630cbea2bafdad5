"""Writes a moment for a person and for a script."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(at_us: int) -> str:
    """Write microseconds since the epoch as ISO 8601, to the second, in UTC."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
