"""Threat: a caller without a key floods the public calls, so that the bots' private calls find no way out.

*Must hold* 10: public calls have connections of their own, and loopback's 16 million addresses are one source.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from selectors import EVENT_READ, DefaultSelector
from typing import cast

import pytest

from signer.gateway.authenticate import SOURCE_FAILURES
from signer.sandbox.faults import Hang
from tests.harness.bots import LIMIT
from tests.harness.rig import Rig
from tests.harness.waiting import until
from tests.harness.wire import http
from tests.security.doorway import Doorway, request

CALLERS = 160
"""More than there are connections for private calls."""
REFUSED = CALLERS - 16 - 256 // 4 - 10
"""Less those under way, those of one source that wait, and a few for good measure."""
CANCELS = 20
TRADES = http("GET", "/0/public/Trades?pair=XBTUSD")


@contextmanager
def flood(rig: Rig) -> Iterator[list[socket.socket]]:
    """Callers from as many addresses of loopback, all of whose calls hang at the exchange."""
    rig.sandbox.control.add_fault(Hang(endpoint="Trades", count=CALLERS))
    host, port = rig.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        stack.callback(rig.sandbox.control.clear_faults)
        callers = []
        for number in range(CALLERS):
            source = (f"127.1.{number // 250}.{number % 250 + 1}", 0)
            callers.append(stack.enter_context(socket.create_connection((host, int(port)), 20, source)))
            callers[-1].sendall(TRADES)
        yield callers


def test_cancels_pass_while_public_calls_hang(rig: Rig) -> None:
    """160 callers from 127.x.y.z ask for trades and get no answer; every cancel and order of a bot goes through."""
    bot = rig.bot("wide")
    txids = [rig.place(bot) for _ in range(CANCELS)]
    with flood(rig):
        answers = [rig.call(bot, "CancelOrder", {"txid": txid}) for txid in txids]
        assert answers == [[]] * CANCELS
        assert rig.call(bot, "AddOrder", LIMIT) == []


def test_the_flood_is_told_that_it_is_one(rig: Rig) -> None:
    """Some calls wait, and the rest are refused at once with the bound's name."""
    answers: list[bytes] = []
    with flood(rig) as callers, DefaultSelector() as waiting:
        for caller in callers:
            waiting.register(caller, EVENT_READ)

        def refused() -> list[bytes]:
            for key, _ in waiting.select(0):
                waiting.unregister(key.fileobj)
                answers.append(cast("socket.socket", key.fileobj).recv(65536))
            return [answer for answer in answers if b"public calls" in answer]

        until(lambda: len(refused()) >= REFUSED, "the refusals")
    assert all(b"EService:Unavailable" in one or b"EAPI:Rate limit exceeded" in one for one in answers)


@pytest.mark.parametrize("addresses", [("127.0.0.{}", "127.9.8.{}"), ("2001:db8::{}", "2001:db8::ab:{}")])
async def test_strangers_of_one_network_are_locked_out_as_one(addresses: tuple[str, str]) -> None:
    """Failures from addresses that one caller has add up, so that another address of his changes nothing."""
    doorway = Doorway()
    stranger = doorway.bot("stranger")
    for number in range(SOURCE_FAILURES):
        source = addresses[number % 2].format(number % 200 + 1)
        answer = await doorway.knock(request(stranger, 1, source=source, api_key=f"made-up-{number}"))
        assert answer == "EAPI:Invalid key"
    source = addresses[0].format(250)
    assert await doorway.knock(request(stranger, 1, source=source, api_key="one-more")) == "EGeneral:Temporary lockout"
