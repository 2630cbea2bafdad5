"""Answers are bounded by their calls, one large one is fetched at a time, and all together have one total."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from signer.errors import ExportUnderWay, TooLarge
from signer.upstream import LARGE, UpstreamPool
from signer.upstream.held import COUNTED_FROM, HeldAnswers
from tests.unit.upstream.venue import ORDER, Play, Venue, send

EXPORT = replace(ORDER, most_answer=2 * LARGE)
LIST = replace(ORDER, most_answer=LARGE)
SMALL = replace(ORDER, most_answer=COUNTED_FROM)


def answer(size: int, *, declared: bool = True) -> bytes:
    """An answer with a body of ``size`` bytes, in one chunk unless its length is declared."""
    framing = f"Content-Length: {size}" if declared else "Transfer-Encoding: chunked"
    body = b"x" * size if declared else b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size)
    return f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode() + body


@pytest.mark.parametrize("declared", [True, False])
async def test_each_call_has_a_bound_of_its_own(venue: Venue, declared: bool) -> None:
    """The bound is the call's own on a shared connection too, and the error names it."""
    upstream = UpstreamPool.open(venue.origin)
    venue.plays = [Play(answer(COUNTED_FROM)), Play(answer(COUNTED_FROM + 1)), Play(answer(COUNTED_FROM + 1))]
    venue.plays[2] = Play(answer(COUNTED_FROM + 1, declared=declared))
    assert len((await send(upstream, SMALL)).body) == COUNTED_FROM
    assert len((await send(upstream, LIST)).body) == COUNTED_FROM + 1
    with pytest.raises(TooLarge, match="more than 64 KiB"):
        await send(upstream, SMALL)
    upstream.close()


async def test_one_large_answer_is_fetched_at_a_time(venue: Venue) -> None:
    """The second is told so before a byte leaves; lists and orders go on, and after the first it may come again."""
    upstream = UpstreamPool.open(venue.origin)
    first = asyncio.ensure_future(send(upstream, EXPORT))
    await venue.requests.acquire()
    with pytest.raises(ExportUnderWay, match="another export"):
        await send(upstream, EXPORT)
    venue.plays = [Play()]
    assert (await send(upstream, LIST)).body == b"{}"
    first.cancel()
    await asyncio.wait([first])
    venue.plays = [Play()]
    assert (await send(upstream, EXPORT)).body == b"{}"
    upstream.close()


async def test_what_arrives_is_counted_and_an_order_is_never_refused_for_it(venue: Venue) -> None:
    """A list finds no room and says so, an order's answer always does; what was counted is given back."""
    held = HeldAnswers(COUNTED_FROM)
    upstream = UpstreamPool.open(venue.origin, held=held)
    venue.plays = [Play(answer(COUNTED_FROM)), Play(answer(COUNTED_FROM + 1)), Play(answer(COUNTED_FROM))]
    assert len((await send(upstream, LIST)).body) == COUNTED_FROM
    assert held.total == 0
    with pytest.raises(TooLarge, match="no room for more answers"):
        await send(upstream, LIST)
    assert held.total == 0
    assert held.arrives(COUNTED_FROM)
    assert len((await send(upstream, SMALL)).body) == COUNTED_FROM
    upstream.close()


async def test_what_had_arrived_of_an_answer_that_breaks_off_is_given_back(venue: Venue) -> None:
    """The memory of a broken answer is given back, however the exchange ends it."""
    held = HeldAnswers(LARGE)
    upstream = UpstreamPool.open(venue.origin, held=held)
    for then in ("close", "reset"):
        venue.plays = [Play(answer(COUNTED_FROM)[:-1], then)]
        with pytest.raises(Exception, match="connection"):
            await send(upstream, LIST)
        assert held.total == 0
    upstream.close()
