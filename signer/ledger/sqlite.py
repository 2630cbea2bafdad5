"""The ledger on SQLite: `contracts.Ledger` for one machine (docs/ledger.md)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast, final

from typing_extensions import override

from signer.contracts import Clock, Ledger, Worker
from signer.errors import LedgerError
from signer.ledger.caps import Halts, halt_for, refuse_if_halted
from signer.ledger.database import LedgerReader
from signer.ledger.writer import Job, LedgerWriter
from signer.model import ChainHead, Halt, Intent, OpenIntent, OrderRef, PlacedOrder, Usage
from signer.offload.worker import Batches

T = TypeVar("T")


@dataclass(frozen=True)
class _Opened:
    books: LedgerWriter
    batches: Batches[Job, object]
    reader: LedgerReader
    watcher: asyncio.Task[None]


@dataclass(slots=True)
class _Followed:
    """The folder of brakes, and what is known of it."""

    folder: Path
    look: Callable[[], None]
    looked_at: float
    found: bool = True
    """Whether there was anything in it."""


HALT_POLL_S = 0.2
"""How often to look for what another process wrote; a halt acts on orders at once, on the rest within this."""

BRAKES_AGE_S = 0.25
"""How old the word of the brake files may be when a call asks whether it is halted."""

PATIENCE_S = 0.02
"""How long what nobody waits for may wait for another write, to share its flush."""


@final
class SqliteLedger(Ledger):
    """All state that must be atomic, in one SQLite file that several processes may open.

    Writes go in batches through ``worker``: who waits together shares one flush, and an answer means that it is on the
    disk. `settle`, `hold` and `keep_head` are patient: they ride along with the next write, or start their own after
    ``patience_s``. A caller that is cancelled does not undo its write.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        worker: Worker,
        *,
        patience_s: float = PATIENCE_S,
        on_closed: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._clock = clock
        self._worker = worker
        self._patience_s = patience_s
        self._on_closed = on_closed
        self._open: _Opened | None = None
        self._brakes: Halts = {}
        self._follow: _Followed | None = None

    async def open(self) -> None:
        """Open or make the database. Raises `LedgerError` if it cannot be used, or is of a newer version."""
        books = await self._worker.run(lambda: LedgerWriter(self._path, self._clock))
        watcher = asyncio.get_running_loop().create_task(self._watch(books))
        self._open = _Opened(books, Batches(self._worker, books.serve), LedgerReader(self._path), watcher)

    async def close(self) -> None:
        """Write what waits, close, and call ``on_closed``."""
        opened, self._open = self._open, None
        if opened is not None:
            await opened.batches.drained()
            opened.watcher.cancel()
            await asyncio.wait([opened.watcher])
            opened.reader.close()
            await self._worker.run(opened.books.close)
        self._on_closed()

    @override
    async def reserve(self, intent: Intent, head: ChainHead | None = None) -> int:
        refuse_if_halted(self._braked(), intent.client, intent.account)
        return await self._write(lambda books: books.reserve(intent, head))

    @override
    async def release(self, reservation: int) -> None:
        await self._write(lambda books: books.release(reservation))

    @override
    def now_us(self) -> int:
        return max(self._opened.books.seen_us, self._clock.now_us())

    @override
    async def settle(self, reservation: int, venue_ids: Sequence[str | None], at_us: int = 0) -> None:
        await self._write(lambda books: books.settle(reservation, venue_ids, at_us), self._patience_s)

    @override
    async def settle_found(self, reservation: int, venue_ids: Sequence[str | None], at_us: int = 0) -> None:
        await self._write(lambda books: books.settle_found(reservation, venue_ids, at_us))

    @override
    async def absent(self, account: str, listed: Sequence[str], placed_before_us: int) -> Sequence[str]:
        return self._opened.reader.absent(account, listed, placed_before_us)

    @override
    async def reappeared(self, account: str, listed: Sequence[str]) -> Sequence[PlacedOrder]:
        return self._opened.reader.reappeared(account, listed)

    @override
    async def mark(self, account: str, venue_ids: Sequence[str], *, closed: bool) -> None:
        await self._write(lambda books: books.mark(account, venue_ids, closed=closed), self._patience_s)

    @override
    async def may_be_open(self, account: str) -> int:
        return self._opened.reader.may_be_open(account)

    @override
    async def hold(self, reservation: int) -> None:
        await self._write(lambda books: books.hold(reservation), self._patience_s)

    @override
    async def open_intents(self) -> Sequence[OpenIntent]:
        return self._opened.reader.open_intents()

    @override
    async def last_reservation(self) -> int:
        return self._opened.reader.last_reservation()

    @override
    async def find_orders(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """Find all orders of each client that may be open, and its 16 newest that are closed."""
        return self._opened.reader.orders(account, ref)

    @override
    async def open_orders(self, account: str, client: str) -> Sequence[PlacedOrder]:
        return self._opened.reader.open_orders(account, client)

    @override
    async def usage(self, scope: str) -> Sequence[Usage]:
        return self._opened.reader.usage(scope, self._clock.now_us())

    async def scopes(self) -> Sequence[str]:
        """Return every scope that was ever charged."""
        return self._opened.reader.scopes()

    @override
    async def marks(self) -> Mapping[str, int]:
        return self._opened.reader.marks()

    @override
    async def raise_mark(self, name: str, at_least: int) -> None:
        await self._write(lambda books: books.raise_mark(name, at_least))

    @override
    async def keep_head(self, head: ChainHead) -> None:
        await self._write(lambda books: books.keep_head(head), self._patience_s)

    @override
    async def head(self) -> ChainHead | None:
        return self._opened.reader.head()

    @override
    def halted(self, client: str, account: str) -> Halt | None:
        return halt_for(self._braked(), client, account) or halt_for(self._opened.books.halts, client, account)

    @override
    async def halts(self) -> Sequence[Halt]:
        return self._opened.reader.halts()

    @override
    async def revoked(self) -> Mapping[str, int]:
        return self._opened.reader.revoked()

    async def halt(self, halt: Halt) -> None:
        """Put a halt in force, for every process, at once."""
        await self._write(lambda books: books.halt(halt))

    async def revoke(self, client: str, at_us: int) -> None:
        """Remember for good that the client was revoked at that time."""
        await self._write(lambda books: books.revoke(client, at_us))

    def follow_brakes(self, folder: Path, look: Callable[[], None]) -> None:
        """Have ``look`` called now, and as often as there is something in ``folder``: it calls `brake`."""
        self._follow = _Followed(folder, look, self._clock.monotonic())
        look()

    async def watch_brakes(self) -> None:
        """Look at the folder of brakes for ever, on the event loop: no disk that hangs holds this up."""
        while True:
            self._look_at_brakes(HALT_POLL_S / 2)
            await asyncio.sleep(HALT_POLL_S)

    def brake(self, halts: Halts) -> None:
        """Put these halts in force in memory, in the place of those of the call before. Waits for no disk."""
        self._brakes = halts

    async def resume(self, client: str, account: str) -> bool:
        """End the halt of exactly this client and account (empty for all); whether there was one."""
        return await self._write(lambda books: books.resume(client, account))

    def _braked(self) -> Halts:
        """Return the halts of `brake`. A process that was stopped looks again before its next order leaves."""
        self._look_at_brakes(BRAKES_AGE_S)
        return self._brakes

    def _look_at_brakes(self, older_than_s: float) -> None:
        """Look at the folder of brakes if the last look is older than that. An empty one costs a system call."""
        follow = self._follow
        if follow is None or self._clock.monotonic() - follow.looked_at <= older_than_s:
            return
        follow.looked_at = self._clock.monotonic()
        found = _has_files(follow.folder)
        if found or follow.found:
            follow.found = found
            follow.look()

    async def _write(self, job: Callable[[LedgerWriter], T], within: float = 0.0) -> T:
        return cast(T, await self._opened.batches.ask(job, within=within))

    async def _watch(self, books: LedgerWriter) -> None:
        while True:
            await asyncio.sleep(HALT_POLL_S)
            await self._worker.run(books.refresh)

    @property
    def _opened(self) -> _Opened:
        if self._open is None:
            raise LedgerError("the ledger is not open", where=str(self._path))
        return self._open


def _has_files(folder: Path) -> bool:
    """Tell whether anything is in the folder. One that cannot be read counts as if."""
    try:
        return bool(os.listdir(folder))  # noqa: PTH208 - five times a second
    except FileNotFoundError:
        return False
    except OSError:
        return True
