"""The sequence of requests of one cancel, against a venue that the test writes, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence

import pytest

from signer.errors import NotServed, Unanswered
from signer.gateway.cancelling import Cancelling
from signer.gateway.forward import Journey
from signer.model import Call, OrderRef, Outcome, VenueResult, WireAnswer
from signer.model.ended import Ended
from signer.venues.kraken.answers import words
from tests.unit.venues.kraken.asking import KRAKEN

TOO_FAST = "EOrder:Rate limit exceeded"
CALL_S = 14.0

Says = Callable[[Call], int | str]
"""The count or the error that a request is answered with; "" for no answer."""


def refs(count: int) -> list[OrderRef]:
    """Orders by txid."""
    return [OrderRef("venue-id", f"O{number:05d}-AAAAA-AAAAAA") for number in range(count)]


class Exchange:
    """Answers as ``says`` says; each request takes a tenth of a second of its own time."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.calls: list[Call] = []
        self.now = 0.0

    def now_us(self) -> int:
        """The wall clock."""
        return round(self.now * 1_000_000)

    def monotonic(self) -> float:
        """Return the clock's own time."""
        return self.now

    async def send(self, call: Call, journey: Journey) -> tuple[WireAnswer, VenueResult]:
        """Send one request."""
        KRAKEN.encode(call, 1, "KEY")
        self.calls.append(call)
        self.now += 0.1
        journey.sent = True
        said = self.says(call)
        if said == "":
            raise Unanswered("no answer")
        body = {"error": [said]} if isinstance(said, str) else {"error": [], "result": {"count": said}}
        answer = WireAnswer(200, "application/json", json.dumps(body).encode())
        return answer, KRAKEN.read_answer(call, answer)


def run(exchange: Exchange, orders: Sequence[OrderRef], monkeypatch: pytest.MonkeyPatch) -> Cancelling:
    """Cancel ``orders`` there."""

    async def sleep(seconds: float) -> None:
        exchange.now += seconds

    monkeypatch.setattr("signer.gateway.cancelling.asyncio.sleep", sleep)
    sequence = Cancelling(KRAKEN, exchange.send, exchange, CALL_S, 2 * CALL_S)
    main: Coroutine[None, None, Ended] = sequence.run(orders)
    asyncio.run(main)
    return sequence


def test_what_stays_too_fast_is_repeated_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer then says what may still be open, in Kraken's words first."""
    orders = refs(9)
    exchange = Exchange(lambda _: TOO_FAST)
    sequence = run(exchange, orders, monkeypatch)
    assert len(exchange.calls) > 5
    assert exchange.now <= CALL_S + 9 * 0.1
    with pytest.raises(NotServed) as refused:
        KRAKEN.cancel_answer(sequence.ended)
    assert words(refused.value)[0] == TOO_FAST
    assert all(order.value in " ".join(words(refused.value)) for order in orders)
    assert all(len(text) < 240 for text in words(refused.value))
    assert sequence.result is not None
    assert (sequence.result.outcome, sequence.result.venue_ids) == (Outcome.REJECTED, ())


def test_some_come_through_while_others_are_too_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is asked again until it is ended, and no other is asked twice."""
    orders, tries = refs(3), dict[str, int]()

    def says(call: Call) -> int | str:
        if len(call.targets) > 1:
            return 0
        name = call.targets[0].value
        tries[name] = tries.get(name, 0) + 1
        return 1 if tries[name] > orders.index(call.targets[0]) else TOO_FAST

    sequence = run(Exchange(says), orders, monkeypatch)
    assert [tries[order.value] for order in orders] == [1, 2, 3]
    assert json.loads(KRAKEN.cancel_answer(sequence.ended).body) == {"error": [], "result": {"count": 3}}


@pytest.mark.parametrize("count", [1, 2, 50, 51, 52, 101])
def test_every_order_is_in_one_request(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request names fifty orders at most, and a single order is no batch."""
    exchange = Exchange(lambda call: len(call.targets))
    sequence = run(exchange, refs(count), monkeypatch)
    assert sorted(ref.value for call in exchange.calls for ref in call.targets) == [ref.value for ref in refs(count)]
    assert sequence.ended.count == count
    assert not sequence.ended.left
    for call in exchange.calls:
        assert (call.endpoint == "CancelOrder") == (len(call.targets) == 1)


def test_a_silent_exchange_leaves_the_outcome_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcome of each order is unknown, and none is said to be cancelled."""
    sequence = run(Exchange(lambda _: ""), refs(3), monkeypatch)
    assert sequence.result is not None
    assert (sequence.result.outcome, list(sequence.ended.left)) == (Outcome.UNKNOWN, refs(3))
    with pytest.raises(NotServed) as refused:
        KRAKEN.cancel_answer(sequence.ended)
    assert words(refused.value)[0] == "EService:Unavailable"


def test_after_a_silence_each_is_asked_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the lost batch has ended already is unknown to the exchange, and so accounted for."""
    sequence = run(Exchange(lambda call: "" if len(call.targets) > 1 else "EOrder:Unknown order"), refs(3), monkeypatch)
    assert (sequence.ended.done, sequence.ended.left) == (refs(3), {})


def test_a_name_that_may_be_several_orders_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that may be several orders is cancelled alone, since its count would tell nothing of the others."""
    exchange = Exchange(lambda _: 2)
    names = [OrderRef("client-tag", "7"), *refs(2), OrderRef("client-id", "x-1")]
    run(exchange, names, monkeypatch)
    assert [[ref.value for ref in call.targets] for call in exchange.calls] == [
        [ref.value for ref in refs(2)], ["7"], ["x-1"]
    ]  # fmt: skip


@pytest.mark.parametrize("sent", [True, False])
def test_no_answer_is_waited_for_beyond_the_end(sent: bool) -> None:
    """A request that hangs, on the wire or before it: the client hears in time what may still be open."""

    async def hang(_: Call, journey: Journey) -> tuple[WireAnswer, VenueResult]:
        journey.sent = sent
        await asyncio.get_running_loop().create_future()
        raise AssertionError("never")

    sequence = Cancelling(KRAKEN, hang, Exchange(lambda _: 0), 0.0, 0.0)
    asyncio.run(sequence.run(refs(3)))
    assert list(sequence.ended.left) == refs(3)
    assert (sequence.result is not None) == sent
