"""Connections are kept for the next call, but never used once anything about them is odd."""

from __future__ import annotations

import asyncio

import pytest

from signer.errors import NotSent
from signer.upstream import UpstreamPool
from tests.unit.upstream.venue import OK, ORDER, Play, Venue, send

FORGED = OK.replace(b"{}", b"!!")


async def test_calls_share_a_connection(venue: Venue) -> None:
    """One call after the other uses one connection."""
    venue.plays = [Play()] * 3
    upstream = UpstreamPool.open(venue.origin)
    for _ in range(3):
        await send(upstream)
    assert len(venue.received) == 1
    upstream.close()


@pytest.mark.parametrize(
    "last",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["Connection: close", "HTTP/1.0"],
)
async def test_a_last_answer_ends_its_connection(venue: Venue, last: bytes) -> None:
    """After an answer that says it is the connection's last one, another connection is used."""
    venue.plays = [Play(last), Play()]
    upstream = UpstreamPool.open(venue.origin)
    await send(upstream)
    await send(upstream)
    assert len(venue.received) == 2
    upstream.close()


async def test_a_connection_closed_meanwhile_is_found_out_before_writing(venue: Venue) -> None:
    """The peer's close is in the kernel but not yet in the event loop: a fresh connection serves the same attempt,
    and not a byte goes to the old one."""
    venue.plays = [Play(), Play()]
    upstream = UpstreamPool.open(venue.origin)
    await send(upstream)
    before = venue.received[0]
    venue.shut_now()
    assert (await send(upstream)).body == b"{}"
    assert venue.received == [before, before]
    upstream.close()


async def test_bytes_that_nobody_asked_for_are_never_an_answer(venue: Venue) -> None:
    """Bytes on an idle connection, still unread in the kernel, do not become the next call's answer."""
    venue.plays = [Play(), Play()]
    upstream = UpstreamPool.open(venue.origin)
    await send(upstream)
    venue.say_now(FORGED)
    assert (await send(upstream)).body == b"{}"
    assert len(venue.received) == 2
    upstream.close()


async def test_bytes_that_nobody_asked_for_end_the_connection(venue: Venue) -> None:
    """The event loop closes an idle connection that speaks, without waiting for the next call."""
    venue.plays = [Play(), Play()]
    upstream = UpstreamPool.open(venue.origin)
    await send(upstream)
    venue.say_now(FORGED)
    while not venue.ended:
        await asyncio.sleep(0)
    assert (await send(upstream)).body == b"{}"
    assert len(venue.received) == 2
    upstream.close()


async def test_a_connection_idle_for_too_long_is_not_used(venue: Venue) -> None:
    """Past the idle limit a connection is closed rather than used: the venue may be about to close it too."""
    venue.plays = [Play(), Play()]
    upstream = UpstreamPool.open(venue.origin, idle_s=-1)
    await send(upstream)
    await send(upstream)
    assert len(venue.received) == 2
    upstream.close()


async def test_only_so_many_connections_are_kept(venue: Venue) -> None:
    """Of connections that were needed at once only the newest are kept, and used newest first."""
    venue.plays = [Play(b"")] * 2
    upstream = UpstreamPool.open(venue.origin, keep=1)
    calls = [asyncio.create_task(send(upstream)) for _ in range(2)]
    for _ in calls:
        await venue.requests.acquire()
    for writer in venue.writers:
        writer.write(OK)
    await asyncio.gather(*calls)
    while venue.ended < 1:
        await asyncio.sleep(0)
    venue.plays = [Play()] * 2
    await send(upstream)
    await send(upstream)
    assert len(venue.received) == 2
    upstream.close()


async def test_only_so_many_calls_are_under_way(venue: Venue) -> None:
    """A call beyond the limit is not sent; when one ends there is room again."""
    venue.plays = [Play(b""), Play()]
    upstream = UpstreamPool.open(venue.origin, limit=1)
    first = asyncio.create_task(send(upstream))
    await venue.requests.acquire()
    with pytest.raises(NotSent, match="under way"):
        await send(upstream)
    venue.say_now(OK)
    await first
    assert (await send(upstream)).body == b"{}"
    assert b"".join(venue.received).count(ORDER.body) == 2
    upstream.close()


async def test_close_ends_what_is_idle_now_and_the_rest_later(venue: Venue) -> None:
    """After `close` a call under way still gets its answer, and then no connection is left."""
    venue.plays = [Play(b"")]
    upstream = UpstreamPool.open(venue.origin)
    call = asyncio.create_task(send(upstream))
    await venue.requests.acquire()
    upstream.close()
    venue.say_now(OK)
    assert (await call).body == b"{}"
    while not venue.ended:
        await asyncio.sleep(0)
