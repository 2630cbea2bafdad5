"""An open journal on a disk that can be made to fail."""

from __future__ import annotations

import errno
from decimal import Decimal

from signer.audit.journal import FileJournal
from signer.errors import AuditError
from signer.model import Charge, Intent, Json
from tests.harness.clocks import NOON_US, SetClock
from tests.unit.audit.checkpoints import KeptCheckpoint
from tests.unit.audit.given import entry, new_journal
from tests.unit.audit.worse_disk import WorseDisk


def fail_steps(disk: WorseDisk, name: str, number: int = errno.EIO) -> None:
    """Let every step of that name fail from now on."""
    disk.trouble = lambda _number, step: number if step.startswith(name) else None


def heal(disk: WorseDisk) -> None:
    """Let nothing fail any more."""
    disk.trouble = lambda _number, _name: None


async def begin(journal: FileJournal, name: str, amount: str = "1") -> int:
    """Begin a call that charges so many USD of a cap of a hundred thousand."""
    charge = Charge("notional", "client/grid-bot", "USD", 86_400, Decimal(100_000), Decimal(amount), 0)
    call = Intent("grid-bot", "main", "AddOrder", (), (), (charge,), name, NOON_US)
    charged: Json = {
        "cap": charge.cap,
        "scope": charge.scope,
        "unit": charge.unit,
        "window_s": charge.window_s,
        "limit": str(charge.limit),
        "amount": amount,
        "leg": charge.leg,
    }
    held: dict[str, Json] = {"charges": [charged], "venue_time": 0, "orders": [], "targets": [], "replaces": False}
    return await journal.begin(call, {**entry(name, "intent"), **held})


def end(name: str, outcome: str = "rejected") -> dict[str, Json]:
    """The record of a call's end."""
    return {**entry(name, "outcome"), "outcome": outcome, "at": NOON_US}


def used(journal: FileJournal) -> int:
    """What is used of the cap that `begin` charges."""
    return int(sum(usage.used for usage in journal.usage("client/grid-bot")))


async def is_saved(journal: FileJournal, name: str, kind: str = "read") -> bool:
    """Whether an urgent fact is durable when it was recorded. It is owed to the log if not."""
    try:
        await journal.record(entry(name, kind), urgent=True)
    except AuditError:
        return False
    return True


async def fill(disk: WorseDisk, journal: FileJournal) -> int:
    """Let others fill the disk, and the log the slack that it has claimed; how many more begins it took."""
    disk.room = disk.used()
    for taken in range(1000):
        try:
            await begin(journal, f"slack-{taken}")
        except AuditError:
            return taken
    raise AssertionError("the disk is not full")


async def opened(
    disk: WorseDisk,
    alarms: list[str] | None = None,
    clock: SetClock | None = None,
    checkpoint: KeptCheckpoint | None = None,
    **limits: int,
) -> FileJournal:
    """An open journal."""
    journal = new_journal(disk, [] if alarms is None else alarms, clock, checkpoint, **limits)
    await journal.open()
    return journal
