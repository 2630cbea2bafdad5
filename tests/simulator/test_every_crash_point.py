"""Every crash point, not some: the machine dies at each step of each kind of call, and recovery makes it right."""

from __future__ import annotations

import os

import pytest

from tests.simulator.life import Life
from tests.simulator.simulation import Simulation
from tests.simulator.venue import PROPER, Behaviour

KINDS = (
    "add",
    "add with cl_ord_id",
    "add with userref",
    "validate",
    "batch",
    "edit",
    "amend",
    "add, then amend",
    "add with cl_ord_id, then amend",
    "amend by cl_ord_id",
    "cancel",
    "add with userref, then cancel by userref",
    "read",
    "denied",
    "bad signature",
    "key info",
)
ORDERS = ("add", "batch", "edit", "amend") if "SIGNER_SIMULATOR_SEEDS" in os.environ else ("add", "amend")
"""Those that are also left unanswered; all of them in a longer campaign."""
UNANSWERED = (Behaviour("now", "nothing"), Behaviour("late", "cut"), Behaviour("never", "502"))
BY_USERREF = "add with userref, then cancel by userref"
NEED_NOTHING = frozenset(
    {"add", "add with cl_ord_id", "add with userref", "validate", "batch", "add, then amend", BY_USERREF}
)
CASES = [(kind, PROPER) for kind in KINDS] + [(kind, behaviour) for kind in ORDERS for behaviour in UNANSWERED]


def steps_of(kind: str, behaviour: Behaviour, crash_at: int | None, seed: int = 0) -> int:
    """Place an order, start anew, and make a call of that kind in a life that ends at its step ``crash_at``; then
    recover and check. Return how many steps the second life has until the call has ended."""
    with Simulation(seed) as simulation:
        bots, world = simulation.bots, simulation.world

        async def prepare(life: Life) -> None:
            await bots.call(life, bots.ask("ada", "add"))
            await bots.call(life, bots.ask("ada", "add with cl_ord_id"))

        async def call(life: Life) -> None:
            simulation.venue.next = [behaviour]
            for each in kind.split(", then "):
                await bots.call(life, bots.ask("ada", each))

        if kind not in NEED_NOTHING:
            assert simulation.live(prepare)
        before = world.steps
        ended = simulation.live(call, crash_at=crash_at)
        steps = world.steps - before
        assert ended == (crash_at is None), "the crash point was never reached"
        simulation.venue.next = []
        simulation.come_to_rest()
        return steps


@pytest.mark.parametrize(("kind", "behaviour"), CASES, ids=lambda value: str(value).replace(" ", "-"))
def test_a_crash_at_every_step(kind: str, behaviour: Behaviour) -> None:
    """The machine may die at any step from the start, through the call, to the stop."""
    steps = steps_of(kind, behaviour, None)
    assert steps > 15
    for step in range(1, steps + 1):
        try:
            steps_of(kind, behaviour, step)
        except AssertionError as error:
            raise AssertionError(f"{kind} with {behaviour}, a crash at step {step} of {steps}: {error}") from error
