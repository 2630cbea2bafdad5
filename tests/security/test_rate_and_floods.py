"""Threat: whoever can reach the gateway drowns it, its log, its memory or the exchange in calls.

*Must hold* 7: a refusal is cheap, and a flood of them leaves counts that add up and memory that does not grow.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.config import Config

from signer.audit.throttle import IN_FULL
from signer.cli.stage import signer
from signer.gateway.authenticate import SOURCE_FAILURES
from signer.gateway.public import BURST_S, PublicBounds, PublicCalls
from signer.gateway.replay import CALLS_PER_NONCE, NonceWindow
from signer.gateway.source_rate import SOURCES, SourceRate
from signer.model import Request, WireAnswer, WireRequest
from signer.serving.protocol import KEEP_ALIVE_S, GatewayProtocol
from signer.serving.shares import ConnectionShares
from signer.venues.kraken.venue import Kraken
from tests.harness.arriving import arriving
from tests.harness.clocks import SetClock
from tests.harness.rig import Rig
from tests.harness.wire import Wire, ask, http
from tests.security.doorway import PAIRS, Heard

RATE = 5


def public(source: str) -> Request:
    """A public call from an address."""
    return arriving("GET", "/0/public/Time", b"", "", "", "", b"", source)


class CountingUpstream:
    """An exchange that counts."""

    def __init__(self) -> None:
        self.calls = 0

    async def send(self, request: WireRequest, deadline: float) -> WireAnswer:
        self.calls += 1
        return WireAnswer(200, "application/json", b'{"error":[]}')


async def test_public_calls_are_bounded_for_each_address() -> None:
    """A burst, then the rate; what is over it never reaches the exchange, and other addresses go on."""
    clock, upstream = SetClock(), CountingUpstream()
    calls = PublicCalls(Kraken(PAIRS), upstream, PublicBounds.of(RATE, 100, 16, clock), clock, Heard())
    answers = [json.loads((await calls.answer(public("10.0.0.1"))).body)["error"] for _ in range(RATE * BURST_S + 3)]
    assert [error[0] for error in answers if error] == ["EAPI:Rate limit exceeded"] * 3
    assert upstream.calls == RATE * BURST_S
    clock.us += 1_000_000
    answers = [json.loads((await calls.answer(public("10.0.0.1"))).body)["error"] for _ in range(RATE + 1)]
    assert answers[:-1] == [[]] * RATE
    assert answers[-1]
    assert json.loads((await calls.answer(public("10.0.0.2"))).body)["error"] == []


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    """More addresses than there is room for take the place of those unseen for longest."""
    rate = SourceRate[str](RATE, RATE, SetClock())
    assert all(rate.take(f"10.0.{number // 256}.{number % 256}") for number in range(SOURCES + 500))
    assert len(rate._buckets) == SOURCES


def test_denials_are_recorded_in_part_and_counted_in_full(rig: Rig) -> None:
    """A bot that is refused for ever does not fill the disk, and hides nothing: records and counts add up."""
    bot, sent = rig.bot("tracker"), 150
    for _ in range(sent):
        assert rig.call(bot, "AddOrder", {"pair": "XBTUSD"})
    rig.restart()  # what is counted so far is recorded at the stop
    lines = signer(rig.home.folder, "audit", "search", "--client", bot.name, "--json").splitlines()
    records = [json.loads(line) for line in lines]
    in_full = [record for record in records if record["kind"] == "denied"]
    counted = sum(record["count"] for record in records if record["kind"] == "throttled")
    assert 0 < len(in_full) < sent / 2
    assert len(in_full) + counted == sent


def test_answers_of_our_own_are_recorded_in_part_and_counted_in_full(rig: Rig) -> None:
    """`GetApiKeyInfo` never reaches the exchange: a bot that asks for ever fills neither the log nor the other one."""
    bot, sent = rig.bot("tracker"), 150
    lines = rig.gateway.log().encode().count(b"\n")
    for _ in range(sent):
        assert rig.call(bot, "GetApiKeyInfo") == []
    rig.restart()  # what is counted so far is recorded at the stop, and the log's lines are all written
    assert rig.gateway.log().encode().count(b"\n") - lines < sent / 2
    found = signer(rig.home.folder, "audit", "search", "--client", bot.name, "--json").splitlines()
    records = [json.loads(line) for line in found]
    in_full = [record for record in records if record["kind"] == "read"]
    (counted,) = [record for record in records if record["kind"] == "throttled"]
    assert counted["throttled"] == "read"
    assert 0 < len(in_full) <= IN_FULL * 2  # a minute may have ended meanwhile
    assert len(in_full) + counted["count"] == sent


def test_a_flood_of_failures_is_counted_in_full_and_costs_each_log_a_bounded_piece(rig: Rig) -> None:
    """Sprayed keys: a few records and lines, one alarm, every one of them in the metrics; a client's call passes."""
    bot = rig.bot("tracker")
    lines, sent = rig.gateway.log().encode().count(b"\n"), SOURCE_FAILURES + 30
    answers = [
        ask(rig.url, http("POST", "/0/private/Balance", b"nonce=1", f"API-Key: made-up-{number}"))
        for number in range(sent)
    ]
    assert answers[-1] is not None
    assert answers[-1].errors == ["EGeneral:Temporary lockout"]
    assert rig.call(bot, "Balance") == []
    metrics = ask(rig.url, http("GET", "/-/metrics"))
    assert metrics is not None
    failed = [line for line in metrics.body.decode().splitlines() if line.startswith("signer_logins_failed_total{")]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in failed) >= sent
    assert 'signer_alarms_total{kind="failing-source"} 1.0' in metrics.body.decode()
    rig.restart()  # what is counted so far is recorded at the stop, and the log's lines are all written
    assert rig.gateway.log().encode().count(b"\n") - lines < sent / 2
    records = map(json.loads, signer(rig.home.folder, "audit", "search", "--json").splitlines())
    assert [each["count"] for each in records if each.get("throttled") == "login-failed"][-1] >= sent - 2 * IN_FULL


