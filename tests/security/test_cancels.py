"""Threat: a bot cancels an order that is not its own, or is told that an order is gone which is not.

*Must hold* 10 and 11. A cancel by userref or cl_ord_id means this client's own orders, each of which is named to the
exchange by its txid and accounted for, whatever the exchange answers to the first try.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import pytest

from signer.sandbox.arrivals import Arrival
from signer.sandbox.faults import (
    CloseAfterActing,
    CloseBeforeReading,
    CloseMidAnswer,
    Errors,
    Latency,
    Status,
    Truncated,
)
from tests.harness.bots import Bot
from tests.harness.policies import NARROW, WIDE
from tests.harness.rig import Rig
from tests.harness.waiting import until
from tests.harness.wire import Wire

MANY = NARROW.replace("1500 USD", "15000 USD")
SMALL = {"price": "20000", "volume": "0.001"}
ORDER = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit"}
PAST = "2020-01-01T00:00:00Z"
CANCELS = {"CancelOrder", "CancelOrderBatch"}


@pytest.fixture
def bot(rig: Rig) -> Bot:
    """A client with caps of its own."""
    return rig.bot(rig.policy(MANY))


@pytest.fixture
def other(rig: Rig) -> Bot:
    """Make another client of the same account."""
    return rig.bot(rig.policy(MANY))


def name() -> str:
    """A cl_ord_id that no other test uses."""
    return f"n-{secrets.token_hex(6)}"


def number() -> str:
    """A userref that no other test uses."""
    return str(secrets.randbelow(2**30) + 1)


def cancelled(rig: Rig, bot: Bot, by: Mapping[str, str]) -> bool:
    """Ask for a cancel; return whether it was done. It may only say that nobody can tell yet."""
    errors = rig.call(bot, "CancelOrder", by)
    assert not errors or errors[0] == "EService:Unavailable"
    return not errors


def cancels(rig: Rig, after: int) -> list[Arrival]:
    """The cancels that arrived since there were ``after`` arrivals."""
    return [arrival for arrival in rig.arrivals()[after:] if arrival.endpoint in CANCELS]


def named(arrival: Arrival) -> list[str]:
    """The orders that a cancel names on the wire."""
    if arrival.endpoint == "CancelOrderBatch":
        return list(json.loads(arrival.body)["orders"])
    fields = parse_qs(arrival.body.decode())
    assert set(fields) == {"nonce", "txid"}
    return fields["txid"]


def open_of(rig: Rig, txids: Sequence[str]) -> list[bool]:
    """Which of them are open."""
    listed = rig.sandbox.control.ask(rig.sandbox.account, "OpenOrders")["open"]
    return [txid in listed for txid in txids]


def last_cancel(rig: Rig, bot: Bot) -> tuple[dict[str, Any], dict[str, Any]]:
    """The records of the bot's last call, a cancel: its intent and its outcome."""
    rig.place(bot, **SMALL)  # its intent is durable before it leaves, and all before it
    segments = sorted(rig.home.audit.glob("*.jsonl"))
    lines = [json.loads(line) for segment in segments for line in segment.read_text().splitlines()]
    intent = [line for line in lines if line["kind"] == "intent" and line["client"] == bot.name][-2]
    return intent, next(line for line in lines if line["kind"] == "outcome" and line["id"] == intent["id"])


# Names that several bear


def test_a_name_that_another_client_bears_is_refused_and_reaches_nothing(rig: Rig, bot: Bot, other: Bot) -> None:
    """The trick of an order that fails by its deadline, so that its name counts as the bot's own: ten of ten times."""
    for _ in range(10):
        theirs = name()
        txid = rig.place(other, **SMALL, cl_ord_id=theirs)
        with rig.nothing_arrives():
            placed = rig.call(bot, "AddOrder", {**SMALL, **ORDER, "cl_ord_id": theirs, "deadline": PAST})
            cancelled = rig.call(bot, "CancelOrder", {"cl_ord_id": theirs})
        assert placed
        assert "ownership" in " ".join(cancelled)
        assert rig.is_open(txid)


