"""A lane that is stopped, and one that is waited for to drain."""

from __future__ import annotations

import asyncio

import pytest

from signer.errors import LaneStopped
from signer.lanes import CredentialLane, NonceSource
from signer.model import Priority
from signer.serving.clock import SystemClock
from signer.venues.kraken.answers import words


def lane() -> CredentialLane:
    """A lane whose marks are stored at once."""
    clock = SystemClock()

    async def stored(_: str, __: int) -> None:
        """Store it at once."""

    return CredentialLane("key", clock=clock, nonces=NonceSource("m", 0, stored, clock, on_alarm=lambda _: None))


def turn(of: CredentialLane, client: str = "bot") -> asyncio.Task[int]:
    """A call that enters and leaves."""

    async def call() -> int:
        async with of.turn(client, Priority.ORDER, SystemClock().monotonic() + 60) as mine:
            return mine.nonce

    return asyncio.get_running_loop().create_task(call())


async def test_whoever_waits_is_told_at_once_and_nobody_enters() -> None:
    """The turn under way goes on; after `resume` the lane works as before."""
    stopping = lane()
    async with stopping.turn("first", Priority.ORDER, SystemClock().monotonic() + 60):
        waiting = [turn(stopping, name) for name in ("a", "b", "a")]
        await asyncio.sleep(0)
        assert (stopping.load, stopping.waiting) == (4, 3)
        stopping.stop("the key is refused")
        for answer in await asyncio.gather(*waiting, turn(stopping), return_exceptions=True):
            assert isinstance(answer, LaneStopped)
            assert "the key is refused" in words(answer)[1]
    assert (stopping.load, stopping.waiting) == (0, 0)
    with pytest.raises(LaneStopped):
        await turn(stopping)
    stopping.resume()
    assert await turn(stopping) < await turn(stopping)


async def test_drained_waits_for_those_who_are_there_and_for_nobody_else() -> None:
    """`drained` waits for the calls that wait now, and for no later one."""
    draining = lane()
    first = draining.turn("first", Priority.ORDER, SystemClock().monotonic() + 60)
    await first.__aenter__()
    second = turn(draining)
    await asyncio.sleep(0)
    drained = asyncio.get_running_loop().create_task(draining.drained())
    await asyncio.sleep(0)
    assert not drained.done()
    await first.__aexit__(None, None, None)
    await second
    third = draining.turn("third", Priority.ORDER, SystemClock().monotonic() + 60)
    await third.__aenter__()
    await drained
    await third.__aexit__(None, None, None)
    await draining.drained()
