"""Public calls: an allowlist, a rate, and no more."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from signer.errors import NotSent, VenueError
from signer.gateway.forward import relayed
from signer.gateway.public import PublicBounds, PublicCalls
from signer.model import Request, Response, WireAnswer, WireRequest
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.venue import Kraken
from tests.harness.arriving import arriving
from tests.harness.clocks import SetClock
from tests.security.doorway import Heard


@dataclass
class Sink:
    """An upstream that keeps what it is given."""

    answer: WireAnswer | VenueError = field(
        default_factory=lambda: WireAnswer(200, "application/json", b'{"error":[],"result":{"unixtime":1}}')
    )
    sent: list[WireRequest] = field(default_factory=list)

    async def send(self, request: WireRequest, deadline: float) -> WireAnswer:
        self.sent.append(request)
        if isinstance(self.answer, VenueError):
            raise self.answer
        return self.answer


def asked(path: str, query: bytes = b"", *, method: str = "GET", source: str = "127.0.0.1") -> Request:
    """A public request as it arrives."""
    return arriving(method, path, query, "", "a-key", "a-sign", b"", source)


def calls(sink: Sink, clock: SetClock, total: int = 100, watch: Heard | None = None) -> PublicCalls:
    """Public calls with a small rate for each source."""
    bounds = PublicBounds.of(1, total, 16, clock)
    return PublicCalls(Kraken(PairTable.built_in()), sink, bounds, clock, watch or Heard())


async def test_an_answer_is_relayed_byte_for_byte() -> None:
    """What the venue says goes back unchanged, and nothing of the caller's headers goes out."""
    sink = Sink()
    response = await calls(sink, SetClock()).answer(asked("/0/public/Time"))
    assert response.body == b'{"error":[],"result":{"unixtime":1}}'
    assert not response.ours
    assert sink.sent[0].target == "/0/public/Time"
    assert {name.lower() for name, _ in sink.sent[0].headers} <= {"user-agent", "accept"}


async def test_what_is_not_on_the_list_is_refused_here() -> None:
    """An unknown public endpoint never reaches the venue."""
    sink = Sink()
    response = await calls(sink, SetClock()).answer(asked("/0/public/Secrets"))
    assert json.loads(response.body)["error"][0] == "EGeneral:Unknown method"
    assert not sink.sent


async def test_each_source_has_a_rate_of_its_own() -> None:
    """After its burst a source is refused, others are not, and with time it may again."""
    clock, sink = SetClock(), Sink()
    public = calls(sink, clock)
    answers = [(await public.answer(asked("/0/public/Time"))).ours for _ in range(11)]
    assert answers == [False] * 10 + [True]
    assert not (await public.answer(asked("/0/public/Time", source="10.0.0.1"))).ours
    clock.go_on(1)
    assert not (await public.answer(asked("/0/public/Time"))).ours


async def test_all_sources_together_have_a_rate_too() -> None:
    """Many addresses cannot ask the exchange more often than the total, and the answer names that bound."""
    clock, sink = SetClock(), Sink()
    public = calls(sink, clock, total=1)
    answers = [await public.answer(asked("/0/public/Time", source=f"10.0.0.{number}")) for number in range(11)]
    assert [answer.ours for answer in answers] == [False] * 10 + [True]
    assert json.loads(answers[-1].body)["error"][0] == "EAPI:Rate limit exceeded"
    assert b"all callers together" in answers[-1].body


async def test_a_source_that_is_refused_costs_the_total_nothing() -> None:
    """A refused source and an unknown endpoint cost the total nothing, so a flood of either leaves others their
    calls."""
    clock, sink = SetClock(), Sink()
    public = calls(sink, clock, total=2)
    for _ in range(50):
        await public.answer(asked("/0/public/Time"))
        await public.answer(asked("/0/public/Secrets", source="10.0.0.9"))
    assert not (await public.answer(asked("/0/public/Time", source="10.0.0.1"))).ours


@pytest.mark.parametrize("answer", [NotSent("down"), WireAnswer(502, "text/html", b"<html>")])
async def test_a_venue_that_does_not_answer_is_said_to_be_unavailable(answer: WireAnswer | VenueError) -> None:
    """The client library raises its own exception for an exchange that is away."""
    response = await calls(Sink(answer), SetClock()).answer(asked("/0/public/Time"))
    assert json.loads(response.body)["error"][0] == "EService:Unavailable"


async def test_dropped_parameters_are_counted() -> None:
    """The parameters that are not sent on are counted by endpoint."""
    sink, heard = Sink(), Heard()
    public = calls(sink, SetClock(), watch=heard)
    await public.answer(asked("/0/public/Ticker", b"pair=XBTUSD&a-b=1&c%5Bd%5D=2&plain=3"))
    assert [wire.target for wire in sink.sent] == ["/0/public/Ticker?pair=XBTUSD&plain=3"]
    assert heard.lost == [("", "Ticker", 2)]


async def test_only_headers_that_the_venue_lets_through_are_relayed() -> None:
    """The status is the venue's own."""
    venue = Kraken(PairTable.built_in())
    venue.relayed_headers = frozenset({"x-limit"})
    answer = WireAnswer(429, "text/plain", b"", (("x-limit", "7"), ("retry-after", "3")))
    assert relayed(venue, answer) == Response(429, "text/plain", b"", ours=False, headers=(("x-limit", "7"),))
