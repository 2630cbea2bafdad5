"""A bot's call whose answer was lost must never win it an order that somebody else placed.

Who owns an order may change and cancel it. So a look-up that took the owner's order, or another bot's, for the bot's
own would hand it over, and free the bot's own order from its caps. Orders are looked up by our own names, which are
random, so a twin with the client's name changes nothing. An intruder who reads a name of ours at the exchange can place
another order with it, and then nobody but a person tells which is which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from signer.errors import ConfigError
from signer.model import OpenIntent, OrderRef
from tests.simulator.asks import Ask
from tests.simulator.life import Life
from tests.simulator.logs import durable_records
from tests.simulator.simulation import Simulation
from tests.simulator.venue import PROPER, Behaviour

NEVER = Behaviour("never", "nothing")
LOST = Behaviour("now", "nothing")
TWIN = {"type": "buy", "ordertype": "limit", "volume": "0.05", "price": "19000"}
"""Bob's order and the owner's: alike in all."""
NAMES: Sequence[Mapping[str, str]] = ({"cl_ord_id": "owner-1"}, {"userref": "777"})
LONG_S = 400.0
"""Long enough for an order that is not there to be given up."""


@dataclass
class Scene:
    """One life of the gateway in which the account's owner acts too, and what is left at its end."""

    simulation: Simulation
    life: Life

    def owner(self, **params: str) -> str:
        """The owner places an order by hand."""
        return self.simulation.venue.by_hand("north", "AddOrder", pair="XBTUSD", **params)

    def intruder(self, leg: int = 0) -> str:
        """Somebody reads our name of an order whose answer is lost, and places a twin with it."""
        (lost,) = self.life.journal.open_intents()
        order = lost.intent.orders[leg]
        return self.owner(**{**TWIN, "volume": f"{order.volume:f}", "price": str(order.price)}, userref=str(order.own))

    async def bot(self, behaviour: Behaviour, client: str = "bob", **params: str) -> Ask:
        """A client places an order, and the exchange behaves so."""
        self.simulation.venue.next = [behaviour]
        ask = Ask(client, "AddOrder", {"pair": "XBTUSD", **params}, (params["price"],))
        await self.simulation.bots.call(self.life, ask)
        return ask

    def owns(self, txid: str) -> str:
        """Whose order the book says it is; empty if nobody's."""
        known = self.life.journal.find_orders("north", OrderRef("venue-id", txid))
        return known[0].client if known else ""

    async def still_unknown(self) -> Sequence[OpenIntent]:
        """What is unknown after a long time."""
        await asyncio.sleep(LONG_S)
        return self.life.journal.open_intents()

    @property
    def placed(self) -> Sequence[str]:
        """The orders that the exchange placed for bots."""
        return [deed.txid for deed in self.simulation.venue.deeds]

    @property
    def alarmed(self) -> bool:
        """Whether an operator was told of an unknown outcome."""
        return any(kind == "unknown-outcome" for kind, _ in self.life.alarms)

    async def close(self, reservation: int, *txids: str, reason: str = "I looked") -> bool:
        """What an operator does about an unknown outcome."""
        return await self.life.recovery.close_by_hand(reservation, txids, by="op", uid=1000, reason=reason)


def play(scene: str, **given: Mapping[str, str]) -> None:
    """Let one of the scenes below happen."""
    with Simulation(seed=0) as simulation:
        assert simulation.live(lambda life: SCENES[scene](Scene(simulation, life), **given))


async def open_twin(scene: Scene, name: Mapping[str, str]) -> None:
    """The owner's order rests when the bot's is lost, which never arrived."""
    theirs = scene.owner(**TWIN, **name)
    await scene.bot(NEVER, **TWIN, **name)
    assert not await scene.still_unknown()
    assert scene.owns(theirs) == ""


