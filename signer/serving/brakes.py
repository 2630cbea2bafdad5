"""Honours brakes that are not on record, in memory and at once, and moves them into the ledger and the log.

The ledger has it look at the folder of brakes several times a second, on the event loop. It waits for no disk to put a
brake in force, and one that comes by the admin socket needs no file.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, final

from signer.contracts import AuditLog, Clock
from signer.errors import HomeBusy, HomeError, SignerError
from signer.gateway.snapshot import Revocations
from signer.gateway.trace import Watch, operator_record
from signer.home.brakes import NO_BRAKES, Brake, FiledBrakes, parse_brake, read_brakes, remove_brake
from signer.ledger.sqlite import SqliteLedger
from signer.model import Json
from signer.model.halts import whom
from signer.serving.admin import Operator, Verb

RETRY_S = 1.0
"""How long a brake that could not be recorded waits before it is tried again."""
RECORD_S = 2.0
"""How long an operator waits to hear whether a brake is on record; it is in force before."""
MOST_DONE = 1000
"""Brakes that are remembered after they were recorded or ended."""
STAGES: Mapping[str, tuple[str, ...]] = {"halt": ("begun", "done"), "revoke": ("begun",)}
"""The records of each act. The command that changes the key store records the end of a revocation."""
WORDS: Mapping[str, str] = {"halt": "halt", "revoke": "clients revoke"}
"""The command's words, as records have them, by act."""


class Resumed(NamedTuple):
    """Says whose halts were ended, and what is left."""

    ended: list[str]
    left: list[str]
    """The clients or accounts that are still halted."""


async def record_brake(brake: Brake, ledger: SqliteLedger, audit: AuditLog, now_us: int) -> None:
    """Put a brake into the ledger and the log. Raises `SignerError`; the file is still needed then."""
    if brake.act == "halt":
        await ledger.halt(brake.halt)
    else:
        await ledger.revoke(brake.client, brake.at_us)
    told: dict[str, Json] = {"id": brake.id, "act": WORDS[brake.act]}
    told |= {key: name for key, name in (("client", brake.client), ("account", brake.account)) if name}
    for stage in STAGES[brake.act]:
        reason: dict[str, Json] = {"reason": brake.reason} if brake.reason and stage == "begun" else {}
        entry = operator_record(brake.uid, brake.by, {**told, "stage": stage, **reason}, now_us)
        await audit.record({**entry, "acted": brake.at_us}, urgent=True)


async def end_halts(folder: Path, ledger: SqliteLedger, client: str, account: str, *, every: bool) -> Resumed:
    """End the halt of a client or of an account, or every halt: in the ledger, and in files. Raises `SignerError`."""
    filed = read_brakes(folder)
    stored = [(halt.client, halt.account) for halt in await ledger.halts()]
    ended = []
    for one in dict.fromkeys([*stored, *filed.halts]) if every else [(client, account)]:
        of_files = [brake.id for brake in filed.brakes.values() if brake.act == "halt" and _whom(brake) == one]
        for name in of_files:
            remove_brake(folder, name)
        if await ledger.resume(*one) or of_files:
            ended.append(whom(*one))
    left = [whom(halt.client, halt.account) for halt in await ledger.halts()]
    return Resumed(ended, [*left, *(f"everybody ({name} does not read)" for name in filed.damaged)])


