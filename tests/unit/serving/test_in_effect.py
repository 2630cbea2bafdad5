"""What an operator hears of an act that counts already, and that the log has not taken yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from signer.audit.journal import FileJournal
from signer.errors import AuditError
from signer.gateway.snapshot import Revocations
from signer.gateway.trace import Watch
from signer.home.layout import Home
from signer.model import Json
from signer.serving.admin import Operator
from signer.serving.brakes import BrakeWatch
from signer.serving.clock import SystemClock
from signer.serving.verbs import AdminVerbs
from tests.harness.journals import opened

ROOT = Operator(0, "root")
HALT: Mapping[str, Json] = {"act": "halt", "stage": "begun", "client": "bot"}


@pytest.fixture(name="late")
def _late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log takes each record, and too late for the one who waits."""

    async def record_late(journal: FileJournal, entry: Mapping[str, Json], *, urgent: bool = False) -> None:
        journal.conclude(entry, urgent=urgent)
        raise AuditError("the disk is slow")

    monkeypatch.setattr(FileJournal, "record", record_late)


def verbs_of(journal: FileJournal) -> AdminVerbs:
    """The verbs of a gateway that has nothing but a journal."""
    nothing: Any = None
    return AdminVerbs(nothing, journal, nothing, nothing, nothing, nothing, nothing, clock=SystemClock())


@pytest.mark.usefixtures("late")
async def test_a_resume_says_that_the_halt_has_ended(tmp_path: Path) -> None:
    """A person who believed that the halt stays would let a bot trade unseen."""
    home = Home(tmp_path)
    async with opened(home) as journal:
        journal.conclude({**HALT, "kind": "operator", "by": "me", "uid": 0, "time": 1})
        brakes = BrakeWatch(
            home.brakes, journal, Revocations(), cast("Any", None), watch=cast("Watch", None), clock=SystemClock()
        )
        with pytest.raises(
            AuditError, match="a halt has ended, and that is in effect, not on record: the disk is slow"
        ):
            await brakes.verbs()["resume"](ROOT, {"scopes": [["bot", "", "", ""]], "every": False})
        assert journal.halted("bot", "main") is None
        await brakes.close()


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize(
    ("stage", "said"), [("done", "`signer caps reset` is in effect, not on record"), ("begun", "^the disk")]
)
async def test_a_record_that_is_the_act_itself_says_so(tmp_path: Path, stage: str, said: str) -> None:
    """The record of a beginning changes nothing, and the command says so itself."""
    async with opened(Home(tmp_path)) as journal:
        record = verbs_of(journal).table()["record"]
        with pytest.raises(AuditError, match=said):
            await record(ROOT, {"do": "record", "act": "caps reset", "stage": stage, "client": "bot"})