async def twin_closed_before(scene: Scene, name: Mapping[str, str]) -> None:
    """The owner's order is cancelled before the bot sends its twin."""
    theirs = scene.owner(**TWIN, **name)
    scene.simulation.venue.by_hand("north", "CancelOrder", txid=theirs)
    await asyncio.sleep(10)
    await scene.bot(NEVER, **TWIN, **name)
    assert not await scene.still_unknown()
    assert scene.owns(theirs) == ""


async def twin_closed_meanwhile(scene: Scene, name: Mapping[str, str]) -> None:
    """Cancel the twin while the bot's order is unknown."""
    theirs = scene.owner(**TWIN, **name)
    await asyncio.sleep(10)
    await scene.bot(NEVER, **TWIN, **name)
    scene.simulation.venue.by_hand("north", "CancelOrder", txid=theirs)
    await scene.still_unknown()
    assert scene.owns(theirs) == ""


async def two_twins(scene: Scene, name: Mapping[str, str]) -> None:
    """The bot's order was placed, and the owner placed one like it afterwards."""
    await scene.bot(LOST, **TWIN, **name)
    (own,) = scene.placed
    theirs = scene.owner(**TWIN, **name)
    assert not await scene.still_unknown()
    assert (scene.owns(theirs), scene.owns(own)) == ("", "bob")


async def intruder(scene: Scene, name: Mapping[str, str]) -> None:
    """Somebody reads our name of the bot's order, and places one like it: neither is taken for the bot's."""
    await scene.bot(LOST, **TWIN, userref=name.get("userref", "1"))
    (own,) = scene.placed
    theirs = scene.intruder()
    (left,) = await scene.still_unknown()
    assert (scene.owns(theirs), scene.owns(own), left.intent.client) == ("", "", "bob")
    assert scene.alarmed


async def order_of_another_bot(scene: Scene, name: Mapping[str, str]) -> None:
    """The book knows whose it is."""
    ada = await scene.bot(PROPER, "ada", **TWIN, **name)
    await scene.bot(NEVER, **TWIN, **name)
    assert not await scene.still_unknown()
    assert scene.owns(ada.txids["19000"]) == "ada"


async def lost_order_of_another_bot(scene: Scene, name: Mapping[str, str]) -> None:
    """Lose two calls that are alike, of which one placed its order."""
    await scene.bot(LOST, "ada", **TWIN, **name)
    await scene.bot(NEVER, "bob", **TWIN, **name)
    await scene.still_unknown()
    (placed,) = scene.placed
    assert scene.owns(placed) == "ada"


async def own_order(scene: Scene, name: Mapping[str, str]) -> None:
    """Leave everybody else out."""
    await scene.bot(LOST, **TWIN, **name)
    assert not await scene.still_unknown()
    (own,) = scene.placed
    assert scene.owns(own) == "bob"


async def wrong_wall_clock(scene: Scene, name: Mapping[str, str]) -> None:
    """Our clock is set back by an hour after the owner's order and set right again."""
    theirs = scene.owner(**TWIN, **name)
    await asyncio.sleep(10)
    scene.simulation.world.wall_us = -3_600_000_000
    await scene.bot(LOST, **TWIN, **({} if "cl_ord_id" in name else name))
    scene.simulation.world.wall_us = 0
    assert not await scene.still_unknown()
    (own,) = scene.placed
    assert (scene.owns(own), scene.owns(theirs)) == ("bob", "")


SCENES = {
    scene.__name__: scene
    for scene in (
        open_twin,
        twin_closed_before,
        twin_closed_meanwhile,
        two_twins,
        intruder,
        order_of_another_bot,
        lost_order_of_another_bot,
        own_order,
        wrong_wall_clock,
    )
}


@pytest.mark.parametrize("name", NAMES, ids=["cl_ord_id", "userref"])
@pytest.mark.parametrize("scene", SCENES)
def test_only_the_bot_s_own_order_becomes_its_own(scene: str, name: Mapping[str, str]) -> None:
    """An order is the bot's by our name of it alone; what is in doubt stays unknown, with an alarm."""
    play(scene, name=name)


