"""Brakes of a running gateway: what its own answers say of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import pytest

from signer.audit.journal import FileJournal
from signer.gateway.snapshot import Revocations
from signer.gateway.trace import Watch
from signer.home.brakes import Brake, file_brake, new_id
from signer.home.layout import Home
from signer.model import Json
from signer.serving.admin import Operator
from signer.serving.brakes import BrakeWatch, brake_records, end_halts, record_brake
from signer.serving.clock import SystemClock
from tests.harness.journals import opened

HALT = Brake(new_id(1), "halt", "bot", "", "a reason", "me", 0, 1)
ROOT = Operator(0, "root")


def watch(home: Home, journal: FileJournal) -> BrakeWatch:
    """The brakes of a gateway on this home. It tells nobody."""
    return BrakeWatch(home.brakes, journal, Revocations(), watch=cast("Watch", None), clock=SystemClock())


def acts(home: Home) -> list[tuple[str, str, str]]:
    """Act, stage and client of every record of an operator."""
    lines = b"".join(path.read_bytes() for path in sorted(home.audit.glob("audit-*.jsonl"))).splitlines()
    records = [record for record in map(json.loads, lines) if record["kind"] == "operator"]
    return [(record["act"], record["stage"], record.get("client", "")) for record in records]


async def test_a_brake_whose_file_was_faster_than_the_question_is_recorded_once(tmp_path: Path) -> None:
    """The command hears that it is on record, and the file is gone then."""
    home = Home(tmp_path)
    file_brake(home.brakes, HALT)
    async with opened(home) as journal:
        brakes = watch(home, journal)
        assert journal.halted("bot", "main")
        told = await brakes.verbs()["brake"](ROOT, {"brake": cast("Json", asdict(HALT))})
        assert told == {"recorded": True}
        assert list(home.brakes.iterdir()) == []
        await brakes.close()
    assert acts(home) == [("halt", "begun", "bot"), ("halt", "done", "bot")]


async def test_a_halt_that_begins_while_all_others_end_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It came after the question, and so the answer does not name it."""
    home, record = Home(tmp_path), FileJournal.record
    later = replace(HALT, id=new_id(2), client="eve")

    async def record_slowly(journal: FileJournal, entry: Mapping[str, Json], *, urgent: bool = False) -> None:
        for halt in brake_records(later, 2):
            journal.conclude(halt)
        monkeypatch.setattr(FileJournal, "record", record)
        await journal.record(entry, urgent=urgent)

    async with opened(home) as journal:
        for number, client in enumerate(("bot", "")):
            await record_brake(replace(HALT, id=new_id(1), client=client, at_us=number), journal, 1)
        monkeypatch.setattr(FileJournal, "record", record_slowly)
        told = await end_halts(home.brakes, journal, "", "", every=True, by=ROOT, now_us=3)
        assert told == (["client bot", "everybody"], [])
        assert [halt.client for halt in journal.halts()] == ["eve"]


async def test_each_halt_that_ends_is_one_record(tmp_path: Path) -> None:
    """A halt that has no record yet ends with its file; a halt that there is not leaves no record."""
    home = Home(tmp_path)
    async with opened(home) as journal:
        for client in ("ada", "bob"):
            brake = Brake(new_id(1), "halt", client, "", "a reason", "me", 0, 1)
            await watch(home, journal).verbs()["brake"](ROOT, {"brake": cast("Json", asdict(brake))})
        file_brake(home.brakes, HALT)
        for every, client, ended in ((False, "eve", 0), (False, "ada", 1), (True, "", 2)):
            told = await end_halts(home.brakes, journal, client, "", every=every, by=ROOT, now_us=1)
            assert (len(told.ended), journal.halted(client, "main")) == (ended, None)
    assert acts(home)[4:] == [("resume", "done", client) for client in ("ada", "bob", "bot")]
    assert list(home.brakes.iterdir()) == []
