"""One life of the gateway's process: the real parts, connected as by `serving.wiring`, on a simulated machine."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from signer.audit import close_journal, open_journal
from signer.audit.journal import FileJournal
from signer.audit.throttle import RecordThrottle
from signer.errors import LedgerError, SignerError
from signer.gateway import open_account
from signer.gateway.accounts import KeyStates
from signer.gateway.authenticate import Authenticator
from signer.gateway.credential import Listeners
from signer.gateway.forward import Account, VenueTime
from signer.gateway.line import Gateway
from signer.gateway.reconcile import Recovery
from signer.gateway.snapshot import Client, Snapshot
from signer.gateway.trace import Trace
from signer.home.layout import Home
from signer.home.settings import AccountConfig
from signer.ledger import open_marks
from signer.ledger.checkpoint import BookFile
from signer.ledger.database import FileFormat
from signer.ledger.marks import MARKS, SqliteMarks
from signer.model import ClientInfo, CredentialInfo, KeyInfo
from signer.policy.load import load_policy
from signer.policy.policy import Policy
from signer.secret import Secret
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.venue import Kraken
from signer.venues.kraken.vocabulary import WORDS
from tests.simulator.asks import CLIENTS, CREDENTIALS, secret_of
from tests.simulator.venue import SimVenue
from tests.simulator.world import SimWorker, World, WorldClock

ON_THE_DISK = Home(Path("/"))
AUDIT = ON_THE_DISK.audit
ACCOUNT = AccountConfig(call_seconds=5.0, tier="unlimited")
GONE_AFTER_S = 90.0
HEAD_EVERY_S = 1.0
SEGMENT_BYTES = 20_000
ROOM_BYTES = 4_096


@cache
def pair_table() -> PairTable:
    """The venue's pairs."""
    return PairTable.built_in()


@cache
def policy() -> Policy:
    """What every client of the simulator may do."""
    return load_policy(Path(__file__).with_name("policy.toml"), WORDS, pair_table().find)


class Connection:
    """A connection of SQLite on a disk that can fail."""

    def __init__(self, db: sqlite3.Connection, world: World, *, is_marks: bool) -> None:
        self.db = db
        self._world = world
        self._is_marks = is_marks

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Execute a statement, unless the disk fails."""
        world = self._world
        until = world.marks_fail_until if self._is_marks else world.book_fails_until
        if statement in {"BEGIN IMMEDIATE", "COMMIT"} and world.now < until and world.chance(0.5):
            world.note(f"{'marks' if self._is_marks else 'book'} fails at {statement}")
            raise sqlite3.OperationalError("disk I/O error")
        return self.db.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)


class Connections:
    """All connections of one life."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made: list[sqlite3.Connection] = []

    @contextlib.contextmanager
    def made(self) -> Iterator[None]:
        """Makes the connections of a life."""
        connect, connect_to_read = FileFormat.connect, FileFormat.connect_to_read

        def writing(form: FileFormat, path: Path) -> Connection:
            self._made.append(connect(form, path))
            return Connection(self._made[-1], self._world, is_marks=form is MARKS)

        def reading(form: FileFormat, path: Path) -> sqlite3.Connection | None:
            db = connect_to_read(form, path)
            self._made += () if db is None else (db,)
            return db

        with mock.patch.multiple(FileFormat, connect=writing, connect_to_read=reading):
            yield

    def bury(self) -> None:
        """Close what the operating system would close."""
        for db in self._made:
            db.close()


