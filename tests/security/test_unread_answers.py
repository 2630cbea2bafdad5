"""Threat: callers ask for large answers and do not read them, so that memory runs out (*Must hold* 10).

Each answer is bounded by its call, all by one total, and reading by a deadline. What is held is measured by the
gateway's own count, which is what it decides by.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections import Counter
from pathlib import Path

import pytest
import uvloop

from signer.model import Response
from signer.sandbox.faults import Oversized
from signer.serving.edge import Receive, Scope, Send
from signer.tls.authority import server_name, utc_now
from signer.tls.folder import TlsFolder
from signer.upstream.held import COUNTED_FROM, HeldAnswers
from tests.harness.bots import LIMIT
from tests.harness.listening import listening
from tests.harness.rig import Rig
from tests.harness.wire import ask, http

LARGE = 8 * 1024 * 1024
ROOM = 4 * LARGE
CALLERS = 20
BODY = b"x" * LARGE
ASK = http("GET", "/0/public/Trades")


class App:
    """An application whose every answer is large."""

    request_seconds = 20.0

    def __init__(self, answer_seconds: float) -> None:
        self.answer_seconds = answer_seconds
        self.held = HeldAnswers(ROOM)
        self.most_held = 0
        self.dropped: Counter[str] = Counter()
        self.asked = 0

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the call and answer it."""
        self.asked += 1

        sending = asyncio.ensure_future(send(Response(200, "application/json", BODY, ours=True), False))
        await asyncio.sleep(0)
        self.most_held = max(self.most_held, self.held.total)
        await sending

    def answer_dropped(self, bound: str, holder: str) -> None:
        """A connection was closed."""
        self.dropped[f"{bound} {holder}"] += 1


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """What the listener and its callers speak."""
    if request.param == "plain":
        return None, None
    folder = TlsFolder(tmp_path / "tls")
    folder.create([server_name("gateway.test")], "test", utc_now(1_795_435_200_000_000), replace=False)
    server, caller = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(folder.leaf)
    caller.check_hostname, caller.verify_mode = False, ssl.CERT_NONE
    return server, caller


async def unread(address: tuple[str, int], caller: ssl.SSLContext | None) -> asyncio.StreamWriter:
    """A caller that has asked, and reads nothing."""
    reader, writer = await asyncio.open_connection(*address, ssl=caller, limit=1024)
    writer.write(ASK)
    await writer.drain()
    assert isinstance(reader, asyncio.StreamReader)
    return writer


async def read(address: tuple[str, int], caller: ssl.SSLContext | None) -> bytes:
    """The whole body that a caller gets who reads."""
    reader, writer = await asyncio.open_connection(*address, ssl=caller)
    writer.write(ASK)
    await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(LARGE)
    await hang_up(writer)
    return body


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """End a connection, and wait for its end: a loop that is closed before may wait for it for ever."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def test_callers_that_do_not_read_take_no_more_than_the_total(
    tls: tuple[ssl.SSLContext | None, ssl.SSLContext | None],
) -> None:
    """The oldest of twenty unread answers make room and are counted, while one that reads is served in full."""

    async def flood() -> None:
        app = App(answer_seconds=60.0)
        async with listening(app, tls[0]) as address:
            writers = [await unread(address, tls[1]) for _ in range(CALLERS)]
            while app.asked < CALLERS:
                await asyncio.sleep(0)
            assert await read(address, tls[1]) == BODY
            assert app.most_held <= ROOM
            assert app.dropped["answers_mib loopback"] >= CALLERS - ROOM // LARGE
            for writer in writers:
                await hang_up(writer)
            while app.held.total:  # all of it is given back
                await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(flood())


def test_an_answer_that_is_not_read_in_time_ends_its_connection(
    tls: tuple[ssl.SSLContext | None, ssl.SSLContext | None],
) -> None:
    """The connection is counted under the bound's name, and the memory that it held is free again."""

    async def wait() -> None:
        app = App(answer_seconds=0.1)
        async with listening(app, tls[0]) as address:
            writer = await unread(address, tls[1])
            while not app.dropped:
                await asyncio.sleep(0.01)
            while app.held.total:
                await asyncio.sleep(0)
            assert app.dropped == {"answer_seconds loopback": 1}
            await hang_up(writer)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(wait())


def test_who_holds_most_makes_room() -> None:
    """A slow reader with one answer keeps it, however new those of the flooder are; nothing is counted twice."""
    held, dropped = HeldAnswers(10), Counter[str]()

    def taken(holder: str, size: int) -> None:
        held.hold(holder, size, lambda: dropped.update([holder]))

    taken("slow", 3)
    for _ in range(50):
        taken("flooder", 2)
        assert held.total <= 10
    assert held.arrives(3)
    assert dropped.keys() == {"flooder"}
    assert not held.arrives(8)  # though everybody made room
    held.gone(3)
    assert held.total == 0


def test_an_orders_answer_that_is_too_large_leaves_it_unknown(rig: Rig) -> None:
    """The answer names the bound and says that the order was sent."""
    bot = rig.bot("wide")
    rig.sandbox.control.add_fault(Oversized(endpoint="AddOrder", size=COUNTED_FROM + 100, acts=True))
    errors = rig.call(bot, "AddOrder", LIMIT)
    assert errors[0] == "EService:Unavailable"
    assert "more than 64 KiB" in errors[1]
    assert "outcome is unknown" in errors[1]
    assert "nothing was sent" not in errors[1]


def test_a_list_that_is_too_large_names_its_bound(rig: Rig) -> None:
    """Private and public ones; the next call is served."""
    bot = rig.bot("wide")
    for endpoint in ("Balance", "Trades"):
        rig.sandbox.control.add_fault(Oversized(endpoint=endpoint, size=4 * 1024 * 1024 + 1))
    errors = rig.call(bot, "Balance")
    assert errors[0] == "EService:Unavailable"
    assert "more than 4 MiB" in errors[1]
    answer = ask(rig.url, http("GET", "/0/public/Trades?pair=XBTUSD"))
    assert answer is not None
    assert "more than 4 MiB" in json.loads(answer.body)["error"][1]
    assert rig.call(bot, "Balance") == []
