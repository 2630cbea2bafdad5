"""A list of open orders that takes longer than a cancel can wait for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from signer.contracts import Journal, LookUps, Venue
from signer.gateway.aiming import READ_S, Aiming, every
from signer.gateway.forward import Account, Journey
from tests.harness.virtual import VirtualClock, run
from tests.unit.policy.examples import placed


class SlowAccount:
    """An account whose venue answers a minute later; it notes whether the read was given up before."""

    name = "main"

    def __init__(self, *, sends: bool) -> None:
        self._sends = sends
        self.is_given_up = False

    async def forward(self, _venue: Venue, _call: object, _client: str, journey: Journey, _check: object) -> object:
        """Wait for a turn, or for the answer if the call is ``sent``."""
        journey.sent = self._sends
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.is_given_up = True
            raise
        return None, None


@pytest.mark.parametrize("sent", [True, False])
def test_a_read_that_is_on_its_way_keeps_its_turn(sent: bool) -> None:
    """The cancel goes on without the list. A read that has left ends in its own time, so no later nonce overtakes it;
    one that waits for its turn gives up its place."""

    async def cancel() -> None:
        account, order = SlowAccount(sends=sent), placed()
        journal = SimpleNamespace(open_orders=lambda *_: [order], now_us=lambda: 0)
        venue = SimpleNamespace(open_orders=lambda: None)
        aiming = Aiming(cast("Journal", journal), cast("LookUps", None), VirtualClock())
        begun = asyncio.get_running_loop().time()
        assert await aiming.open_orders(cast("Account", account), cast("Venue", venue), "bot", every) == [order]
        assert asyncio.get_running_loop().time() == begun + READ_S
        await asyncio.sleep(120)
        assert account.is_given_up is not sent

    run(cancel())
