"""Brakes of a running gateway: what its own answers say of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from signer.contracts import AuditLog
from signer.gateway.snapshot import Revocations
from signer.gateway.trace import Watch
from signer.home.brakes import Brake, file_brake, new_id
from signer.ledger.sqlite import SqliteLedger
from signer.model import Json
from signer.serving.admin import Operator
from signer.serving.brakes import BrakeWatch
from signer.serving.clock import SystemClock
from tests.harness.waiting import PATIENCE_S

HALT = Brake(new_id(1), "halt", "bot", "", "a reason", "me", 0, 1)


class Books:
    """A ledger and a log that take everything. The test looks at the folder itself."""

    def __init__(self) -> None:
        self.in_force: Mapping[tuple[str, str], Any] = {}
        self.recorded: list[Mapping[str, Json]] = []

    def follow_brakes(self, _: Path, look: Callable[[], None]) -> None:
        look()

    def brake(self, halts: Mapping[tuple[str, str], Any]) -> None:
        self.in_force = halts

    async def halt(self, _: object) -> None:
        await asyncio.sleep(0)

    async def record(self, entry: Mapping[str, Json], *, urgent: bool) -> None:
        assert urgent
        self.recorded.append(entry)


async def test_a_brake_whose_file_was_faster_than_the_question_is_on_record(tmp_path: Path) -> None:
    """The command hears so, and no halt stays in memory beside the one in the ledger."""
    folder, books = tmp_path / "brakes", Books()
    file_brake(folder, HALT)
    brakes = BrakeWatch(
        folder,
        cast("SqliteLedger", books),
        cast("AuditLog", books),
        Revocations(),
        watch=cast("Watch", None),
        clock=SystemClock(),
    )
    assert books.in_force
    async with asyncio.timeout(PATIENCE_S):
        while any(folder.iterdir()):
            await asyncio.sleep(0)
    told = await brakes.verbs()["brake"](Operator(0, "root"), {"brake": cast("Json", asdict(HALT))})
    assert told == {"recorded": True}
    assert not books.in_force
    assert len(books.recorded) == 2
    await brakes.close()