def test_a_cl_ord_id_is_of_one_open_order_of_a_client(rig: Rig, bot: Bot, other: Bot) -> None:
    """It is refused alone and in a batch, free once its order is closed, and another client's use does not matter."""
    mine = name()
    first = rig.place(bot, **SMALL, cl_ord_id=mine)
    theirs = rig.place(other, **SMALL, cl_ord_id=mine)
    row = {**SMALL, "type": "buy", "ordertype": "limit"}
    batch = {f"orders[{n}][{key}]": value for n in (0, 1) for key, value in row.items()}
    assert "cl-ord-id" in " ".join(rig.call(bot, "AddOrder", {**ORDER, **SMALL, "cl_ord_id": mine}))
    fields = {"pair": "XBTUSD", **batch, "orders[1][cl_ord_id]": mine}
    assert "cl-ord-id" in " ".join(rig.call(bot, "AddOrderBatch", fields))
    rig.sandbox.control.ask(rig.sandbox.account, "CancelOrder", txid=first)  # which the gateway does not hear of
    second = rig.place(bot, **SMALL, cl_ord_id=mine)
    assert rig.result(bot, "CancelOrder", {"cl_ord_id": mine}) == {"count": 1}
    assert [rig.is_open(txid) for txid in (second, theirs)] == [False, True]


def test_a_uuid_is_one_name_with_and_without_dashes(rig: Rig, bot: Bot) -> None:
    """The client may place an order by one spelling and cancel it by the other."""
    dashed = str(uuid4())
    for given, asked in ((dashed, dashed.replace("-", "")), (dashed.replace("-", ""), dashed)):
        txid = rig.place(bot, **SMALL, cl_ord_id=given)
        assert "cl-ord-id" in " ".join(rig.call(bot, "AddOrder", {**ORDER, **SMALL, "cl_ord_id": asked}))
        assert rig.result(bot, "CancelOrder", {"cl_ord_id": asked}) == {"count": 1}
        assert not rig.is_open(txid)


@pytest.mark.parametrize("spelled", ["7", "007"])
def test_a_userref_is_one_number(rig: Rig, bot: Bot, spelled: str) -> None:
    """Zeros before it make no other name."""
    txid = rig.place(bot, **SMALL, userref="7")
    assert rig.result(bot, "CancelOrder", {"txid": spelled}) == {"count": 1}
    assert not rig.is_open(txid)


@pytest.mark.parametrize("whose", ["owner", "client"])
def test_a_userref_means_the_clients_own_orders(rig: Rig, bot: Bot, other: Bot, whose: str) -> None:
    """Orders of others under the same userref stay, and do not keep the client's own from being cancelled."""
    ref = number()
    own = [rig.place(bot, **SMALL, userref=ref)]
    theirs = rig.place_by_hand(**SMALL, userref=ref) if whose == "owner" else rig.place(other, **SMALL, userref=ref)
    own.append(rig.place(bot, **SMALL, userref=ref))
    before = len(rig.arrivals())
    assert rig.result(bot, "CancelOrder", {"txid": ref}) == {"count": 2}
    assert [sorted(named(arrival)) for arrival in cancels(rig, before)] == [sorted(own)]
    assert open_of(rig, [*own, theirs]) == [False, False, True]


def test_a_cl_ord_id_of_the_owners_hand_stays(rig: Rig, bot: Bot) -> None:
    """The bot's own order of that name is closed already, which the gateway has not heard."""
    both = name()
    own = rig.place(bot, **SMALL, cl_ord_id=both)
    rig.sandbox.control.ask(rig.sandbox.account, "CancelOrder", txid=own)
    theirs = rig.place_by_hand(**SMALL, cl_ord_id=both)
    before = len(rig.arrivals())
    assert rig.call(bot, "CancelOrder", {"cl_ord_id": both}) == ["EOrder:Unknown order"]
    assert [named(arrival) for arrival in cancels(rig, before)] == [[own]]
    assert rig.is_open(theirs)