def test_made_up_names_do_not_grow_the_metrics_or_the_log(rig: Rig) -> None:
    """Endpoints, keys and paths that a stranger invents are no labels, and cost the log a bounded piece."""
    bot = rig.bot("tracker")
    for number in range(20):
        rig.call(bot, f"MadeUp{number}")
        ask(rig.url, http("POST", f"/0/private/{'Z' * 2000}", b"nonce=1", f"API-Key: made-up-key-{number}"))
    metrics = ask(rig.url, http("GET", "/-/metrics"))
    assert metrics is not None
    assert b"MadeUp" not in metrics.body
    assert b"made-up-key" not in metrics.body
    assert b"ZZZZ" not in metrics.body
    rig.restart()  # the log's lines are all written then
    log = rig.gateway.log().encode()
    assert b"Z" * 48 in log
    assert b"Z" * 128 not in log


def test_what_is_remembered_of_nonces_is_bounded() -> None:
    """The memory of nonces is bounded by the window, and by a number of signatures for each nonce."""
    window = NonceWindow(0, size=64)
    for nonce in range(1, 1000):
        window.accept(nonce, b"a")
    for number in range(1, CALLS_PER_NONCE):
        window.accept(999, bytes([number]))
    with pytest.raises(Exception, match="not-fresh"):
        window.accept(999, b"one more")
    assert len(window._used) == 64


def test_connections_that_come_and_go_leave_the_gateway_serving(rig: Rig) -> None:
    """Hundreds that say nothing, half a head, or rubbish."""
    bot = rig.bot("tracker")
    for number in range(300):
        wire = Wire(rig.url)
        wire.send((b"", b"GET /", b"\x00\r\n\r\n")[number % 3])
        wire.close()
    assert rig.call(bot, "Balance") == []


class Loop:
    """An event loop's clock and timers, turned by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> SimpleNamespace:
        self._timers.append((self.now + seconds, call))
        return SimpleNamespace(cancel=lambda: None)

    def create_task(self, work: Any) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work)

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        due = [call for at, call in self._timers if at <= self.now]
        self._timers = [timer for timer in self._timers if timer[0] > self.now]
        for call in due:
            call()


class Transport(asyncio.Transport):
    """A transport that keeps what a connection writes."""

    aborts = 0

    def abort(self) -> None:
        self.aborts += 1

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return None


def connection(loop: Loop) -> tuple[GatewayProtocol, Transport]:
    """A connection just made."""
    config = Config()
    config.set("http_parser", "fast")
    app = SimpleNamespace(request_seconds=10.0)
    worker = SimpleNamespace(nr_conns=0, loop=loop, cfg=config, log=None, asgi=app, alive=True, connections=set())
    ASGIProtocol._check_h1c_protocol_available()
    protocol, transport = GatewayProtocol(worker, ConnectionShares(8, 8, 1).enter(0, None), "kraken"), Transport()
    protocol.connection_made(transport)
    return protocol, transport


async def test_a_connection_may_not_idle_for_ever() -> None:
    """A connection may wait for its first request as long as a request may take, and then as long as keep-alive."""
    loop = Loop()
    protocol, transport = connection(loop)
    loop.turn(9.9)
    assert transport.aborts == 0
    loop.turn(0.2)
    assert transport.aborts == 1
    protocol.connection_lost(None)
    protocol, transport = connection(loop)
    protocol.req_count = 2  # one has been answered
    protocol._arm_keepalive_timer()
    for _ in range(int(KEEP_ALIVE_S / 10)):
        loop.turn(10)
    assert transport.aborts == 0
    loop.turn(10)
    assert transport.aborts == 1
    protocol.connection_lost(None)


async def test_a_connection_that_went_is_forgotten_at_once() -> None:
    """gunicorn keeps a task for each until its grace period is over: a flood of connections would fill the memory."""
    protocol, _ = connection(Loop())
    task = protocol._task
    assert task is not None
    protocol.connection_lost(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert task.done()
    assert protocol.worker.nr_conns == 0
