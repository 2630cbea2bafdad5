"""The gateway's master is killed: its worker ends at once, so that nothing keeps a new gateway from starting."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from signer.home.lock import holder
from signer.model import Response
from signer.serving.server import STOPPING, GatewayApp
from signer.venues.kraken.answers import refusal
from tests.harness.bots import AHEAD_NS, Nonces
from tests.harness.rig import serving_rig
from tests.harness.wire import Wire

MOST_CALLS = 300
"""A bot that may keep its connection asks so often within a few seconds."""
ENDED_S = 20_000


def test_a_dead_master_does_not_block_a_restart(tmp_path: Path) -> None:
    """Bots keep asking on connections that they keep: each is closed, the home is free, and a new gateway serves."""
    with serving_rig(tmp_path) as rig:
        bot, (worker,) = rig.bot("tracker"), rig.gateway.workers()
        wires = [Wire(rig.url) for _ in range(3)]
        for wire in wires:
            wire.send(bot.request("Balance"))
            assert wire.answer()
        pidfd = os.pidfd_open(worker)
        rig.gateway.process.send_signal(signal.SIGKILL)
        rig.gateway.process.wait(30)
        assert rig.gateway.process.stdout is not None
        rig.gateway.process.stdout.close()
        for wire in wires:
            assert any(not _answered(wire, bot.request("Balance")) for _ in range(MOST_CALLS))
            wire.close()
        waiting = select.poll()
        waiting.register(pidfd, select.POLLIN)
        assert waiting.poll(ENDED_S)
        os.close(pidfd)
        assert holder(rig.home.lock) is None
        Nonces.ahead += AHEAD_NS
        rig.start()
        assert rig.call(bot, "Balance") == []


def _answered(wire: Wire, request: bytes) -> bool:
    wire.send(request)
    return wire.answer() is not None


async def test_no_request_is_served_once_the_books_are_closed() -> None:
    """A connection that is still there then is told so, in Kraken's words, and ends."""
    sent: list[tuple[Response, bool]] = []
    app = GatewayApp.__new__(GatewayApp)
    app._venues = {"kraken": SimpleNamespace(refusal=refusal)}

    async def nothing() -> dict[str, object]:
        pytest.fail("the request is not read")

    async def keep(answer: Response, ends: bool) -> None:
        sent.append((answer, ends))

    await app._refusals()["kraken"]({"type": "http"}, nothing, keep)
    [(answer, ends)] = sent
    assert STOPPING.encode() in answer.body
    assert ends