# Orders of which nobody knows yet whether they exist


def test_an_unknown_order_is_looked_up_and_then_cancelled(rig: Rig, bot: Bot) -> None:
    """A cancel finds an order whose answer was lost, by each of its names, and never says *unknown order*.

    A young gateway still measures the exchange's clock. It may have to be asked again.
    """
    for own in ({"cl_ord_id": name()}, {"userref": number()}):
        rig.sandbox.control.add_fault(CloseAfterActing(endpoint="AddOrder"))
        assert rig.call(bot, "AddOrder", {**ORDER, **SMALL, **own})[0] == "EService:Unavailable"
        by = own if "cl_ord_id" in own else {"txid": own["userref"]}
        before = len(rig.arrivals())
        until(partial(cancelled, rig, bot, by), "the cancel")
        assert [open_of(rig, named(arrival)) for arrival in cancels(rig, before)] == [[False]]


def test_what_cannot_be_told_is_not_called_unknown(rig: Rig, bot: Bot) -> None:
    """The exchange never had it, and may yet: nothing goes out under the name, which the owner's order bears too."""
    both = name()
    theirs = rig.place_by_hand(**{**SMALL, "price": "19000"}, cl_ord_id=both)
    rig.sandbox.control.add_fault(CloseBeforeReading(endpoint="AddOrder"))
    assert rig.call(bot, "AddOrder", {**ORDER, **SMALL, "cl_ord_id": both})[0] == "EService:Unavailable"
    with rig.nothing_arrives():
        errors = rig.call(bot, "CancelOrder", {"cl_ord_id": both})
    assert errors[0] == "EService:Unavailable"
    assert both in errors[2]
    assert rig.is_open(theirs)


def test_what_is_known_is_cancelled_beside_what_is_not(rig: Rig, bot: Bot) -> None:
    """The answer names what may still be open, and only that."""
    ref = number()
    own = rig.place(bot, **SMALL, userref=ref)
    rig.sandbox.control.add_fault(CloseBeforeReading(endpoint="AddOrder"))
    assert rig.call(bot, "AddOrder", {**ORDER, **SMALL, "price": "19999", "userref": ref})[0] == "EService:Unavailable"
    errors = rig.call(bot, "CancelOrder", {"txid": ref})
    assert (errors[0], "1 cancelled" in errors[1], ref in errors[2]) == ("EService:Unavailable", True, True)
    assert not rig.is_open(own)


def test_an_order_on_its_way_is_waited_for(rig: Rig, bot: Bot) -> None:
    """The bot cancels by its own name what it has not heard of yet."""
    own = name()
    rig.sandbox.control.add_fault(Latency(endpoint="AddOrder", seconds=0.5))
    last = rig.sandbox.control.arrivals()[-1].seq
    with closing(Wire(rig.url)) as placing, closing(Wire(rig.url)) as cancelling:
        placing.send(bot.request("AddOrder", {**ORDER, **SMALL, "cl_ord_id": own}))
        rig.sandbox.control.wait_for_arrival(after=last, endpoint="AddOrder")
        cancelling.send(bot.request("CancelOrder", {"cl_ord_id": own}))
        placed, cancelled = placing.answer(), cancelling.answer()
    assert placed is not None
    assert cancelled is not None
    assert (placed.errors, json.loads(cancelled.body)["result"]) == ([], {"count": 1})
    assert not rig.is_open(json.loads(placed.body)["result"]["txid"][0])


# How cancels leave, and that each is accounted for


