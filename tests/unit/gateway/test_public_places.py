"""`signer.gateway.public`: never more than so many at once, in turns by source."""

from __future__ import annotations

import asyncio

import pytest

from signer.errors import NotServed
from signer.gateway.public import Places

SOON_S = 60.0


class Hall:
    """Callers of `Places` that stay until they are sent away."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.inside: list[str] = []
        self._doors: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, source: str, within_s: float = SOON_S) -> None:
        """``name`` of ``source`` comes, and enters if there is a place."""
        self._doors[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name, source, within_s))
        await self.settle()

    def send_away(self, name: str) -> None:
        """Have ``name`` leave at the next turn of the loop."""
        self._doors[name].set()

    async def leave(self, name: str) -> None:
        """``name`` leaves; whoever is next enters."""
        self.send_away(name)
        await self.settle()

    async def settle(self) -> None:
        """Let everybody do what can be done now."""
        for _ in range(8):
            await asyncio.sleep(0)

    async def _stay(self, name: str, source: str, within_s: float) -> None:
        async with self._places.place(source, asyncio.get_running_loop().time() + within_s):
            self.inside.append(name)
            await self._doors[name].wait()
            self.inside.remove(name)


async def test_sources_that_wait_take_turns() -> None:
    """A source with many waiting does not come before another's first."""
    hall = Hall(Places("calls", 1))
    for name in ("a1", "a2", "a3", "a4"):
        await hall.come(name, "a")
    await hall.come("b1", "b")
    order = []
    for _ in range(5):
        (name,) = hall.inside
        order.append(name)
        await hall.leave(name)
    assert order == ["a1", "a2", "b1", "a3", "a4"]
    assert not hall.inside


async def test_a_source_may_fill_a_quarter_of_the_queue() -> None:
    """What it has beyond is refused at once, and another source waits all the same."""
    hall = Hall(Places("calls", 1, waiting=8))
    for number in range(4):
        await hall.come(f"a{number}", "a")
    with pytest.raises(NotServed, match="too many calls"):
        await hall.tasks["a3"]
    await hall.come("b", "b")
    assert not hall.tasks["b"].done()
    for name in ("a0", "a1", "b", "a2"):
        await hall.leave(name)
    assert all(task.done() for task in hall.tasks.values())


async def test_whoever_gives_up_leaves_no_hole() -> None:
    """A deadline, or a call that is cancelled while it waits or just as it is let in, costs no place."""
    hall = Hall(Places("calls", 1))
    await hall.come("a", "a")
    await hall.come("late", "b", within_s=0.0)
    with pytest.raises(NotServed):
        await hall.tasks["late"]
    for name in ("gone", "called-off"):
        await hall.come(name, "c")
    hall.tasks["gone"].cancel()
    await hall.settle()
    hall._doors["a"].set()
    await asyncio.sleep(0)  # a leaves, and the place is given on
    hall.tasks["called-off"].cancel()
    await hall.come("last", "d")
    assert hall.inside == ["last"]
    await hall.leave("last")


async def test_a_caller_that_gives_up_just_as_a_place_is_free_takes_it_from_nobody() -> None:
    """A caller that is cancelled while another leaves costs that one no answer and the next no turn."""
    hall = Hall(Places("calls", 1))
    await hall.come("a", "a")
    await hall.come("b", "b")
    await hall.come("c", "c")
    hall.send_away("a")
    hall.tasks["b"].cancel()
    await hall.settle()
    await asyncio.wait([hall.tasks["b"]])
    assert hall.tasks["b"].cancelled()
    assert hall.tasks["a"].exception() is None
    assert hall.inside == ["c"]
    await hall.leave("c")
    await hall.come("d", "d")
    assert hall.inside == ["d"]
    await hall.leave("d")
