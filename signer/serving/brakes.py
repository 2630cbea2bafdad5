"""Honours brakes in memory and at once, and puts them on record as soon as the log takes them.

A brake comes by the admin socket, or as a file in the folder of brakes, which the journal has looked at several times a
second, on the event loop. Its records are applied to the book before any disk has them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, final

from signer.audit.journal import FileJournal
from signer.contracts import Clock, Journal
from signer.errors import AuditError, ConfigError, HomeBusy, HomeError
from signer.gateway.snapshot import Revocations
from signer.gateway.trace import Watch, operator_record
from signer.home.brakes import NO_BRAKES, Brake, FiledBrakes, new_id, parse_brake, read_brakes, remove_brake
from signer.model import Halt, HaltScope, Json
from signer.model.halts import whom
from signer.serving.admin import Operator, Verb
from signer.serving.loaded import LoadedHome

RETRY_S = 1.0
"""How long a brake that could not be recorded waits before it is looked at again."""
RECORD_S = 2.0
"""How long an operator waits to hear whether a brake is on record; it is in force before."""
MOST_DONE = 1000
"""Brakes that are remembered after they were recorded or ended."""
STAGES: Mapping[str, tuple[str, ...]] = {"halt": ("begun", "done"), "revoke": ("begun",)}
"""The records of each act. The command that changes the key store records the end of a revocation."""
WORDS: Mapping[str, str] = {"halt": "halt", "revoke": "clients revoke"}
"""The command's words, as records have them, by act."""


def read_scopes(told: Json) -> list[HaltScope]:
    """Read scopes from an operator's question. Raises `ConfigError`."""
    lists = [one for one in told if isinstance(one, list)] if isinstance(told, list) else []
    if lists != told or not all(len(one) == len(HaltScope._fields) for one in lists):
        raise ConfigError("this names no halt", hint="use the signer that the gateway runs")
    return [HaltScope(*map(str, one)) for one in lists]


class Resumed(NamedTuple):
    """Says whose halts were ended, and what is left."""

    ended: list[str]
    left: list[str]
    """The clients or accounts that are still halted."""


def brake_records(brake: Brake, now_us: int) -> Sequence[Mapping[str, Json]]:
    """Return the records of a brake. The first one puts it in force."""
    told: dict[str, Json] = {"id": brake.id, "act": WORDS[brake.act]}
    told |= _named(brake.scope)
    reasons: Mapping[str, dict[str, Json]] = {"begun": {"reason": brake.reason} if brake.reason else {}}
    entries = [{**told, "stage": stage, **reasons.get(stage, {})} for stage in STAGES[brake.act]]
    first, *others = [{**operator_record(brake.uid, brake.by, one, now_us), "acted": brake.at_us} for one in entries]
    return [first | _meant(brake), *others]


def _named(scope: HaltScope) -> dict[str, Json]:
    return {kind: name for kind, name in scope._asdict().items() if name}


def _meant(brake: Brake) -> dict[str, Json]:
    """Return the fields of a halt beside its scope."""
    state: dict[str, Json] = {"state": brake.state} if brake.act == "halt" else {}
    return state | ({"clients": [*brake.clients]} if brake.clients else {})


async def record_brake(brake: Brake, journal: Journal, now_us: int) -> None:
    """Put a brake in force and on record. Raises `AuditError` if it is not on record; its file is still needed then."""
    for entry in brake_records(brake, now_us):
        await journal.record(entry, urgent=True)


async def end_halts(
    folder: Path, journal: Journal, scopes: Sequence[HaltScope], *, every: bool, by: Operator, now_us: int
) -> Resumed:
    """End the halts of these scopes, or every halt: in files, and on record.

    Raises `HomeError` if a file cannot be removed, and `AuditError` if the halts have ended and that is not on record.
    """
    filed = read_brakes(folder)
    stored = [halt.scope for halt in journal.halts()]
    ended = []
    for one in dict.fromkeys([*stored, *filed.halts]) if every else scopes:
        of_files = [brake.id for brake in filed.brakes.values() if brake.act == "halt" and brake.scope == one]
        for name in of_files:
            remove_brake(folder, name)
        if one in stored or of_files:
            ended.append(one)
    left = [whom(one) for one in stored if one not in ended]
    for one in ended:
        await journal.record(_resumed_record(one, by, now_us), urgent=True)
    return Resumed(
        [whom(one) for one in ended], [*left, *(f"everybody ({name} does not read)" for name in filed.damaged)]
    )


