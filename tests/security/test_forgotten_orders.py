"""An order that the gateway forgets while it is open is an order that its bot cannot cancel any more."""

from __future__ import annotations

import asyncio

import pytest

from signer.gateway import reconcile as recovery
from signer.model import OrderRef
from tests.simulator import world
from tests.simulator.asks import Ask
from tests.simulator.life import Life
from tests.simulator.simulation import Simulation

LONG_S = 95 * 24 * 3600
PRICES = tuple(f"{price}" for price in range(30_000, 30_012))


async def place(simulation: Simulation, life: Life, price: str) -> str:
    """An order of ada's; its txid."""
    order = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.0001", "price": price}
    ask = Ask("ada", "AddOrder", order, (price,))
    await simulation.bots.call(life, ask)
    assert not ask.errors, ask.errors
    return ask.txids[price]


def test_an_open_order_is_known_however_old_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 95 days, a restart and many younger orders its bot still cancels it."""
    monkeypatch.setattr(world, "LONGEST_S", 2 * LONG_S)
    with Simulation(seed=0) as simulation:
        resting: list[str] = []

        async def first(life: Life) -> None:
            resting.append(await place(simulation, life, PRICES[0]))

        async def second(life: Life) -> None:
            life.journal.trust_clock()  # a start asks the exchange about a clock that is so far ahead of the log
            for price in PRICES[1:]:
                await place(simulation, life, price)
            cancel = Ask("ada", "CancelOrder", {"txid": resting[0]})
            await simulation.bots.call(life, cancel)
            assert cancel.errors == ()

        assert simulation.live(first)
        simulation.world.pass_time(LONG_S)
        assert simulation.live(second)


def test_only_the_exchange_s_own_list_closes_an_order() -> None:
    """Once an hour, and never one that is younger than two minutes; an accepted cancel proves nothing."""
    with Simulation(seed=0) as simulation:

        def is_closed(life: Life, txid: str) -> bool:
            (known,) = life.journal.find_orders("north", OrderRef("venue-id", txid))
            return known.closed

        async def call(life: Life) -> None:
            old, other = [await place(simulation, life, price) for price in PRICES[:2]]
            await simulation.bots.call(life, Ask("ada", "CancelOrder", {"txid": old}))
            await asyncio.sleep(3_700)
            young = await place(simulation, life, PRICES[2])
            simulation.venue.by_hand("north", "CancelOrder", txid=young)
            assert (is_closed(life, old), is_closed(life, other)) == (True, False)
            await life.recovery.look_up("north")
            assert not is_closed(life, young)
            await asyncio.sleep(3_700)
            assert (is_closed(life, young), is_closed(life, other)) == (True, False)

        assert simulation.live(call)


def test_a_clock_that_is_set_ahead_closes_no_young_order() -> None:
    """An order is as old as the journal's clock says, by which it was placed: the exchange may not list it yet."""
    with Simulation(seed=0) as simulation:

        async def call(life: Life) -> None:
            simulation.world.wall_us += 8 * 3600 * 1_000_000
            young = await place(simulation, life, PRICES[0])
            simulation.venue.by_hand("north", "CancelOrder", txid=young)
            await life.recovery.look_up("north")
            (known,) = life.journal.find_orders("north", OrderRef("venue-id", young))
            assert not known.closed

        assert simulation.live(call)


def test_where_many_may_be_open_the_list_is_asked_for_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a cancel by userref finds is bounded: closed orders must not crowd out the one that rests."""
    monkeypatch.setattr(recovery, "MANY_OPEN", 2)
    with Simulation(seed=0) as simulation:

        async def call(life: Life) -> None:
            txids = [await place(simulation, life, price) for price in PRICES[:3]]
            simulation.venue.by_hand("north", "CancelOrder", txid=txids[0])
            await asyncio.sleep(recovery.LIST_AGAIN_S + 2 * recovery.EVERY_S)
            known = [life.journal.find_orders("north", OrderRef("venue-id", txid)) for txid in txids]
            assert [one.closed for (one,) in known] == [True, False, False]

        assert simulation.live(call)


def test_an_order_that_closed_while_no_gateway_ran_is_closed_at_the_start() -> None:
    """An order that was placed more than two minutes before the start and is not listed as open is closed."""
    with Simulation(seed=0) as simulation:
        txids: list[str] = []

        async def first(life: Life) -> None:
            txids.append(await place(simulation, life, PRICES[0]))

        async def second(life: Life) -> None:
            await asyncio.sleep(5)
            (known,) = life.journal.find_orders("north", OrderRef("venue-id", txids[0]))
            assert known.closed

        assert simulation.live(first)
        simulation.venue.by_hand("north", "CancelOrder", txid=txids[0])
        simulation.world.pass_time(130)
        assert simulation.live(second)
