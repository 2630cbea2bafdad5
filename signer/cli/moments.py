"""Reads moments and durations as people write them on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from signer.serving.clock import SystemClock

DAY_US: Final = 86_400_000_000
UNITS_US: Final = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": DAY_US}
MOST_DURATION_US: Final = 31 * DAY_US
"""The longest duration that a command takes: a replaced credential must end even if nobody looks."""
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def read_expiry(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """Read ``2027-01-31`` (00:00 UTC of that day) or ``30d`` as microseconds since the epoch.

    A usage error if it does not read, or has passed.
    """
    if text is None:
        return None
    now_us = SystemClock().now_us()
    try:
        expires_us = _day(text, now_us)
    except ValueError:
        raise click.BadParameter(f"{text[:40]!r}: write a date such as 2027-01-31, or days such as 30d") from None
    if expires_us <= now_us:
        raise click.BadParameter(f"{text} has passed; write a later one")
    return expires_us


def read_day(_ctx: click.Context, _param: click.Parameter, text: str) -> int:
    """Read ``2026-11-01`` as microseconds since the epoch, at 00:00 UTC of that day. A usage error if it is none."""
    try:
        return _date(text)
    except ValueError:
        raise click.BadParameter(f"{text[:40]!r}: write a date such as 2026-11-01") from None


def read_duration(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """Read ``90s``, ``10m``, ``2h`` or ``7d`` as microseconds.

    A usage error if it is none of these, or over a month.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text)
    duration_us = int(found[1]) * UNITS_US[found[2]] if found else 0
    if not 0 < duration_us <= MOST_DURATION_US:
        raise click.BadParameter(f"{text[:40]!r}: write a time such as 90s, 10m or 2h, at most 31d")
    return duration_us


def read_moment(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """Read ISO 8601 (UTC unless it says otherwise), or how long ago, as microseconds since the epoch.

    A usage error if it is neither.
    """
    if text is None:
        return None
    if ago := re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII):
        return SystemClock().now_us() - int(ago[1]) * UNITS_US[ago[2]]
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        what = f"{text[:40]!r}: write 2026-11-23, 2026-11-23T12:30, or how long ago: 90s, 15m, 2h, 7d"
        raise click.BadParameter(what) from None
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def _day(text: str, now_us: int) -> int:
    """Read microseconds since the epoch. Raises `ValueError` if ``text`` is neither a date nor a number of days."""
    days = re.fullmatch(r"([1-9][0-9]{0,4})d", text)
    if days:
        return now_us + int(days[1]) * DAY_US
    return _date(text)


def _date(text: str) -> int:
    """Read the beginning of a day in microseconds. Raises `ValueError` if ``text`` is no date."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):  # strptime also takes 2027-1-31
        raise ValueError
    return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1_000_000