def test_one_goes_alone_and_several_in_a_batch(rig: Rig, bot: Bot) -> None:
    """Lists in a form, a batch of one, and the same order named three times are sent in the form that fits."""
    ref, own = number(), name()
    txids = [rig.place(bot, **SMALL) for _ in range(3)]
    txids += [rig.place(bot, **SMALL, userref=ref), rig.place(bot, **SMALL, cl_ord_id=own)]
    before = len(rig.arrivals())
    assert rig.result(bot, "CancelOrder", {"txid": f"{txids[0]},{txids[1]},{txids[0]}"}) == {"count": 2}
    assert rig.result(bot, "CancelOrderBatch", {"orders[0]": txids[2]}) == {"count": 1}
    mixed = {"orders[0]": ref, "orders[1]": txids[3], "cl_ord_ids[0]": own}
    assert rig.result(bot, "CancelOrderBatch", mixed) == {"count": 2}
    sent = [(arrival.endpoint, named(arrival)) for arrival in cancels(rig, before)]
    assert sent == [("CancelOrderBatch", txids[:2]), ("CancelOrder", txids[2:3]), ("CancelOrderBatch", txids[3:])]


def test_more_than_fifty_go_in_several(rig: Rig, bot: Bot) -> None:
    """All orders of one userref, however many they are."""
    ref = number()
    txids = [rig.place(bot, **{**SMALL, "volume": "0.0001"}, userref=ref) for _ in range(52)]
    before = len(rig.arrivals())
    assert rig.result(bot, "CancelOrder", {"txid": ref}) == {"count": 52}
    assert [len(named(arrival)) for arrival in cancels(rig, before)] == [50, 2]
    assert not any(open_of(rig, txids))


def test_a_closed_order_fails_no_other(rig: Rig, bot: Bot) -> None:
    """The batch ends fewer than it names, so each is asked for alone; a list of closed ones is an unknown order."""
    txids = [rig.place(bot, **SMALL) for _ in range(3)]
    rig.sandbox.control.ask(rig.sandbox.account, "CancelOrder", txid=txids[1])
    before = len(rig.arrivals())
    assert rig.result(bot, "CancelOrder", {"txid": ",".join(txids)}) == {"count": 2}
    assert [named(arrival) for arrival in cancels(rig, before)] == [txids, *([txid] for txid in txids)]
    assert rig.call(bot, "CancelOrder", {"txid": ",".join(txids)}) == ["EOrder:Unknown order"]


@pytest.mark.parametrize("orders", [1, 3])
def test_a_cancel_that_comes_too_fast_is_repeated_by_us(rig: Rig, bot: Bot, orders: int) -> None:
    """The bot is answered once, and well."""
    txids = [rig.place(bot, **SMALL) for _ in range(orders)]
    endpoint = "CancelOrder" if orders == 1 else "CancelOrderBatch"
    rig.sandbox.control.add_fault(Errors(endpoint=endpoint, errors=("EOrder:Rate limit exceeded",)))
    assert rig.result(bot, "CancelOrder", {"txid": ",".join(txids)}) == {"count": orders}
    assert not any(open_of(rig, txids))


@pytest.mark.parametrize(
    "fault",
    [
        Errors(endpoint="CancelOrderBatch", errors=("EGeneral:Invalid arguments",)),
        Errors(endpoint="CancelOrderBatch", errors=("EService:Busy",)),
        CloseMidAnswer(endpoint="CancelOrderBatch", acts=True),
        CloseAfterActing(endpoint="CancelOrderBatch"),
        CloseBeforeReading(endpoint="CancelOrderBatch"),
    ],
    ids=lambda fault: f"{fault.kind}-{getattr(fault, 'errors', '')}",
)
def test_a_batch_that_fails_is_made_up_for_one_by_one(rig: Rig, bot: Bot, fault: Any) -> None:
    """Refused as a batch, or not answered: none is open, and the bot and the log hear that all were cancelled."""
    txids = [rig.place(bot, **SMALL) for _ in range(3)]
    rig.sandbox.control.add_fault(fault)
    assert rig.result(bot, "CancelOrder", {"txid": ",".join(txids)}) == {"count": 3}
    assert not any(open_of(rig, txids))
    _, outcome = last_cancel(rig, bot)
    assert (outcome["outcome"], sorted(outcome["venue_ids"])) == ("accepted", sorted(txids))


