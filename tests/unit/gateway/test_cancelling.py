"""The sequence of requests of one cancel, against a venue that the test writes, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence

import pytest

from signer.errors import NotServed, Unanswered
from signer.gateway.cancelling import Cancelling
from signer.gateway.forward import Journey
from signer.model import Call, Json, OrderRef, Outcome, VenueResult, WireAnswer
from signer.model.ended import Ended
from signer.venues.kraken.answers import words
from tests.unit.venues.kraken.asking import KRAKEN

TOO_FAST = "EOrder:Rate limit exceeded"
CALL_S = 14.0

Says = Callable[[Call], "int | str | dict[str, Json]"]
"""The count, the error or the result that a request is answered with; "" for no answer."""


def refs(count: int) -> list[OrderRef]:
    """Orders by txid."""
    return [OrderRef("venue-id", f"O{number:05d}-AAAAA-AAAAAA") for number in range(count)]


class Exchange:
    """Answers as ``says`` says; each request takes a tenth of a second of its own time."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.calls: list[Call] = []
        self.now = 0.0
        self.beside_error: dict[str, Json] = {}
        """The result that stands beside an error. Such an answer is unclear."""

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
        result: Json = {"count": said} if isinstance(said, int) else said
        body: Json = (
            {"error": [said], "result": self.beside_error} if isinstance(said, str) else {"error": [], "result": result}
        )
        answer = WireAnswer(200, "application/json", json.dumps(body).encode())
        return answer, KRAKEN.read_answer(call, answer)


def run(
    exchange: Exchange, orders: Sequence[OrderRef], monkeypatch: pytest.MonkeyPatch, since_us: int | None = None
) -> Cancelling:
    """Cancel ``orders`` there; the exchange's clock shows ``since_us`` then, `BEGAN_US` if it is None."""

    async def sleep(seconds: float) -> None:
        exchange.now += seconds

    monkeypatch.setattr("signer.gateway.cancelling.asyncio.sleep", sleep)
    sequence = Cancelling(
        KRAKEN, exchange.send, exchange, CALL_S, 2 * CALL_S, BEGAN_US if since_us is None else since_us
    )
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


BEGAN_US = 1_800_000_000_000_000
"""What the exchange's clock showed when the cancel began."""


def row(order: OrderRef, status: str, *, before_s: int = 0) -> Mapping[str, Json]:
    """Return how QueryOrders shows an order; closed ``before_s`` seconds before the cancel began."""
    closed: dict[str, Json] = {} if status == "open" else {"closetm": BEGAN_US // 1_000_000 - before_s}
    descr: Json = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "1", "price2": "0"}
    return {order.value: {"status": status, "vol": "1", "opentm": 1, "descr": descr, **closed}}


def after_a_lost_batch(rows: Sequence[Mapping[str, Json]]) -> Says:
    """An exchange that answers no batch, then knows none of its orders; QueryOrders shows ``rows``."""

    def says(call: Call) -> int | str | dict[str, Json]:
        if call.endpoint == "QueryOrders":
            return dict(item for each in rows for item in each.items())
        return "" if len(call.targets) > 1 else "EOrder:Unknown order"

    return says


def test_what_a_lost_batch_has_cancelled_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange does not know the orders when we ask again, because our own request has cancelled them."""
    orders = refs(3)
    sequence = run(Exchange(after_a_lost_batch([row(one, "canceled") for one in orders])), orders, monkeypatch)
    assert (sequence.ended.done, sequence.ended.left) == (orders, {})
    assert json.loads(KRAKEN.cancel_answer(sequence.ended).body) == {"error": [], "result": {"count": 3}}
    assert sequence.result is not None
    assert sequence.result.outcome is Outcome.ACCEPTED


def test_a_lost_batch_has_cancelled_no_order_that_was_closed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that was filled or expired counts, nor one that somebody cancelled before the bot asked."""
    orders = refs(4)
    rows = [row(orders[0], "closed"), row(orders[1], "expired"), row(orders[2], "canceled", before_s=60)]
    sequence = run(Exchange(after_a_lost_batch([*rows, row(orders[3], "canceled")])), orders, monkeypatch)
    assert (sequence.ended.count, sequence.ended.untold) == (1, [])
    sequence = run(Exchange(after_a_lost_batch(rows)), orders[:3], monkeypatch)
    assert sequence.result is not None
    assert sequence.result.outcome is Outcome.REJECTED
    with pytest.raises(NotServed) as refused:
        KRAKEN.cancel_answer(sequence.ended)
    assert words(refused.value) == ("EOrder:Unknown order",)


