"""A halt stops an order wherever it has got to, as long as none of its bytes has left."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from signer.gateway.line import Gateway
from signer.model import HaltScope, Json
from tests.simulator.asks import CLIENTS
from tests.simulator.life import Life
from tests.simulator.simulation import Simulation, operate
from tests.simulator.venue import PROPER

HALTS: Sequence[Mapping[str, Json]] = (
    {},
    {"client": "ada"},
    {"pair": "XXBTZUSD"},
    {"group": "some", "clients": ["ada"]},
    {"account": CLIENTS["ada"], "state": "cancel_only"},
)


def halt_between_two_attempts(halted: Mapping[str, Json]) -> Simulation:
    """The exchange cannot be reached for a second, and an operator halts within it."""
    with Simulation(seed=1) as simulation:
        bots, venue = simulation.bots, simulation.venue

        async def call(life: Life) -> None:
            venue.next = [None, PROPER]
            asked = asyncio.create_task(bots.call(life, bots.ask("ada", "add")))
            while len(venue.next) == 2:
                await asyncio.sleep(0.001)
            await operate(life, "halt", "begun", **halted)
            await asked
            await operate(
                life, "resume", "done", **{name: halted[name] for name in HaltScope._fields if name in halted}
            )

        assert simulation.live(call)
        simulation.come_to_rest()
    return simulation


@pytest.mark.parametrize("halted", HALTS)
def test_a_halt_between_two_attempts_stops_the_second(halted: Mapping[str, Json]) -> None:
    """Whatever it is of, as long as it fits the order."""
    simulation = halt_between_two_attempts(halted)
    (ask,) = simulation.checks.asks
    assert set(ask.told.values()) == {"no"}
    rule = "cancel-only" if "state" in halted else "halt"
    assert f"Policy {rule}: simulated" in " ".join(ask.errors)
    assert simulation.venue.next == [PROPER]


@pytest.mark.parametrize("halted", HALTS)
def test_a_line_that_asks_for_no_halts_at_the_turn_is_found_out(
    halted: Mapping[str, Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checks of every simulation see an order that leaves though a halt fits it."""
    monkeypatch.setattr(Gateway, "_check", lambda *_: None)
    with pytest.raises(AssertionError, match="is sent, though ada is halted"):
        halt_between_two_attempts(halted)
