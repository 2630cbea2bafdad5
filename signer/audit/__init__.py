"""The audit log: a chain of records on disk that proves what happened (docs/audit.md), behind `contracts.Journal`."""

from __future__ import annotations

from collections.abc import Callable

from signer.audit.disk import Disk, LocalDisk
from signer.audit.journal import FileJournal, leave_thread
from signer.contracts import Checkpoint, Clock, Marks, Worker
from signer.home.layout import Home
from signer.offload.worker import ThreadWorker


async def open_journal(
    home: Home,
    marks: Marks,
    checkpoint: Checkpoint,
    clock: Clock,
    on_alarm: Callable[[str], None],
    worker: Worker | None = None,
    disk: Disk | None = None,
    **bounds: int,
) -> FileJournal:
    """Open the journal of ``home`` where its log ends, checked against the head that ``marks`` keeps.

    Writes run on ``worker``, else on a thread that ends when the journal is closed; ``on_alarm`` may be called there.
    ``bounds`` are those of `FileJournal`. Raises `AuditError` or `LedgerError`.
    """
    disk, thread = disk or LocalDisk(), None if worker is not None else ThreadWorker("audit")
    on_closed = leave_thread if thread is None else thread.close
    writer = worker if thread is None else thread
    assert writer is not None  # noqa: S101 - for the type checker
    journal = FileJournal(home.audit, clock, writer, disk, checkpoint, on_alarm, on_closed, **bounds)
    try:
        await journal.open(await marks.head())
    except BaseException:
        await journal.close()
        raise
    return journal


async def close_journal(journal: FileJournal, marks: Marks) -> None:
    """Write what waits, close the journal, and have ``marks`` keep its head."""
    await journal.close()
    head = journal.head()
    if head is not None:
        await marks.keep_head(head)
