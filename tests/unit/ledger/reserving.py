"""A process that reserves as fast as it can: ``python -m tests.unit.ledger.reserving LEDGER LIMIT``.

Each reservation's number goes to standard output as soon as the ledger has answered. It ends when the cap is full.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from signer.errors import NotReserved
from signer.ledger.sqlite import SqliteLedger
from signer.offload.worker import ThreadWorker
from signer.serving.clock import SystemClock
from tests.unit.ledger.calls import charge, intent

CALLERS = 8


async def reserve_all(path: Path, limit: str) -> None:
    """Eight callers at once, one unit each time, until nothing is left."""
    ledger = SqliteLedger(path, SystemClock(), ThreadWorker("ledger"))
    await ledger.open()

    async def caller() -> None:
        while True:
            try:
                number = await ledger.reserve(intent(charge("1", limit=limit)))
            except NotReserved:
                return
            os.write(1, f"{number}\n".encode())

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(reserve_all(Path(sys.argv[1]), sys.argv[2]))
