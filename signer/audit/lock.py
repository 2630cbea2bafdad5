"""Keeps the log to one process: a process that cannot lock the log's folder may not append to it or load its book."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from signer.audit.disk import Disk
from signer.contracts import Worker
from signer.errors import AuditError

TRIES: Final = 100
WAIT_S: Final = 0.1
"""How often, and after which time each, the lock is tried again while a worker that ends late holds it."""


class LogLock:
    """The lock of one log, held or not."""

    def __init__(self, folder: Path, worker: Worker, disk: Disk) -> None:
        self._folder = folder
        self._worker = worker
        self._disk = disk
        self._unlock: Callable[[], None] | None = None

    async def take(self) -> None:
        """Make the folder if it is missing, and lock it, unless it is locked already.

        Waits for a worker that ends late. Raises `AuditError` if that does not end.
        """
        if self._unlock is not None:
            return None
        await self._worker.run(partial(self._disk.prepare, self._folder))
        for _ in range(TRIES):
            with contextlib.suppress(AuditError):
                return await self._try()
            await asyncio.sleep(WAIT_S)
        return await self._try()

    async def take_again(self) -> None:
        """Lock the folder that is at the path now, instead of the one that was there. Raises OSError."""
        await self.release()
        try:
            await self._worker.run(partial(self._disk.prepare, self._folder))
            await self._try()
        except AuditError as error:
            raise OSError(errno.EBUSY, str(error), str(self._folder)) from error

    async def release(self) -> None:
        """Give the lock back, if it is held."""
        unlock, self._unlock = self._unlock, None
        if unlock is not None:
            await self._worker.run(unlock)

    async def _try(self) -> None:
        self._unlock = await self._worker.run(partial(self._disk.lock, self._folder))
