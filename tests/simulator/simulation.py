"""One simulation: lives of the gateway that end in crashes, and a last one in which everything must come right."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

from signer.errors import AuditError
from signer.gateway.trace import operator_record
from signer.home.layout import Home
from signer.ledger import checkpoint, room
from signer.model import HaltScope, Json
from tests.simulator.asks import CLIENTS
from tests.simulator.bots import Bots
from tests.simulator.checks import Checks
from tests.simulator.life import Life
from tests.simulator.venue import SimVenue
from tests.simulator.world import World

ROOM: dict[str, Any] = {"LOG_BYTES": 64 << 10, "SPARE_BYTES": 72 << 10, "LEAST_PAGES": 16, "GROWTH_BYTES": 256 << 10}
"""Of the marks, for few: to claim as much as in earnest takes longer than all else that a simulation does."""
SLICES_S = (-1.0, 1_000.0)
"""A checkpoint is stored row by row, or all at once: a real slice ends by the real clock, which no seed repeats."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it; without it the disk does
Program = Callable[[Life], Coroutine[Any, Any, None]]


class Simulation:
    """A machine, a venue and clients, all from one seed."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self._folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self._home = Home(Path(self._folder.name))
        self.checks = Checks(self.world, self._home)
        self.venue = self.checks.venue = SimVenue(self.world, self.checks)
        self._patches = ExitStack()
        self.bots = Bots(self.world, self.checks.asks)

    def __enter__(self) -> Simulation:
        self._patches.enter_context(mock.patch.multiple(room, **ROOM))
        self._patches.enter_context(mock.patch.object(checkpoint, "SLICE_S", self.world.random.choice(SLICES_S)))
        return self

    def __exit__(self, *_: object) -> None:
        self._patches.close()
        self._folder.cleanup()

    def live(self, program: Program, *, crash_at: int | None = None, checkpoint_every: int = 0) -> bool:
        """Live one life of the gateway; False if the machine died in it, at its step ``crash_at`` from here on.

        The checkpoint is written every so many records; 0: as many as chance says.
        """
        world = self.world
        every = checkpoint_every or world.random.choice((1, 3, 20, 2_000))
        life = Life(world, self.venue, self._home, every)
        self.checks.journal = None
        world.crash_at = None if crash_at is None else world.steps + crash_at

        async def main() -> bool:
            await life.start()
            self.checks.journal = life.journal
            await program(life)
            await life.stop()
            return True

        try:
            ended = world.run(main())
        finally:
            life.connections.bury()
        if not ended:
            world.disk_crashes()
        self.checks.between_lives()
        world.pass_time(world.random.uniform(0.5, 20.0))
        return bool(ended)

    def come_to_rest(self) -> None:
        """A last life without faults: recover, wait until nothing is open, and check."""
        world = self.world
        world.calm = True

        async def rest(life: Life) -> None:
            await life.settled()
            while world.eventful:  # whatever the venue still does must find its reservation in place
                await asyncio.sleep(10.0)
            await self.checks.at_the_end(life.journal, life.marks)

        assert self.live(rest)


def random_simulation(seed: int) -> int:
    """Concurrent calls with faults of every kind and crashes at any step; a digest of all that happened."""
    with Simulation(seed) as simulation:
        world, random = simulation.world, simulation.world.random
        simulation.venue.faulty = random.choice((0.0, 0.2, 0.5))
        simulation.venue.lags_s = random.choice((0.0, 0.0, 2.0, 20.0))
        simulation.venue.restless = random.choice((0.0, 0.0, 0.2))
        for _ in range(random.choice((1, 1, 2, 3))):
            crash_at = random.choice((None, random.randint(1, 60), random.randint(1, 400), random.randint(1, 400)))
            simulation.live(lambda life: _busy(simulation, life), crash_at=crash_at)
            world.heal()
        simulation.come_to_rest()
        return world.digest


async def _busy(simulation: Simulation, life: Life) -> None:
    """All clients at once, and trouble."""
    world = simulation.world
    trouble = asyncio.create_task(_trouble(simulation, life))
    calls = {client: world.random.randint(1, 12) for client in CLIENTS}
    await asyncio.gather(*(simulation.bots.trade(life, client, calls[client]) for client in CLIENTS))
    trouble.cancel()
    if world.random.random() < 0.8:  # else it stops on a disk that may fail
        world.heal()
    if world.random.random() < 0.5:
        await life.settled()


async def _trouble(simulation: Simulation, life: Life) -> None:
    """The clock jumps, disks fail, the venue is gone for a while, an operator halts."""
    world, random = simulation.world, simulation.world.random
    troubles = random.sample(
        ("clock", "disk full", "disk", "hang", "marks", "book", "venue", "halt"), random.randint(0, 3)
    )
    while troubles:
        await asyncio.sleep(random.uniform(0.0, 8.0))
        trouble = random.choice(troubles)
        world.note(f"trouble: {trouble}")
        until = world.now + random.uniform(0.1, 6.0)
        match trouble:
            case "clock" if life.is_clock_known:
                world.wall_us = round(random.choice((-0.1, 0.1, -5, 5, -50, 50)) * random.uniform(0, 1_000_000))
            case "disk full":
                world.disk_full_until = until
            case "disk":
                world.disk_fails_until = until
            case "hang":
                world.hangs_s[random.choice(("audit", "audit", "marks"))] = random.choice((2.0, 7.0, 60.0))
            case "marks":
                world.marks_fail_until = until
            case "book":
                world.book_fails_until = until
            case "venue":
                simulation.venue.gone_until = until
            case "halt":
                await _halt_for_a_while(life, random.choice(HALTED), until - world.now)


FIRST: list[Json] = [next(iter(CLIENTS))]
HALTED: Sequence[Mapping[str, Json]] = (
    {},
    *({"client": client} for client in CLIENTS),
    {"pair": "XXBTZUSD"},
    {"pair": "XETHZUSD", "state": "cancel_only"},
    {"group": "some", "clients": FIRST},
)
"""What an operator halts, as its record says it."""


async def _halt_for_a_while(life: Life, halted: Mapping[str, Json], seconds: float) -> None:
    await operate(life, "halt", "begun", **halted)
    await asyncio.sleep(seconds)
    await operate(life, "resume", "done", **{name: halted[name] for name in HaltScope._fields if name in halted})


async def operate(life: Life, act: str, stage: str, **more: Json) -> None:
    """Record an operator's act, which counts at once, whatever the disk does."""
    told: dict[str, Json] = {"id": "simulated", "act": act, "stage": stage, "reason": "simulated"}
    try:
        await life.journal.record({**operator_record(1, "operator", told, life.clock.now_us()), **more}, urgent=True)
    except AuditError:
        life.world.note(f"{act} is in effect and not on record yet")
