"""A bot makes unknown outcomes at will: each would hold its charges, cost the key reads, and hide in the noise."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from signer.model import OrderRef
from tests.simulator.asks import Ask
from tests.simulator.life import Life
from tests.simulator.simulation import Simulation
from tests.simulator.venue import PROPER, Behaviour
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
            assert not life.journal.open_intents()

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
            assert not life.journal.open_intents()
            assert not any(usage.used for usage in life.journal.usage("client/ada"))

        assert simulation.live(call)


def looks(simulation: Simulation) -> list[float]:
    """Return when open orders were listed for the gateway: once for each look."""
    return [at for at, endpoint in simulation.venue.asked if endpoint == "OpenOrders"]


def row(price: int) -> dict[str, str]:
    """A small order at that price."""
    return {**ORDER, "volume": "0.0001", "price": f"{price}.0"}


def copy_name(simulation: Simulation, life: Life) -> None:
    """Let somebody place an order with our name of the lost one, so that this stays unknown."""
    (lost,) = life.journal.open_intents()
    simulation.venue.by_hand("north", "AddOrder", pair="XBTUSD", **ORDER, userref=str(lost.intent.orders[0].own))


async def lose(simulation: Simulation, life: Life, endpoint: str, fields: Mapping[str, Any], *marks: str) -> None:
    """Let a call be carried out whose answer is lost."""
    simulation.venue.next = [Behaviour("now", "nothing")]
    await simulation.bots.call(life, Ask("ada", endpoint, fields, marks))


def test_a_lost_batch_of_15_is_reconciled_by_one_look() -> None:
    """One list of open and one of closed orders tell of all orders of all unknown calls."""
    with Simulation(seed=0) as simulation:

        async def call(life: Life) -> None:
            rows = [row(30_000 + leg) for leg in range(15)]
            marks = [each["price"] for each in rows]
            await lose(simulation, life, "AddOrderBatch", {"pair": "XBTUSD", "orders": rows}, *marks)
            await lose(simulation, life, "AddOrder", {"pair": "XBTUSD", **row(31_000)}, "31000.0")
            before = len(simulation.venue.asked)
            await life.recovery.look_up("north")
            assert not life.journal.open_intents()
            asked = [endpoint for _, endpoint in simulation.venue.asked[before:]]
            assert asked == ["OpenOrders", "ClosedOrders"]
            for deed in simulation.venue.deeds:
                (known,) = life.journal.find_orders("north", OrderRef("venue-id", deed.txid))
                assert known.client == "ada"

        assert simulation.live(call)
        assert len(simulation.venue.deeds) == 16


def test_who_asks_at_the_same_time_shares_a_look() -> None:
    """A caller that comes during a look shares the next one, since this one may have missed its call."""
    with Simulation(seed=0) as simulation:

        async def call(life: Life) -> None:
            await lose(simulation, life, "AddOrder", {"pair": "XBTUSD", **ORDER, "userref": "7"}, ORDER["price"])
            copy_name(simulation, life)
            before = len(looks(simulation))
            first = asyncio.create_task(life.recovery.look_up("north"))
            while len(looks(simulation)) == before:
                await asyncio.sleep(0.001)
            await asyncio.gather(first, *(life.recovery.look_up("north") for _ in range(20)))
            assert len(looks(simulation)) - before == 2

        assert simulation.live(call)


def test_what_stays_unknown_is_asked_for_ever_more_seldom() -> None:
    """An outcome in doubt for four hours causes a dozen looks and as many alarms, not one every 15 s."""
    with Simulation(seed=0) as simulation:

        async def call(life: Life) -> None:
            await lose(simulation, life, "AddOrder", {"pair": "XBTUSD", **ORDER}, ORDER["price"])
            copy_name(simulation, life)
            await asyncio.sleep(14_400)
            assert len(life.journal.open_intents()) == 1
            assert len([kind for kind, _ in life.alarms if kind == "unknown-outcome"]) == len(looks(simulation))

        assert simulation.live(call)
        assert 8 < len(looks(simulation)) < 14


def test_one_refused_read_does_not_void_the_others() -> None:
    """An amend is told by the open orders though the closed ones, which a new order needs too, are refused."""
    with Simulation(seed=0) as simulation:

        async def call(life: Life) -> None:
            placed = Ask("ada", "AddOrder", {"pair": "XBTUSD", **ORDER}, (ORDER["price"],))
            await simulation.bots.call(life, placed)
            amend = {"txid": placed.txids[ORDER["price"]], "limit_price": "30001"}
            await lose(simulation, life, "AmendOrder", amend, "30001")
            await lose(simulation, life, "AddOrder", {"pair": "XBTUSD", **row(31_000)}, "31000.0")
            simulation.venue.next = [PROPER, Behaviour("never", "throttled")]
            await life.recovery.look_up("north")
            (left,) = life.journal.open_intents()
            assert left.intent.endpoint == "AddOrder"
            await asyncio.sleep(200)  # the exchange has asked for quiet
            assert not life.journal.open_intents()

        assert simulation.live(call)


def test_the_closed_orders_are_read_page_by_page() -> None:
    """A lost order that has closed is found behind the 120 that the owner's hand opened and closed after it."""
    with Simulation(seed=0) as simulation:

        async def call(life: Life) -> None:
            await lose(simulation, life, "AddOrder", {"pair": "XBTUSD", **ORDER}, ORDER["price"])
            (deed,) = simulation.venue.deeds
            simulation.venue.by_hand("north", "CancelOrder", txid=deed.txid)
            for number in range(120):
                simulation.venue.by_hand("north", "AddOrder", pair="XBTUSD", timeinforce="IOC", **row(20_000 + number))
            before = len(simulation.venue.asked)
            await life.recovery.look_up("north")
            asked = [endpoint for _, endpoint in simulation.venue.asked[before:]]
            assert asked == ["OpenOrders", *["ClosedOrders"] * 3]
            (known,) = life.journal.find_orders("north", OrderRef("venue-id", deed.txid))
            assert known.client == "ada"

        assert simulation.live(call)