@final
class BrakeWatch:
    """The brakes of one running gateway."""

    def __init__(
        self,
        folder: Path,
        ledger: SqliteLedger,
        audit: AuditLog,
        revocations: Revocations,
        *,
        watch: Watch,
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._ledger = ledger
        self._audit = audit
        self._revocations = revocations
        self._watch = watch
        self._clock = clock
        self._told: dict[str, Brake] = {}
        """Those that came by the admin socket and are not on record yet, keyed by id."""
        self._filed = NO_BRAKES
        self._done: dict[str, None] = {}
        """The ids of the last ones that are on record or ended. A file that comes late, or stays, changes nothing."""
        self._owed: set[str] = set()
        """The ids of those that could not be recorded, and of which an alarm was raised."""
        self._recording: asyncio.Task[None] | None = None
        self._closed = False
        self._retry: asyncio.TimerHandle | None = None
        self._apply_revocations: Callable[[], None] = lambda: None
        ledger.follow_brakes(folder, self.look)

    def apply_with(self, apply_revocations: Callable[[], None]) -> None:
        """Call ``apply_revocations`` now, and whenever another client is revoked."""
        self._apply_revocations = apply_revocations
        apply_revocations()

    def look(self) -> None:
        """Put in force what lies in the folder now, and begin to record it. Waits for nothing."""
        filed = read_brakes(self._folder, self._filed)
        for name in filed.damaged.keys() - self._filed.damaged.keys():
            hint = "`signer audit search` may tell what it was; remove it to end this"
            self._watch.alarm("brake", f"everybody is halted: {name} does not read ({filed.damaged[name]}); {hint}")
        for name in filed.brakes.keys() & self._done.keys():
            with contextlib.suppress(HomeError):  # a disk that cannot be written keeps it until it can
                remove_brake(self._folder, name)
        brakes = {name: brake for name, brake in filed.brakes.items() if name not in self._done}
        self._filed = FiledBrakes(brakes, filed.damaged)
        self._put_in_force()
        self._record_soon()

    async def close(self) -> None:
        """Record no more, and say what ends with this process."""
        self._closed = True
        self._wait_no_more()
        if self._recording is not None:
            self._recording.cancel()
            await asyncio.wait([self._recording])
        for brake in self._told.values():
            if brake.id not in self._filed.brakes:
                self._watch.alarm("brake", f"{_what(brake)} was in memory only, and ends with this process")

    def verbs(self) -> Mapping[str, Verb]:
        """Return the verbs, keyed by the word that asks for each."""
        return {"brake": self._brake, "resume": self._resume}

    async def _brake(self, operator: Operator, question: Mapping[str, Json]) -> Json:
        """Put a brake in force at once; whether it is on record as well."""
        brake = replace(parse_brake(question.get("brake")), by=operator.name, uid=operator.uid)
        if brake.id in self._done:  # its file was faster than this question
            return {"recorded": True}
        self._told[brake.id] = brake
        self._put_in_force()
        self._wait_no_more()
        recording = self._record_soon()
        if recording is not None:
            await asyncio.wait([recording], timeout=RECORD_S)
        return {"recorded": brake.id not in self._told}

    async def _resume(self, _: Operator, question: Mapping[str, Json]) -> Json:
        """End halts, those in memory too. Raises `HomeBusy` while a halt is being recorded."""
        if self._recording is not None:
            await asyncio.wait([self._recording], timeout=RECORD_S)
            if not self._recording.done():
                raise HomeBusy("a brake is being recorded", where=str(self._folder), hint="try again in a moment")
        client, account, every = str(question["client"]), str(question["account"]), bool(question["every"])
        of_memory = {
            name: brake
            for name, brake in self._told.items()
            if brake.act == "halt" and (every or _whom(brake) == (client, account))
        }
        resumed = await end_halts(self._folder, self._ledger, client, account, every=every)
        self._forget(*of_memory)
        self.look()
        ended: list[Json] = [*dict.fromkeys([*resumed.ended, *(whom(*_whom(one)) for one in of_memory.values())])]
        return {"ended": ended, "left": [*resumed.left]}

    def _put_in_force(self) -> None:
        told = FiledBrakes(self._told)
        self._ledger.brake({**told.halts, **self._filed.halts})
        revoked = {**told.revoked, **self._filed.revoked}
        if revoked:
            self._revocations.revoke(revoked)
            self._apply_revocations()

    def _record_soon(self) -> asyncio.Task[None] | None:
        """Return the task that records what is not on record; None if there is nothing to record now."""
        if self._recording is not None and not self._recording.done():
            return self._recording
        if self._closed or self._retry is not None or not self._unrecorded():
            return None
        self._recording = asyncio.get_running_loop().create_task(self._record_all(), name="recording brakes")
        return self._recording

    def _try_again(self) -> None:
        self._retry = None
        self._record_soon()

    def _wait_no_more(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _unrecorded(self) -> Mapping[str, Brake]:
        every = {**self._filed.brakes, **self._told}
        return {name: brake for name, brake in every.items() if name not in self._done}

    def _forget(self, *names: str) -> None:
        """Remember that these are on record, or ended."""
        for name in names:
            self._told.pop(name, None)
            self._done[name] = None
        for old in [*self._done][:-MOST_DONE]:
            del self._done[old]

    async def _record_all(self) -> None:
        """Record each brake, and try again in a moment what could not be recorded."""
        failed: set[str] = set()
        while due := [brake for name, brake in self._unrecorded().items() if name not in failed]:
            for brake in due:
                if not await self._is_recorded(brake):
                    failed.add(brake.id)
            self.look()
        if failed and not self._closed:
            self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._try_again)

    async def _is_recorded(self, brake: Brake) -> bool:
        try:
            await record_brake(brake, self._ledger, self._audit, self._clock.now_us())
        except SignerError as error:
            self._owe(brake, error)
            return False
        self._forget(brake.id)
        if brake.id in self._owed:
            self._owed.discard(brake.id)
            self._watch.warn("brake", f"{_what(brake)} is on record now")
        return True

    def _owe(self, brake: Brake, error: SignerError) -> None:
        if brake.id not in self._owed:
            self._owed.add(brake.id)
            self._watch.alarm("brake", f"{_what(brake)} is in effect, not on record: {error}")


def _whom(brake: Brake) -> tuple[str, str]:
    return brake.client, brake.account


def _what(brake: Brake) -> str:
    act = "the halt" if brake.act == "halt" else "the revocation"
    return f"{act} of {whom(brake.client, brake.account)} by {brake.by}"
