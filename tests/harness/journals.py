"""The journal of a home on which no gateway runs, for tests that need something on record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from signer.audit import close_journal, open_journal
from signer.audit.journal import FileJournal
from signer.gateway.trace import held_fields, reconciled_record
from signer.home.layout import Home
from signer.ledger import open_marks
from signer.ledger.checkpoint import BookFile
from signer.model import Intent, Json, Outcome
from signer.serving.clock import SystemClock

T = TypeVar("T")


@asynccontextmanager
async def opened(home: Home) -> AsyncIterator[FileJournal]:
    """The home's journal, as a command that acts alone opens it."""
    alarms: list[str] = []
    marks = await open_marks(home)
    journal = await open_journal(home, marks, BookFile(home.book), SystemClock(), alarms.append)
    try:
        yield journal
    finally:
        await close_journal(journal, marks)
        await marks.close()
    assert alarms == []


def in_journal(home: Home, use: Callable[[FileJournal], Coroutine[Any, Any, T]]) -> T:
    """What ``use`` makes of the home's journal."""

    async def run() -> T:
        async with opened(home) as journal:
            return await use(journal)

    return asyncio.run(run())


async def begin(journal: FileJournal, call: Intent) -> int:
    """Begin a call; its number."""
    who: dict[str, Json] = {"id": call.record, "client": call.client, "account": call.account}
    entry: dict[str, Json] = {"kind": "intent", "time": call.at_us, "endpoint": call.endpoint, **who}
    return await journal.begin(call, {**entry, **held_fields(call)})


async def end(journal: FileJournal, call: Intent, outcome: Outcome, venue_ids: Sequence[str | None] = ()) -> None:
    """Say how a call ended."""
    record = reconciled_record(call, outcome, venue_ids, journal.now_us())
    await journal.record({**record, "kind": "outcome"})


async def place(journal: FileJournal, call: Intent, *venue_ids: str) -> None:
    """Begin a call, and say that the venue has its orders."""
    await begin(journal, call)
    await end(journal, call, Outcome.ACCEPTED, venue_ids)
