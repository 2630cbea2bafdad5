"""Opens the home's ledger for an act, beside a running gateway or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

from signer.errors import HomeError
from signer.home.layout import Home
from signer.ledger import open_ledger
from signer.ledger.sqlite import SqliteLedger
from signer.serving.clock import SystemClock

T = TypeVar("T")


@asynccontextmanager
async def opened_ledger(home: Home) -> AsyncIterator[SqliteLedger]:
    """Open the home's ledger, beside a running gateway or not. Raises `HomeError` if there is no such home."""
    require_home(home)
    ledger = await open_ledger(home, SystemClock())
    try:
        yield ledger
    finally:
        await ledger.close()


def with_ledger(home: Home, use: Callable[[SqliteLedger], Coroutine[None, None, T]]) -> T:
    """Return the result of ``use`` on the home's ledger."""

    async def run() -> T:
        async with opened_ledger(home) as ledger:
            return await use(ledger)

    return asyncio.run(run())


def require_home(home: Home) -> None:
    """Raises `HomeError` if there is no home, so that a folder named by mistake stays as it is.

    A ledger is enough, because a brake must work even if signer.toml is gone.
    """
    if not (home.config.is_file() or home.ledger.is_file()):
        raise HomeError("there is no home here", where=str(home.folder), hint="run `signer init`, or give --home")
