"""Whatever fails, and wherever the machine dies: what was acknowledged is in the log, once, in an unbroken chain."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.audit.chain import Appender
from signer.audit.report import from_marks
from signer.audit.verify import verify
from signer.errors import AuditError
from signer.model import ChainHead, Json
from tests.unit.audit.given import FOLDER, entry, ids, new_appender
from tests.unit.audit.worse_disk import Crashed, WorseDisk


class Run:
    """Batches given to logs on one disk, with what they acknowledged."""

    def __init__(self, disk: WorseDisk) -> None:
        self.disk = disk
        self.acknowledged: list[Json] = []
        self.kept: ChainHead | None = None
        self.named = 0

    def go(self, batches: list[int], *, urgent: bool = False) -> None:
        """Open a log and give it batches of so many records."""
        asyncio.run(self._go(batches, urgent=urgent))

    async def _go(self, batches: list[int], *, urgent: bool) -> None:
        log = new_appender(self.disk)
        await log.open(self.kept)
        with contextlib.suppress(OSError):
            await log.begin()
        for size in batches:
            names = [f"r{self.named + index}" for index in range(size)]
            self.named += size
            if not await self._append(log, names, urgent=False) and urgent:
                await self._append(log, names[:1], urgent=True)
        await log.close()

    async def _append(self, log: Appender, names: list[str], *, urgent: bool) -> bool:
        try:
            await log.append([entry(name, "intent") for name in names], urgent=urgent)
        except OSError:
            return False
        self.acknowledged += names
        self.kept = log.head
        return True

    def check(self) -> None:
        """Check that the log is complete after a restart without faults, has nothing twice, is unbroken and goes on."""
        before = len(self.acknowledged)
        self.go([1])
        recorded = [name for name in ids(self.disk) if str(name).startswith("r")]
        assert len(recorded) == len(set(map(str, recorded)))
        assert [name for name in recorded if name in self.acknowledged] == self.acknowledged
        assert len(self.acknowledged) == before + 1
        report = verify(FOLDER, from_marks(self.kept), self.disk)
        assert report.ok, report.findings


@pytest.mark.parametrize("tear", range(3))
def test_a_crash_at_every_step(tear: int) -> None:
    """The machine dies at each disk step in turn, through rotation and recovery from a failed sync."""
    batches = [1, 3, 2, 4, 1, 2] * 2
    step = 0
    while True:
        step += 1
        disk = WorseDisk()
        run = Run(disk)

        def trouble(number: int, name: str, step: int = step) -> int | type[Crashed] | None:
            if number == step:
                return Crashed
            return errno.EIO if number in {20, 21} and name == "sync" else None

        disk.trouble = trouble
        try:
            run.go(batches)
        except Crashed:
            disk.crash(random.Random(step * 10 + tear))  # noqa: S311
            run.check()
        else:
            break
    assert step > 40


def faults(failing: dict[int, int], crash_at: int) -> Callable[[int, str], int | type[Crashed] | None]:
    """Trouble for a disk: the steps that fail, and the one at which the machine dies."""
    return lambda number, _name: Crashed if number == crash_at else failing.get(number)


@given(
    batches=st.lists(st.integers(0, 5), min_size=1, max_size=8),
    failing=st.dictionaries(st.integers(1, 80), st.sampled_from([errno.EIO, errno.ENOSPC, errno.EROFS]), max_size=6),
    crashes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    room=st.integers(5_000, 20_000),
    urgent=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_random_faults_and_crashes(
    batches: list[int], failing: dict[int, int], crashes: list[int], room: int, urgent: bool, seed: int
) -> None:
    """Any steps fail in any way on a disk that may fill up, the machine dies anywhere, again and again."""
    disk, chance = WorseDisk(room), random.Random(seed)  # noqa: S311
    run = Run(disk)
    for crash_after in crashes:
        disk.trouble = faults(failing, disk.steps + crash_after)
        with contextlib.suppress(Crashed, AuditError, OSError):
            run.go(batches, urgent=urgent)
        disk.crash(chance)
    disk.room = 1 << 30
    run.check()
