"""The lane of a venue without nonces: several calls at a time, with the same contract."""

from __future__ import annotations

import asyncio

from signer.lanes import CredentialLane, NoNonces
from signer.model import Priority
from tests.harness.virtual import VirtualClock, run


def test_calls_go_side_by_side_up_to_the_bound() -> None:
    """Three have a turn at once, the fourth waits for one to end, and none has a nonce."""

    async def most_at_once() -> tuple[int, set[int]]:
        lane = CredentialLane("key", clock=VirtualClock(), nonces=NoNonces(), depth=3)
        inside, most, nonces = 0, 0, set[int]()

        async def call() -> None:
            nonlocal inside, most
            async with lane.turn("bot", Priority.ORDER, 60.0) as turn:
                inside += 1
                most = max(most, inside)
                nonces.add(turn.nonce)
                turn.nonce_refused()
                await asyncio.sleep(1.0)
                inside -= 1

        await asyncio.gather(*(call() for _ in range(7)))
        lane.learn(5)
        assert (lane.handed, lane.used) == (0, False)
        return most, nonces

    assert run(most_at_once()) == (3, {0})