def _resumed_record(ended: HaltScope, by: Operator, now_us: int) -> Mapping[str, Json]:
    told: dict[str, Json] = {"id": new_id(now_us), "act": "resume", "stage": "done"}
    return operator_record(by.uid, by.name, told | _named(ended), now_us)


def _joined_record(group: str, clients: Sequence[str], now_us: int) -> Mapping[str, Json]:
    told: dict[str, Json] = {"id": new_id(now_us), "act": "halt", "stage": "joined", "group": group}
    return {**operator_record(os.getuid(), "signer", told, now_us), "clients": [*clients]}


@final
class BrakeWatch:
    """The brakes of one running gateway."""

    def __init__(
        self,
        folder: Path,
        journal: FileJournal,
        revocations: Revocations,
        loaded: Callable[[], LoadedHome],
        *,
        watch: Watch,
        clock: Clock,
    ) -> None:
        """``loaded``: the home that is in force."""
        self._folder = folder
        self._journal = journal
        self._revocations = revocations
        self._loaded = loaded
        self._watch = watch
        self._clock = clock
        self._filed = NO_BRAKES
        self._owed: dict[str, Brake] = {}
        """The brakes in force that are not known to be on record, keyed by id."""
        self._done: dict[str, None] = {}
        """The ids of the last ones that are on record or ended. A file that comes late, or stays, changes nothing."""
        self._recording: asyncio.Task[None] | None = None
        self._apply_revocations: Callable[[], None] = lambda: None
        journal.braked.follow(folder, self.look)

    def apply_with(self, apply_revocations: Callable[[], None]) -> None:
        """Call ``apply_revocations`` now, and whenever another client is revoked."""
        self._apply_revocations = apply_revocations
        apply_revocations()

    def extend(self) -> None:
        """Have halts fit what was loaded: a group's clients, and a pair that no list had before. They free nobody."""
        stand = {halt.scope for halt in self._journal.halts()}
        for halt in self._journal.halts():
            brake = self._brake_of(halt)
            new = set(self._meant(brake)[0].clients).difference(halt.clients) if halt.clients else ()
            if new:
                now_us = self._clock.now_us()
                self._journal.conclude(_joined_record(halt.scope.group, sorted(new), now_us), urgent=True)
                self._watch.warn("brake", f"{', '.join(sorted(new))} joined group {halt.scope.group}, which is halted")
            if any(one.scope not in stand for one in self._meant(brake)):
                self._take(brake)

    def _brake_of(self, halt: Halt) -> Brake:
        """Return the brake that would make the halt again."""
        named, brake_id = halt.scope, new_id(self._clock.now_us())
        made = Brake(brake_id, "halt", named.client, named.account, halt.reason, halt.by, os.getuid(), halt.at_us)
        return replace(made, group=named.group, pair=named.pair, state=halt.state, clients=halt.clients)

    def look(self) -> None:
        """Put in force what lies in the folder now, and begin to record it. Waits for nothing."""
        before, filed = self._filed, read_brakes(self._folder, self._filed)
        self._filed = filed
        for name in filed.damaged.keys() - before.damaged.keys():
            hint = "`signer audit search` may tell what it was; remove it to end this"
            self._watch.alarm("brake", f"everybody is halted: {name} does not read ({filed.damaged[name]}); {hint}")
        self._journal.braked.brake(FiledBrakes({}, filed.damaged).halts)
        for brake in filed.brakes.values():
            if brake.id in self._done:
                self._remove(brake)
            elif brake.id not in self._owed:
                self._take(brake)

    async def close(self) -> None:
        """Watch no longer whether brakes are on record, and say what ends with this process."""
        if self._recording is not None:
            self._recording.cancel()
            await asyncio.wait([self._recording])
        is_recorded = await self._is_recorded()
        for brake in self._owed.values():
            if not is_recorded and brake.id not in self._filed.brakes:
                self._watch.alarm("brake", f"{_what(brake)} was in memory only, and ends with this process")

    def verbs(self) -> Mapping[str, Verb]:
        """Return the verbs, keyed by the word that asks for each."""
        return {"brake": self._brake, "resume": self._resume}

    async def _brake(self, operator: Operator, question: Mapping[str, Json]) -> Json:
        """Put a brake in force at once; whether it is on record as well."""
        brake = replace(parse_brake(question.get("brake")), by=operator.name, uid=operator.uid)
        if brake.id not in self._done and brake.id not in self._owed:  # else its file was faster than this question
            self._take(brake)
        if self._recording is not None:
            await asyncio.wait([self._recording], timeout=RECORD_S)
        return {"recorded": brake.id in self._done}

    async def _resume(self, operator: Operator, question: Mapping[str, Json]) -> Json:
        """End halts. Raises `HomeBusy` while a brake is being recorded, and `AuditError` if an end is not on record."""
        if self._recording is not None:
            await asyncio.wait([self._recording], timeout=RECORD_S)
            if not self._recording.done():
                raise HomeBusy("a brake is being recorded", where=str(self._folder), hint="try again in a moment")
        scopes, every, now_us = read_scopes(question["scopes"]), bool(question["every"]), self._clock.now_us()
        try:
            resumed = await end_halts(self._folder, self._journal, scopes, every=every, by=operator, now_us=now_us)
        except AuditError as error:
            what = f"a halt has ended, and that is in effect, not on record: {error.what}"
            hint = "it is recorded as soon as the log can be written; `signer status` shows the halts that are left"
            raise AuditError(what, hint=hint) from error
        self.look()
        return {"ended": [*resumed.ended], "left": [*resumed.left]}

    def _take(self, brake: Brake) -> None:
        """Put a brake in force, and owe its records to the log."""
        self._owed[brake.id] = brake
        for entry in (entry for one in self._meant(brake) for entry in brake_records(one, self._clock.now_us())):
            self._journal.conclude(entry, urgent=True)
        if brake.act == "revoke":
            self._revocations.revoke(self._journal.revoked())
            self._apply_revocations()
        if self._recording is None or self._recording.done():
            self._recording = asyncio.get_running_loop().create_task(self._record_all(), name="recording brakes")

    def _meant(self, brake: Brake) -> Sequence[Brake]:
        """Return the brake with what the command could not know: its group's clients, its pair at each venue."""
        loaded = self._loaded()
        if brake.group:
            clients = {*brake.clients, *loaded.config.clients_of(brake.group)}
            return [replace(brake, clients=tuple(sorted(clients)))]
        found = {venue.pairs.find(brake.pair) for venue in loaded.venues.values()} if brake.pair else ()
        return [replace(brake, pair=pair.id) for pair in found if pair is not None] or [brake]

    async def _record_all(self) -> None:
        """Wait until all brakes are on record, say so if that takes long, and remove their files then."""
        told = False
        while self._owed:
            taken = list(self._owed.values())
            if await self._is_recorded():
                self._recorded(taken, told=told)
                continue
            if not told:
                told = True
                for brake in taken:
                    self._watch.alarm("brake", f"{_what(brake)} is in effect, not on record: the log cannot be written")
            await asyncio.sleep(RETRY_S)

    async def _is_recorded(self) -> bool:
        try:
            async with asyncio.timeout(RECORD_S):
                return await self._journal.settled()
        except TimeoutError:
            return False

    def _recorded(self, brakes: Sequence[Brake], *, told: bool) -> None:
        for brake in brakes:
            del self._owed[brake.id]
            self._done[brake.id] = None
            self._remove(brake)
            if told:
                self._watch.warn("brake", f"{_what(brake)} is on record now")
        for old in [*self._done][:-MOST_DONE]:
            del self._done[old]

    def _remove(self, brake: Brake) -> None:
        with contextlib.suppress(HomeError):  # a disk that cannot be written keeps it until it can
            remove_brake(self._folder, brake.id)


def _what(brake: Brake) -> str:
    act = "the halt" if brake.act == "halt" else "the revocation"
    return f"{act} of {whom(brake.scope)} by {brake.by}"