async def batch(scene: Scene) -> None:
    """An intruder has a twin of the middle leg only."""
    rows = [{**TWIN, "volume": "0.001", "price": price, "userref": "7"} for price in ("19000", "19001", "19002")]
    scene.simulation.venue.next = [LOST]
    await scene.simulation.bots.call(
        scene.life, Ask("bob", "AddOrderBatch", {"pair": "XBTUSD", "orders": rows}, ("19000", "19001", "19002"))
    )
    theirs = scene.intruder(1)
    (left,) = await scene.still_unknown()
    placed = {deed.mark: deed.txid for deed in scene.simulation.venue.deeds}
    owned = [scene.owns(placed[price]) for price in ("19000", "19001", "19002")]
    assert (owned, scene.owns(theirs)) == (["bob", "", "bob"], "")
    assert [str(order.price) for order in left.intent.orders] == ["19001"]


async def by_hand(scene: Scene) -> None:
    """A person says that nothing was placed; what does not fit is refused."""
    await scene.bot(LOST, **TWIN, userref="777")
    theirs = scene.intruder()
    ada = await scene.bot(PROPER, "ada", **{**TWIN, "price": "18000"})
    (left,) = await scene.still_unknown()
    for wrong in ((ada.txids["18000"],), (theirs, theirs), ("no txid",)):
        with pytest.raises(ConfigError):
            await scene.close(left.reservation, *wrong)
    assert not await scene.close(left.reservation + 1)
    assert await scene.close(left.reservation, reason="there is none")
    assert not scene.life.journal.open_intents()
    record = [one for one in durable_records(scene.simulation.world) if one["kind"] == "reconciled"][-1]
    assert (record["outcome"], record["by"], record["uid"], record["reason"]) == (
        "not-sent",
        "op",
        1000,
        "there is none",
    )
    assert scene.owns(theirs) == ""


async def settled_by_hand(scene: Scene) -> None:
    """A person says which of the two it is."""
    await scene.bot(LOST, **TWIN, userref="777")
    theirs = scene.intruder()
    (left,) = await scene.still_unknown()
    (own,) = scene.placed
    assert await scene.close(left.reservation, own)
    assert (scene.owns(own), scene.owns(theirs)) == ("bob", "")
    assert not scene.life.journal.open_intents()


async def by_hand_while_a_look_settles_a_part(scene: Scene) -> None:
    """What a person says of all three legs does not fit the one that a look has left."""
    rows = [{**TWIN, "volume": "0.001", "price": price, "userref": "7"} for price in ("19000", "19001", "19002")]
    scene.simulation.venue.next = [LOST]
    fields = {"pair": "XBTUSD", "orders": rows}
    await scene.simulation.bots.call(scene.life, Ask("bob", "AddOrderBatch", fields, ("19000", "19001", "19002")))
    scene.intruder(1)
    (left,) = scene.life.journal.open_intents()
    look = asyncio.create_task(scene.life.recovery.look_up("north"))
    await asyncio.sleep(0.001)
    with pytest.raises(ConfigError, match="the call has 1"):
        await scene.close(left.reservation, *scene.placed)
    await look
    assert await scene.close(left.reservation, scene.placed[1])
    assert [scene.owns(txid) for txid in scene.placed] == ["bob"] * 3


SCENES_OF_THEIR_OWN = {
    scene.__name__: scene for scene in (batch, by_hand, settled_by_hand, by_hand_while_a_look_settles_a_part)
}


@pytest.mark.parametrize("scene", SCENES_OF_THEIR_OWN)
def test_what_is_in_doubt_waits_for_a_person(scene: str) -> None:
    """Legs of a batch without doubt settle meanwhile; a person ends the rest, on record."""
    with Simulation(seed=0) as simulation:
        assert simulation.live(lambda life: SCENES_OF_THEIR_OWN[scene](Scene(simulation, life)))