class Life:
    """The gateway from its start to its stop, or until the machine dies."""

    def __init__(self, world: World, venue: SimVenue, home: Home, checkpoint_every: int) -> None:
        self.world = world
        self.clock = WorldClock(world)
        self.journal: FileJournal
        self.marks: SqliteMarks
        self.connections = Connections(world)
        self.gateway: Gateway
        self.recovery: Recovery
        self.alarms: list[tuple[str, str]] = []
        """Each alarm's kind and text."""
        self._venue = venue
        self._home = home
        self._checkpoint_every = checkpoint_every
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the parts as `signer.serving.wiring.Wiring.start` does."""
        await self._open()
        marks = await self.marks.marks()
        venue_time = VenueTime(self.clock)
        recovery = self.recovery = Recovery(
            lambda: self.gateway.snapshot,
            self.journal,
            venue_time,
            clock=self.clock,
            watch=self,
            gone_after_s=GONE_AFTER_S,
        )
        self.gateway = Gateway(
            self._snapshot(marks),
            Authenticator(self.marks, self.clock, marks, on_alarm=lambda text: self.alarm("failing-source", text)),
            self.journal,
            RecordThrottle(),
            venue_time,
            clock=self.clock,
            randomness=self.world.random,
            watch=self,
            look_ups=recovery,
        )
        measured = asyncio.create_task(self._measure(venue_time))
        if self.world.chance(0.5):  # else calls come before the venue's clock is known
            await measured
        self._tasks = [measured, *(asyncio.create_task(loop) for loop in (recovery.run(), self._keep_heads()))]

    async def _measure(self, venue_time: VenueTime) -> None:
        for account in self.gateway.snapshot.accounts.values():
            with contextlib.suppress(SignerError):
                await venue_time.measure(account, account.venue)

    @property
    def is_clock_known(self) -> bool:
        """Whether the time of each open call is known by the venue's clock.

        What a clock that is set before that would do is for a person to settle.
        """
        return self._tasks[0].done() and all(one.intent.venue_us for one in self.journal.open_intents())

    async def settled(self) -> None:
        """Wait until no outcome is unknown."""
        while self.journal.open_intents():
            await asyncio.sleep(5.0)

    async def stop(self) -> None:
        """Stop the parts as `signer.serving.wiring.Wiring.stop` does."""
        for task in self._tasks:
            task.cancel()
        self.recovery.stop()
        with contextlib.suppress(LedgerError):  # the disk fails, and the process ends all the same
            await close_journal(self.journal, self.marks)
            await self.marks.close()

    def finished(self, trace: Trace) -> None:
        """`signer.gateway.trace.Watch`."""
        self.world.note(f"answered {trace.client_name} {trace.endpoint}: {trace.outcome} {trace.errors}")

    def warn(self, kind: str, text: str) -> None:
        """`signer.gateway.trace.Watch`: the simulated keys are never asked about."""
        raise AssertionError(f"{kind}: {text}")

    def dropped(self, client: str, endpoint: str, parameters: int) -> None:
        """Take no notice."""

    def alarm(self, kind: str, text: str) -> None:
        """`signer.gateway.trace.Watch`."""
        self.alarms.append((kind, text))
        if " goes out and is not on record yet" in text:
            self.world.owed.append(text)
        self.world.note(f"alarm {kind} {text.replace(str(self._home.folder), '')}")

    async def _open(self) -> None:
        with self.connections.made():
            self.marks = await open_marks(self._home, SimWorker(self.world, "marks"))
            self.journal = await open_journal(
                ON_THE_DISK,
                self.marks,
                BookFile(self._home.book),
                self.clock,
                lambda text: self.world.note(f"alarm audit {text.replace(str(self._home.folder), '')}"),
                SimWorker(self.world, "audit"),
                self.world.disk,
                segment_bytes=SEGMENT_BYTES,
                room_bytes=ROOM_BYTES,
                checkpoint_every=self._checkpoint_every,
            )

    async def _keep_heads(self) -> None:
        kept = None
        while True:
            await asyncio.sleep(HEAD_EVERY_S)
            head = self.journal.head()
            if head is not None and head != kept:
                try:
                    await self.marks.keep_head(head)
                    kept = head
                except SignerError as error:
                    self.alarm(error.code, str(error))

    def _snapshot(self, marks: Mapping[str, int]) -> Snapshot:
        clients = {f"API-{name}": Client(_info(name), Secret(secret_of(name)).key(), policy()) for name in CLIENTS}
        states = KeyStates(self.marks, self.clock, Listeners(self.alarm), lambda _: PROVEN)
        accounts = {name: self._account(name, states, marks) for name in sorted(set(CREDENTIALS.values()))}
        return Snapshot({"kraken": Kraken(pair_table())}, clients, accounts)

    def _account(self, name: str, states: KeyStates, marks: Mapping[str, int]) -> Account:
        infos = [_key(key, name) for key, account in CREDENTIALS.items() if account == name]
        keys = [(info, Secret(secret_of(info.name)).key()) for info in infos]
        return open_account(name, ACCOUNT, Kraken(pair_table()), keys, self._venue, states, marks)


PROVEN = KeyInfo("", (), None, 0, 0, ())


def _info(name: str) -> ClientInfo:
    return ClientInfo(name, CLIENTS[name], "policy", f"API-{name}", "", (), None, "window", False, 0)


def _key(name: str, account: str) -> CredentialInfo:
    return CredentialInfo(name, account, name, name, 0)
