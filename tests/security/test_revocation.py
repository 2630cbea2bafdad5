"""Threat: a credential that was taken back goes on working, or comes back.

*Must hold* 8: what an operator revoked is revoked at once, and stays so through reloads, crashes and restarts.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from signer.home.lock import read_load
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import from_file
from signer.model import WireAnswer, WireRequest
from signer.sandbox.faults import Latency
from signer.serving.clock import SystemClock
from signer.serving.pools import PUBLIC
from signer.serving.telemetry import GatewayWatch, LineLog, Metrics
from signer.serving.wiring import Wiring
from signer.upstream import UpstreamPool
from tests.harness.bots import AHEAD_NS, LIMIT, Nonces
from tests.harness.inside import inside
from tests.harness.loading import loaded_whole
from tests.harness.rig import Rig
from tests.harness.wire import ANSWER_S, Wire

REFUSED = ["EAPI:Invalid key"]


def test_a_revoked_client_is_refused_on_its_open_connection(rig: Rig) -> None:
    """The next call after the revocation is refused, without another connection or a restart."""
    bot = rig.bot("tracker")
    wire = Wire(rig.url)
    wire.send(bot.request("Balance"))
    before = wire.answer()
    rig.update(bot, revoked=True)
    with rig.nothing_arrives():
        wire.send(bot.request("Balance"))
        after = wire.answer()
    wire.close()
    assert before is not None
    assert after is not None
    assert (before.errors, after.errors) == ([], REFUSED)


def test_a_call_that_waits_for_its_turn_is_refused_if_its_client_is_revoked(rig: Rig) -> None:
    """A call of a revoked client that waits for its turn does not leave."""
    first, waiting = rig.bot("wide"), rig.bot("wide")
    rig.sandbox.control.add_fault(Latency(endpoint="Balance", seconds=3600))
    before, seen = len(rig.arrivals()), rig.sandbox.control.arrivals()[-1].seq
    wires = [Wire(rig.url), Wire(rig.url)]
    wires[0].send(first.request("Balance"))
    rig.sandbox.control.wait_for_arrival(after=seen, endpoint="Balance")
    wires[1].send(waiting.request("AddOrder", LIMIT))
    rig.update(waiting, revoked=True)
    rig.sandbox.control.clear_faults()
    answers = [wire.answer() for wire in wires]
    for wire in wires:
        wire.close()
    assert [answer.errors for answer in answers if answer is not None] == [[], REFUSED]
    assert [arrival.endpoint for arrival in rig.arrivals()[before:]] == ["Balance"]


def test_a_revocation_outlives_the_worker(rig: Rig) -> None:
    """The master forks a new worker from what it read at its own start: who was revoked since does not come back."""
    bot, other = rig.bot("tracker"), rig.bot("tracker")
    assert rig.call(bot, "Balance") == []
    rig.update(bot, revoked=True)
    (worker,) = rig.gateway.workers()
    before = read_load(rig.home.state)
    os.kill(worker, signal.SIGKILL)
    until = time.monotonic() + ANSWER_S
    while read_load(rig.home.state) == before:
        assert time.monotonic() < until, "no worker came back"
        time.sleep(0.02)
    Nonces.ahead += AHEAD_NS
    assert rig.call(bot, "Balance") == REFUSED
    assert rig.call(other, "Balance") == []


class SlowUpstream:
    """An exchange that answers when it is let."""

    def __init__(self, real: UpstreamPool) -> None:
        self._real = real
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def send(self, request: WireRequest, deadline: float) -> WireAnswer:
        self.asked.set()
        await self.go.wait()
        return await self._real.send(request, deadline)

    def close(self) -> None:
        self._real.close()


async def test_a_revocation_is_not_undone_by_what_began_before_it(rig: Rig, tmp_path: Path) -> None:
    """The list of pairs is fetched in the background; what is swapped to when it comes is what is known then."""
    bot = rig.bot("tracker")
    home = rig.copied(tmp_path)[0].home
    clock = SystemClock()
    loaded = loaded_whole(home, from_file(home.passphrase))
    watch = GatewayWatch(Metrics(), LineLog(os.open(os.devnull, os.O_WRONLY)), clock)
    wiring = Wiring(loaded, watch, lambda: None)
    origin, _ = loaded.config.public("kraken")
    slow = SlowUpstream(UpstreamPool.open(origin))
    wiring.pools._pools[PUBLIC, origin] = slow  # type: ignore[assignment]  # it has what is used of one
    await wiring.start()
    await slow.asked.wait()
    FileKeyStore.open(home.keys, from_file(home.passphrase)).update_client(bot.name, revoked=True)
    await wiring.reloads.reload()
    reloaded = wiring.gateway.snapshot
    slow.go.set()
    while wiring.gateway.snapshot is reloaded:
        await asyncio.sleep(0.001)
    revoked = [
        client.info.revoked for client in wiring.gateway.snapshot.clients.values() if client.info.name == bot.name
    ]
    await wiring.stop()
    assert revoked == [True]


async def test_a_revocation_in_the_midst_of_a_reload_is_not_undone(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reload has read who is a client, and has not put it in force yet."""
    bot = rig.bot("tracker")
    home = rig.copied(tmp_path)[0].home
    async with inside(home) as made:
        wiring, marks = made.wiring, made.wiring.marks.marks
        asked: list[int] = []

        async def taking_back() -> Mapping[str, int]:
            asked.append(len(asked))
            if len(asked) == 2:
                mine = [key for key, one in wiring.gateway.snapshot.clients.items() if one.info.name == bot.name]
                wiring.reloads.take_back(dict.fromkeys(mine, 0), SystemClock().now_us())
            return await marks()

        monkeypatch.setattr(wiring.marks, "marks", taking_back)
        await wiring.reloads.reload()
        assert len(asked) == 2
        assert await made.call(bot, "Balance") == REFUSED
