"""The ledger: the marks, and the checkpoint of the book, each in a SQLite file of its own."""

from __future__ import annotations

from signer.contracts import Worker
from signer.home.layout import Home
from signer.ledger.marks import SqliteMarks
from signer.offload.worker import ThreadWorker


async def open_marks(home: Home, worker: Worker | None = None) -> SqliteMarks:
    """Open the marks of ``home``, beside a running gateway or not; makes the file if there is none.

    They are written on ``worker``, else on a thread that ends when they are closed. Raises `LedgerError`.
    """
    if worker is None:
        thread = ThreadWorker("marks")
        marks = SqliteMarks(home.marks, thread, on_closed=thread.close)
    else:
        marks = SqliteMarks(home.marks, worker)
    try:
        await marks.open()
    except BaseException:
        await marks.close()
        raise
    return marks
