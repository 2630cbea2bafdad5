"""The ledger: all state that must be atomic, behind `contracts.Ledger`."""

from __future__ import annotations

from signer.contracts import Clock, Worker
from signer.home.layout import Home
from signer.ledger.sqlite import SqliteLedger
from signer.offload.worker import ThreadWorker


async def open_ledger(home: Home, clock: Clock, worker: Worker | None = None) -> SqliteLedger:
    """Open the ledger of ``home``, beside a running gateway or not; makes it if there is none.

    Writes run on ``worker``, else on a thread that ends when the ledger is closed. Raises `LedgerError`.
    """
    if worker is None:
        thread = ThreadWorker("ledger")
        ledger = SqliteLedger(home.ledger, clock, thread, on_closed=thread.close)
    else:
        ledger = SqliteLedger(home.ledger, clock, worker)
    try:
        await ledger.open()
    except BaseException:
        await ledger.close()
        raise
    return ledger
