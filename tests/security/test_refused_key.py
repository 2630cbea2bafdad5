"""Threat: one answer `EAPI:Invalid key`, which Kraken gives without cause at times, stops all trading and cancelling.

And its opposite: a key that is refused with cause is tried on and on, until Kraken locks the account.
"""

from __future__ import annotations

import asyncio

import pytest

from signer.errors import NotSent, Unanswered
from signer.model import Call, Role
from tests.harness.virtual import run
from tests.harness.ways import ALL, CANCEL, ORDER, READ, Ways

INVALID = "EAPI:Invalid key"


def asked_at(ways: Ways) -> list[float]:
    """Return when the gateway asked about a key, in whole seconds."""
    return [round(at) for at, _, endpoint in ways.exchange.arrived if endpoint == "GetApiKeyInfo"]


@pytest.mark.parametrize("call", [READ, ORDER, CANCEL], ids=["read", "order", "cancel"])
def test_one_refusal_pauses_and_a_good_answer_resumes(call: Call) -> None:
    """The call that met it hears Kraken's words, what comes meanwhile is not sent, after a second all goes on; on
    record."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says[call.endpoint] = [INVALID, None]
        assert await ways.call(call) == [INVALID]
        sent = len(ways.exchange.arrived)
        for other in (READ, ORDER, CANCEL):
            first, why = await ways.call(other)
            assert (first, "key-1 is paused" in why) == ("EService:Unavailable", True)
        assert len(ways.exchange.arrived) == sent
        assert ways.account.credentials[0].word == "paused"
        await asyncio.sleep(1.5)
        assert asked_at(ways) == [1]
        assert ways.account.credentials[0].word == "proven"
        assert [await ways.call(other) for other in (READ, ORDER, CANCEL)] == [[], [], []]
        assert ways.states == ["key-1 paused", "key-1 resumed"]
        await asyncio.sleep(1000)
        assert asked_at(ways) == [1]

    run(story())


@pytest.mark.parametrize("refusals", [1, 2, 3])
def test_the_third_refusal_of_our_question_stops_it_for_good(refusals: int) -> None:
    """Asked after 1 s, 1 min and 5 min, once each; then never again, since failures that repeat lock the account."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says["Balance"] = [INVALID, None]
        ways.exchange.says["GetApiKeyInfo"] = [INVALID] * refusals + [None]
        assert await ways.call(READ) == [INVALID]
        await asyncio.sleep(10_000)
        assert asked_at(ways) == [1, 61, 361][: refusals + 1]
        (credential,) = ways.account.credentials
        assert credential.word == ("stopped" if refusals == 3 else "proven")
        assert ways.states == ["key-1 paused", "key-1 stopped" if refusals == 3 else "key-1 resumed"]
        assert (await ways.call(READ) == []) == (refusals < 3)
        assert ("signer keys rotate key-1" in "".join(ways.alarms)) == (refusals == 3)

    run(story())


@pytest.mark.parametrize("trouble", [NotSent("away"), Unanswered("cut"), "EService:Busy"], ids=["away", "cut", "busy"])
def test_a_question_without_an_answer_is_no_refusal(trouble: Exception | str) -> None:
    """A question without an answer is asked again a minute later, and is not one of the three."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says["Balance"] = [INVALID, None]
        ways.exchange.says["GetApiKeyInfo"] = [trouble] * 8 + [INVALID, None]
        assert await ways.call(READ) == [INVALID]
        await asyncio.sleep(10_000)
        assert ways.account.credentials[0].word == "proven"

    run(story())


def test_a_refused_nonce_is_no_answer_about_the_key() -> None:
    """The question is asked again until there is an answer, so that the lane does not stay paused for ever."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says["Balance"] = [INVALID, None]
        ways.exchange.says["GetApiKeyInfo"] = ["EAPI:Invalid nonce"] * 3 + [INVALID, None]
        assert await ways.call(READ) == [INVALID]
        await asyncio.sleep(10_000)
        assert ways.account.credentials[0].word == "proven"
        assert await ways.call(READ) == []

    run(story())


def test_a_reload_does_not_forget_a_pause() -> None:
    """A reload forgets neither the refusal nor the question that is due."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says["AddOrder"] = [INVALID, None]
        await ways.call(ORDER)
        ways.reload()
        assert (await ways.call(ORDER))[0] == "EService:Unavailable"
        await asyncio.sleep(1.5)
        assert await ways.call(ORDER) == []

    run(story())


def test_a_cancel_goes_by_another_key_at_once() -> None:
    """The cancel that met the refusal too; an order is never sent a second time."""

    async def story() -> None:
        ways = Ways(ALL, ALL)
        ways.exchange.says["key-1 CancelOrder"] = [INVALID]
        ways.exchange.says["key-1 AddOrder"] = [INVALID]
        assert await ways.call(CANCEL) == []
        assert [key for _, key, _ in ways.exchange.arrived] == ["key-1", "key-2"]
        ways = Ways(ALL, ALL)
        ways.exchange.says["key-1 AddOrder"] = [INVALID]
        assert await ways.call(ORDER) == [INVALID]
        assert ways.exchange.count("AddOrder") == 1
        assert [await ways.call(CANCEL), await ways.call(ORDER)] == [[], []]
        assert {key for _, key, _ in ways.exchange.arrived[1:]} == {"key-2"}

    run(story())


def test_a_cancel_may_go_by_a_key_of_another_role_that_has_the_permission() -> None:
    """A key for reads that may cancel is better than no cancel; one that may not is not tried."""

    async def story() -> None:
        readers = (("query-funds",), ("close-trades", "query-funds"))
        ways = Ways(ALL, *readers, roles=(Role.TRADE, Role.READ, Role.READ))
        ways.exchange.says["key-1 AddOrder"] = [INVALID]
        ways.exchange.says["key-1 GetApiKeyInfo"] = [INVALID]
        assert await ways.call(ORDER) == [INVALID]
        assert await ways.call(CANCEL) == []
        assert ways.exchange.arrived[-1][1:] == ("key-3", "CancelOrder")
        assert (await ways.call(ORDER))[0] == "EService:Unavailable"
        await asyncio.sleep(1000)
        assert ways.account.credentials[0].word == "stopped"
        assert await ways.call(CANCEL) == []

    run(story())


def test_who_waits_when_the_key_is_refused_is_told_at_once() -> None:
    """Calls in the queue are not sent one after the other to be refused as well."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says["Balance"] = [INVALID]
        ways.exchange.says["GetApiKeyInfo"] = [INVALID]
        answers = await asyncio.gather(*(ways.call(READ, f"bot-{n}") for n in range(8)))
        assert [answer[0] for answer in answers] == [INVALID] + ["EService:Unavailable"] * 7
        assert ways.exchange.count("Balance") == 1

    run(story())


def test_a_defect_does_not_leave_a_key_paused_in_silence() -> None:
    """If the task that asks about a key has ended, an alarm says so."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says["Balance"] = [INVALID]
        ways.exchange.says["GetApiKeyInfo"] = [ZeroDivisionError("a defect")]
        await ways.call(READ)
        await asyncio.sleep(2)
        assert any("nobody asks about a paused key any more (ZeroDivisionError)" in text for text in ways.alarms)

    run(story())
