"""A halt stops an order wherever it has got to, as long as none of its bytes has left."""

from __future__ import annotations

import asyncio

import pytest

from tests.simulator.life import Life
from tests.simulator.simulation import Simulation, operate
from tests.simulator.venue import PROPER


@pytest.mark.parametrize("whom", ["", "ada"])
def test_a_halt_between_two_attempts_stops_the_second(whom: str) -> None:
    """The exchange cannot be reached for a second, and the client is halted within it."""
    with Simulation(seed=1) as simulation:
        bots, venue = simulation.bots, simulation.venue

        async def call(life: Life) -> None:
            venue.next = [None, PROPER]
            asked = asyncio.create_task(bots.call(life, bots.ask("ada", "add")))
            while len(venue.next) == 2:
                await asyncio.sleep(0.001)
            await operate(life, "halt", "begun", whom)
            await asked
            await operate(life, "resume", "done", whom)

        assert simulation.live(call)
        (ask,) = simulation.checks.asks
        assert set(ask.told.values()) == {"no"}
        assert "EGeneral:Policy halt: simulated" in ask.errors
        assert venue.next == [PROPER]
        simulation.come_to_rest()