@pytest.mark.parametrize("shown", ["none", "open", "silence"])
def test_what_nobody_can_tell_after_a_lost_batch_is_unknown(shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange does not show how an order ended: the bot is told neither *cancelled* nor *unknown order*."""
    orders = refs(2)
    rows = [row(orders[0], "canceled"), *([row(orders[1], "open")] if shown == "open" else [])]
    says = after_a_lost_batch(rows)
    silent = shown == "silence"
    exchange = Exchange(lambda call: "" if silent and call.endpoint == "QueryOrders" else says(call))
    sequence = run(exchange, orders, monkeypatch)
    assert sequence.ended.untold == (orders if silent else orders[1:])
    assert sequence.result is not None
    assert sequence.result.outcome is Outcome.UNKNOWN
    with pytest.raises(NotServed) as refused:
        KRAKEN.cancel_answer(sequence.ended)
    assert words(refused.value)[0] == "EService:Unavailable"
    text = " ".join(words(refused.value))
    assert ("perhaps by this cancel" in text, orders[1].value in text, "still open" in text) == (True, True, False)


@pytest.mark.parametrize(("status", "outcome"), [("canceled", Outcome.ACCEPTED), ("closed", Outcome.REJECTED)])
def test_what_a_lost_cancel_of_one_order_has_done_is_read(
    status: str, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exchange shows whether our request cancelled the order, or whether it was filled before."""
    (order,) = refs(1)
    exchange = Exchange(lambda call: dict(row(order, status)) if call.endpoint == "QueryOrders" else "")
    sequence = run(exchange, [order], monkeypatch)
    assert sequence.result is not None
    assert (sequence.result.outcome, sequence.ended.done, sequence.ended.left) == (outcome, [order], {})


def test_an_order_that_is_open_after_a_lost_cancel_stays_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request may still be on its way, so the order is perhaps open and perhaps cancelled soon."""
    (order,) = refs(1)
    exchange = Exchange(lambda call: dict(row(order, "open")) if call.endpoint == "QueryOrders" else "")
    sequence = run(exchange, [order], monkeypatch)
    assert sequence.result is not None
    assert (sequence.result.outcome, list(sequence.ended.left)) == (Outcome.UNKNOWN, [order])


def test_a_cancelled_order_does_not_count_while_the_exchange_s_clock_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody may have cancelled it long before. We have certainly not cancelled an order that was filled."""
    orders = refs(2)
    rows = [row(orders[0], "canceled", before_s=86_400), row(orders[1], "closed")]
    sequence = run(Exchange(after_a_lost_batch(rows)), orders, monkeypatch, since_us=0)
    assert (sequence.ended.count, sequence.ended.untold) == (0, orders[:1])
    assert sequence.result is not None
    assert sequence.result.outcome is Outcome.UNKNOWN


def test_a_lost_cancel_of_a_cancelled_order_tells_nothing_while_the_exchange_s_clock_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The order is closed, and nobody can tell whether our request has done that."""
    (order,) = refs(1)
    exchange = Exchange(lambda call: dict(row(order, "canceled")) if call.endpoint == "QueryOrders" else "")
    sequence = run(exchange, [order], monkeypatch, since_us=0)
    assert (sequence.ended.count, sequence.ended.untold, sequence.ended.left) == (0, [order], {})


def test_only_orders_that_have_a_venue_id_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tag is no id that the exchange could show, and must not spoil the reading of the other orders."""
    tag, orders = OrderRef("client-tag", "7"), refs(2)
    exchange = Exchange(after_a_lost_batch([row(one, "canceled") for one in orders]))
    exchange.beside_error = {"count": 0}
    sequence = run(exchange, [tag, *orders], monkeypatch)
    assert [call.fields["txid"] for call in exchange.calls if call.endpoint == "QueryOrders"] == [
        ",".join(order.value for order in orders)
    ]
    assert (sequence.ended.count, sequence.ended.untold) == (2, [tag])


def test_what_is_too_fast_after_a_lost_batch_stays_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch may have cancelled the orders, although every later request was refused for its rate."""
    sequence = run(Exchange(lambda call: "" if len(call.targets) > 1 else TOO_FAST), refs(3), monkeypatch)
    assert sequence.result is not None
    assert (sequence.result.outcome, list(sequence.ended.left)) == (Outcome.UNKNOWN, refs(3))


def test_a_clear_answer_needs_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders that the exchange does not know, after clear answers alone, were not cancelled by us."""
    exchange = Exchange(lambda call: 1 if len(call.targets) > 1 else "EOrder:Unknown order")
    sequence = run(exchange, refs(2), monkeypatch)
    assert {call.endpoint for call in exchange.calls} == {"CancelOrderBatch", "CancelOrder"}
    assert (sequence.ended.count, sequence.ended.done, sequence.ended.untold) == (1, refs(2), [])


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
