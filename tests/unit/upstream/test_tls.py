"""Only a venue that proves its name by a trusted certificate, over TLS 1.2 or later, gets a byte of a request."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from signer.errors import NotSent, Unanswered
from signer.upstream import UpstreamPool
from tests.unit.upstream.certificates import Authority
from tests.unit.upstream.venue import OK, ORDER, Play, Venue, send

Start = Callable[[ssl.SSLContext], Awaitable[Venue]]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority that the upstream trusts."""
    return Authority(tmp_path)


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Start]:
    """Starts venues on TLS, and stops them."""
    started: list[Venue] = []

    async def start(context: ssl.SSLContext) -> Venue:
        venue = Venue(tls=context, plays=[Play()] * 3)
        started.append(venue)
        await venue.start()
        return venue

    yield start
    for venue in started:
        await venue.stop()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_venue_that_proves_its_name_is_used(
    start: Start, authority: Authority, version: ssl.TLSVersion
) -> None:
    """The request goes out and its connection is kept, session tickets or not; ALPN offers HTTP/1.1 alone."""
    context = authority.server()
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    venue = await start(context)
    upstream = UpstreamPool.open(venue.origin, ca_file=authority.file)
    for _ in range(3):
        assert (await send(upstream)).body == b"{}"
    assert len(venue.received) == 1
    spoken = venue.writers[0].get_extra_info("ssl_object")
    assert (spoken.version(), spoken.selected_alpn_protocol()) == (version.name.replace("_", "."), "http/1.1")
    upstream.close()


@pytest.mark.parametrize(
    ("address", "expires", "why"),
    [("127.0.0.2", timedelta(days=1), "mismatch"), ("127.0.0.1", timedelta(days=-1), "expired")],
    ids=["another name", "expired"],
)
async def test_a_wrong_certificate_gets_nothing(
    start: Start, authority: Authority, address: str, expires: timedelta, why: str
) -> None:
    """A certificate of the right authority for another name, or past its time, is not sent to, and the reason given."""
    venue = await start(authority.server(address, expires))
    with pytest.raises(NotSent, match=why):
        await send(UpstreamPool.open(venue.origin, ca_file=authority.file))
    assert b"".join(venue.received) == b""


async def test_an_unknown_authority_gets_nothing(start: Start, authority: Authority, tmp_path: Path) -> None:
    """A certificate of another authority is not sent to, nor is one that only we know when the system's CAs count."""
    venue = await start(authority.server())
    for other in (Authority(tmp_path, "another authority").file, None):
        with pytest.raises(NotSent, match="does not prove that it is"):
            await send(UpstreamPool.open(venue.origin, ca_file=other))
    assert b"".join(venue.received) == b""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_tls_1_1_gets_nothing(start: Start, authority: Authority) -> None:
    """A venue that speaks nothing newer than TLS 1.1 is not sent to; a client that allowed it would be served."""
    context = authority.server()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    venue = await start(context)
    with pytest.raises(NotSent, match="no connection"):
        await send(UpstreamPool.open(venue.origin, ca_file=authority.file))
    assert b"".join(venue.received) == b""

    lax = ssl.create_default_context(cafile=str(authority.file))
    lax.set_ciphers("ALL:@SECLEVEL=0")
    lax.minimum_version = ssl.TLSVersion.TLSv1_1
    _, writer = await asyncio.open_connection("127.0.0.1", venue.port, ssl=lax)
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.1"
    writer.transport.abort()


async def test_a_venue_that_speaks_no_tls_gets_nothing(venue: Venue, authority: Authority) -> None:
    """Plain HTTP behind an https origin, or silence, is not sent to, within the time to connect."""
    upstream = UpstreamPool.open(f"https://127.0.0.1:{venue.port}", ca_file=authority.file, connect_s=0.3)
    with pytest.raises(NotSent, match="in time"):
        await send(upstream)
    assert ORDER.body not in venue.received[0]


async def test_a_kept_connection_that_ended_is_not_used(start: Start, authority: Authority) -> None:
    """A close that the event loop has not read yet is found in the kernel under TLS too."""
    venue = await start(authority.server())
    upstream = UpstreamPool.open(venue.origin, ca_file=authority.file)
    await send(upstream)
    venue.shut_now()
    assert (await send(upstream)).body == b"{}"
    assert [ORDER.body in each for each in venue.received] == [True, True]
    upstream.close()


@pytest.mark.parametrize("proper", [True, False])
async def test_an_answer_under_tls_needs_a_length(start: Start, authority: Authority, proper: bool) -> None:
    """An answer that only the connection's end would end is none: somebody on the way may have cut it short."""
    venue = await start(authority.server())
    venue.plays = [Play(b"HTTP/1.1 200 OK\r\n\r\n{}", "close" if proper else "stay")]
    upstream = UpstreamPool.open(venue.origin, ca_file=authority.file)
    call = asyncio.create_task(send(upstream))
    await venue.requests.acquire()
    if not proper:
        venue.shut_now()
    with pytest.raises(Unanswered):
        await call


async def test_a_large_answer_is_read_whole(start: Start, authority: Authority) -> None:
    """An answer of many TLS records arrives byte for byte."""
    venue = await start(authority.server())
    body = bytes(range(256)) * 4096
    venue.plays = [Play(OK.replace(b"Content-Length: 2\r\n\r\n{}", b"Content-Length: %d\r\n\r\n" % len(body)) + body)]
    upstream = UpstreamPool.open(venue.origin, ca_file=authority.file)
    assert (await send(upstream)).body == body
    upstream.close()
