"""A bot makes unknown outcomes at will: each would hold its charges, cost the key reads, and hide in the noise."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.simulator.asks import Ask
from tests.simulator.life import Life
from tests.simulator.simulation import Simulation
from tests.simulator.world import START_US

ORDER = {"type": "buy", "ordertype": "limit", "volume": "0.001", "price": "30000"}


def after(seconds: float) -> str:
    """An RFC 3339 time so long after the simulated world began."""
    return (datetime.fromtimestamp(START_US / 1e6, UTC) + timedelta(seconds=seconds)).isoformat()


CALLS: Mapping[str, Mapping[str, Any]] = {
    "AddOrder": {"pair": "XBTUSD", **ORDER},
    "AddOrderBatch": {"pair": "XBTUSD", "orders": [ORDER, ORDER]},
    "EditOrder": {"pair": "XBTUSD", "txid": "OAAAAA-AAAAA-AAAAAA", "volume": "0.002"},
    "AmendOrder": {"txid": "OAAAAA-AAAAA-AAAAAA", "order_qty": "0.002"},
}


@pytest.mark.parametrize("deadline", [after(-1e9), after(-1), after(600)], ids=["long ago", "just now", "beyond 60 s"])
@pytest.mark.parametrize("endpoint", CALLS)
def test_a_deadline_makes_no_unknown(endpoint: str, deadline: str) -> None:
    """A deadline that the exchange would answer with a doubtful error is refused by us; nothing is held or sent."""
    with Simulation(seed=0) as simulation:

        async def call(life: Life) -> None:
            ask = Ask("ada", endpoint, {**CALLS[endpoint], "deadline": deadline})
            await simulation.bots.call(life, ask)
            assert ask.errors[0] == "EGeneral:Invalid arguments"
            assert "deadline" in ask.errors[1]
            assert not await life.ledger.open_intents()

        assert simulation.live(call)
        assert not simulation.venue.deeds


def test_a_post_only_order_that_would_take_makes_no_unknown() -> None:
    """Kraken's no to it is a clear one, and what it held is given back."""
    with Simulation(seed=0) as simulation:

        async def call(life: Life) -> None:
            order = {**ORDER, "price": "999999", "volume": "0.0005", "oflags": "post"}
            ask = Ask("ada", "AddOrder", {"pair": "XBTUSD", **order}, ("999999",))
            await simulation.bots.call(life, ask)
            assert ask.errors == ("EOrder:Post only order",)
            await life.gateway.drained()
            assert not await life.ledger.open_intents()
            assert not any(usage.used for usage in await life.ledger.usage("client/ada"))

        assert simulation.live(call)