@pytest.mark.parametrize(
    "fault",
    [
        CloseAfterActing(endpoint="CancelOrder"),
        Status(endpoint="CancelOrder", acts=True, status=502),
        Truncated(endpoint="CancelOrder"),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_cancel_of_one_order_whose_answer_is_lost_is_told(rig: Rig, bot: Bot, fault: Any) -> None:
    """The exchange acted: the bot and the log hear that the order was cancelled. Else it is perhaps still open."""
    acted, kept = rig.place(bot, **SMALL), rig.place(bot, **SMALL)
    rig.sandbox.control.add_fault(fault)
    assert rig.result(bot, "CancelOrder", {"txid": acted}) == {"count": 1}
    _, outcome = last_cancel(rig, bot)
    assert (outcome["outcome"], outcome["venue_ids"]) == ("accepted", [acted])
    rig.sandbox.control.add_fault(CloseBeforeReading(endpoint="CancelOrder"))
    errors = rig.call(bot, "CancelOrder", {"txid": kept})
    assert (errors[0], kept in " ".join(errors), rig.is_open(kept)) == ("EService:Unavailable", True, True)


def test_a_refusal_that_is_of_no_order_is_not_repeated_for_each(rig: Rig, bot: Bot) -> None:
    """The answer names what may still be open, and no further request is sent."""
    txids = [rig.place(bot, **SMALL) for _ in range(3)]
    before = len(rig.arrivals())
    rig.sandbox.control.add_fault(Errors(endpoint="CancelOrderBatch", errors=("EGeneral:Permission denied",)))
    errors = rig.call(bot, "CancelOrder", {"txid": ",".join(txids)})
    assert errors[0] == "EGeneral:Permission denied"
    assert all(txid in errors[2] for txid in txids)
    assert len(cancels(rig, before)) == 1


def test_an_account_wide_policy_names_what_the_book_lacks_as_it_is(rig: Rig, bot: Bot) -> None:
    """A name that the book does not know is sent as it is. The orders of all clients are named by txid."""
    keeper, ref, known, handmade = rig.bot(rig.policy(WIDE)), number(), number(), name()
    by_hand = [rig.place_by_hand(**SMALL, userref=ref), rig.place_by_hand(**SMALL, cl_ord_id=handmade)]
    txid = rig.place(bot, **SMALL, userref=known)
    before = len(rig.arrivals())
    assert rig.result(keeper, "CancelOrder", {"txid": ref}) == {"count": 1}
    assert rig.result(keeper, "CancelOrder", {"cl_ord_id": handmade}) == {"count": 1}
    assert rig.result(keeper, "CancelOrder", {"txid": known}) == {"count": 1}
    bodies = [parse_qs(arrival.body.decode()) for arrival in cancels(rig, before)]
    assert [body.get("txid", body.get("cl_ord_id")) for body in bodies] == [[ref], [handmade], [txid]]
    assert not any(open_of(rig, [*by_hand, txid]))


def test_the_log_says_which_orders_a_cancel_went_for(rig: Rig, bot: Bot) -> None:
    """The record has the txids and the client's names before the cancel leaves, and the closed orders after it."""
    ref = number()
    txids = [rig.place(bot, **SMALL, userref=ref) for _ in range(2)]
    assert rig.result(bot, "CancelOrder", {"txid": ref}) == {"count": 2}
    intent, outcome = last_cancel(rig, bot)
    assert (intent["fields"], sorted(intent["named"])) == ({"txid": ref}, sorted(txids))
    assert (outcome["outcome"], sorted(outcome["venue_ids"])) == ("accepted", sorted(txids))
