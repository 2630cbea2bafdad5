"""A process that raises marks as fast as it can: ``python -m tests.unit.ledger.raising MARKS NAME``.

Each value goes to standard output as soon as it is stored. It ends when it is killed, or at 200.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from signer.ledger.marks import SqliteMarks
from signer.offload.worker import ThreadWorker

ENOUGH = 200


async def raise_marks(path: Path, name: str) -> None:
    """Raise a mark of our own, and one that all such processes share."""
    thread = ThreadWorker("marks")
    marks = SqliteMarks(path, thread, on_closed=thread.close)
    await marks.open()
    for value in range(1, ENOUGH + 1):
        await asyncio.gather(marks.raise_mark(name, value), marks.raise_mark("shared", value))
        os.write(1, f"{value}\n".encode())
    await marks.close()


if __name__ == "__main__":
    asyncio.run(raise_marks(Path(sys.argv[1]), sys.argv[2]))
