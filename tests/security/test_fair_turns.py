"""Threat: one bot takes every place and every turn of the account's lane, and the others cannot trade."""

from __future__ import annotations

import asyncio

import pytest

from signer.model import Call
from tests.harness.virtual import run
from tests.harness.ways import CANCEL, ORDER, READ, Ways

LONG_S = 20.0


async def flood(ways: Ways, call: Call, client: str, connections: int) -> list[asyncio.Task[None]]:
    """Keep so many connections of one bot calling."""

    async def connection() -> None:
        while True:
            refused = await ways.call(call, client)
            await asyncio.sleep(1.0 if "waiting" in "".join(refused) else 0.005)

    return [asyncio.create_task(connection()) for _ in range(connections)]


async def trade(ways: Ways, call: Call, client: str) -> tuple[int, list[list[str]], float]:
    """A bot that calls about twice a second for 20 seconds: how many passed, the refusals, and the longest wait."""
    answers, longest = [], 0.0
    loop = asyncio.get_running_loop()
    end = loop.time() + LONG_S
    while loop.time() < end:
        before = loop.time()
        answers.append(await ways.call(call, client))
        longest = max(longest, loop.time() - before)
        await asyncio.sleep(0.4)
    refused = [answer for answer in answers if answer]
    return len(answers) - len(refused), refused, longest


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    """Let the flood end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("flooded", [CANCEL, ORDER, READ], ids=lambda call: call.endpoint)
def test_three_hundred_connections_keep_nobody_out(flooded: Call) -> None:
    """300 connections that cancel a dead order left the other bot 0 of 148 orders. Now each order, cancel and read of
    three other bots passes within two seconds, whatever the flood is of."""

    async def story() -> None:
        ways = Ways(queue=256)
        ways.exchange.takes_s = 0.05
        ways.exchange.says["CancelOrder"] = ["EOrder:Unknown order"]
        tasks = await flood(ways, flooded, "flooder", 300)
        others = [trade(ways, call, f"{call.endpoint}-bot") for call in (ORDER, READ)]
        for passed, refused, longest in await asyncio.gather(*others):
            assert refused == []
            assert passed > 20
            assert longest < 2.0
        cancels = [await ways.call(CANCEL, "another") for _ in range(5)]
        assert cancels == [["EOrder:Unknown order"]] * 5
        await ended(tasks)

    run(story())


def test_ten_flooders_leave_a_place_for_a_newcomer() -> None:
    """The queue is full of their calls; the newcomer's is let in each time, and served."""

    async def story() -> None:
        ways = Ways(queue=32)
        ways.exchange.takes_s = 0.02
        tasks = []
        for number in range(10):
            tasks += await flood(ways, ORDER, f"flooder-{number}", 20)
        await asyncio.sleep(1)
        passed, refused, longest = await trade(ways, ORDER, "newcomer")
        assert (refused, passed > 20, longest < 2.0) == ([], True, True)
        await ended(tasks)

    run(story())


def test_a_brakes_cancels_go_before_a_flood_of_cancels() -> None:
    """A brake's cancels wait for the call under way and for nothing else."""

    async def story() -> None:
        ways = Ways(queue=256)
        ways.exchange.takes_s = 0.05
        tasks = await flood(ways, CANCEL, "flooder", 300)
        await asyncio.sleep(1)
        loop = asyncio.get_running_loop()
        for _ in range(20):
            before = loop.time()
            assert await ways.call(CANCEL, "@operator", brake=True) == []
            assert loop.time() - before <= 0.1001
        await ended(tasks)

    run(story())
