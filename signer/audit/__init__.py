"""The audit log: a chain of records on disk that proves what happened (docs/audit.md), behind `contracts.AuditLog`."""

from __future__ import annotations

from collections.abc import Callable

from signer.audit.disk import Disk, LocalDisk
from signer.audit.log import FileAuditLog, leave_thread
from signer.audit.unfinished import finish_recorded
from signer.contracts import Clock, Ledger, Worker
from signer.home.layout import Home
from signer.offload.worker import ThreadWorker


async def open_audit(
    home: Home,
    ledger: Ledger,
    clock: Clock,
    on_alarm: Callable[[str], None],
    worker: Worker | None = None,
    disk: Disk | None = None,
    **bounds: int,
) -> FileAuditLog:
    """Open the log of ``home`` where it ends, checked against the head that ``ledger`` keeps.

    What a crash left unfinished between the two is finished (`signer.audit.unfinished`).
    Writes run on ``worker``, else on a thread that ends when the log is closed; ``on_alarm`` is called there.
    ``bounds`` are those of `FileAuditLog`. Raises `AuditError` or `LedgerError`.
    """
    disk = disk or LocalDisk()
    if worker is None:
        thread = ThreadWorker("audit")
        log = FileAuditLog(home.audit, clock, thread, disk, on_alarm, thread.close, **bounds)
    else:
        log = FileAuditLog(home.audit, clock, worker, disk, on_alarm, leave_thread, **bounds)
    try:
        head = await ledger.head()
        await log.open(head)
        await finish_recorded(ledger, log, home.audit, disk, head.seq if head is not None else 0)
    except BaseException:
        await log.close()
        raise
    return log


async def close_audit(log: FileAuditLog, ledger: Ledger) -> None:
    """Write what waits, close the log, and have ``ledger`` keep its head."""
    await log.close()
    head = log.head()
    if head is not None:
        await ledger.keep_head(head)
