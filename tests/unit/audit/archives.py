"""Logs of several days that hold calls, and the act of archiving them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from signer.audit.archive import archived_entry, archived_start
from signer.audit.chain import START
from signer.audit.disk import Disk
from signer.audit.moving import SegmentMove, copy_segments, plan_move, remove_segments
from signer.audit.tail import records_after
from signer.book.book import Book
from signer.model import ChainHead, Json
from tests.harness.clocks import NOON_US, SetClock
from tests.unit.audit.given import entry, new_appender

DAY_US = 86_400_000_000
MIDNIGHT_US = NOON_US + DAY_US // 2
"""When the log's first day ends."""

ORDER: dict[str, Json] = {"pair": "XXBTZUSD", "side": "buy", "order_type": "limit", "volume": "1"}
NEVER = 1 << 60
"""A time after all records, and the number of a record that no checkpoint lacks."""


def begun(name: str, number: int, at_us: int, amount: str = "5") -> dict[str, Json]:
    """The record of a call of one order that charges a cap of a week."""
    charge: dict[str, Json] = {"cap": "notional", "scope": "client/grid-bot", "unit": "USD", "window_s": 604_800}
    charge |= {"limit": "1000", "amount": amount, "leg": 0}
    held: dict[str, Json] = {"reservation": number, "at": at_us, "charges": [charge], "orders": [ORDER], "targets": []}
    intent: dict[str, Json] = {"decision": "allow", "rules": [], "policy": "trader", "policy_hash": "ab" * 32}
    held |= {"venue_time": 0, "replaces": False, "time": at_us}
    return {**entry(name, "intent"), **intent, **held}


def ended(name: str, at_us: int, outcome: str = "accepted") -> dict[str, Json]:
    """The record of its end."""
    ids: list[Json] = [f"O{name}"] if outcome == "accepted" else []
    return {**entry(name, "outcome"), "outcome": outcome, "venue_ids": ids, "at": at_us, "time": at_us}


def day_of_calls(day: int) -> list[dict[str, Json]]:
    """The records of a day on which one call is accepted, one refused, and one stays open."""
    at_us = NOON_US + day * DAY_US
    named = [f"{day}-{place}" for place in range(3)]
    starts = [begun(name, 3 * day + place + 1, at_us + place, f"{place + 1}.5") for place, name in enumerate(named)]
    return [*starts, ended(named[0], at_us + 10), ended(named[1], at_us + 11, "rejected")]


async def append(disk: Disk, folder: Path, entries: Sequence[Mapping[str, Json]], at_us: int) -> ChainHead:
    """Open the log, append, and close it; its head."""
    appender = new_appender(disk, SetClock(at_us), segment_bytes=1 << 20, folder=folder)
    await appender.open(None)
    for one in entries:
        await appender.append([one])
    await appender.close()
    return appender.head


async def write_days(disk: Disk, folder: Path, days: int) -> ChainHead:
    """A log with a segment for each day; its head."""
    head = START
    for day in range(days):
        head = await append(disk, folder, day_of_calls(day), NOON_US + day * DAY_US)
    return head


async def archive(
    disk: Disk, folder: Path, to: Path, before_us: int, at_us: int, known_seq: int = NEVER
) -> SegmentMove | str:
    """Do the whole act, as `signer audit archive` does it while no gateway runs."""
    move = plan_move(disk, folder, before_us, known_seq)
    if isinstance(move, SegmentMove):
        copy_segments(disk, folder, move, to)
        if not move.is_recorded:
            await append(disk, folder, [archived_entry(move.state.archived(), move.names, at_us)], at_us)
        remove_segments(disk, folder, move)
    return move


def folded(disk: Disk, folder: Path) -> Book:
    """The book of the log in a folder."""
    book, head = archived_start(disk, folder) or (Book(), START)
    for record in records_after(disk, folder, head.seq):
        book.apply(record)
    return book
